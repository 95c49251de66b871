"""Two hundred workers at one server, for a while."""

import os
import time

import pytest
import torch
from footprint import check_flat, resident

from elephas_torch import optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import ServerProcess, Settings

WORKERS, PROCESSES, LENGTH = 200, 4, 2000


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_two_hundred_workers(tmp_path, mode, long, script_in, tried):
    given = os.environ.get("ELEPHAS_TORCH_LOAD_SECONDS")
    seconds = float(given or (300 if long else 20))
    initial = Vectors(torch.zeros(LENGTH), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(0.5))
    settings = Settings(mode, initial.sizes, rule, workers=WORKERS, staleness=None,
                        checkpoint_every=20)  # fmt: skip
    with ServerProcess(settings, initial) as server, server.client() as client:
        each = WORKERS // PROCESSES
        scripts = [
            script_in(tmp_path / str(one), "load.py", server.url, server.token, one * each, each,
                      seconds, LENGTH)
            for one in range(PROCESSES)
        ]  # fmt: skip
        sizes, heard, end = [], 0, time.monotonic() + seconds
        while time.monotonic() < end:
            sizes.append(resident(server.pid))
            client.status()
            # As a driver does: what nobody has asked for is kept.
            heard = max([heard, *(one["number"] for one in client.events(heard))])
            time.sleep(min(1.0, seconds / 50))
        told = [one.answer() for one in scripts]
        sizes.append(resident(server.pid))
        assert [error for one in told for error in one["errors"]] == []
        assert [one.end() for one in scripts] == [[]] * PROCESSES
        sums = {
            name: sum(one["counts"].get(name, 0) for one in told)
            for name in ("pushes", "reports", "beats", "losses")
        }
        status, found = client.status(), initial.clone()
        client.pull(found)
    memory = check_flat("server", sizes, seconds, 4 << 20)
    print(mode, seconds, sums, memory)
    times = "{pushes:,} pushes, {reports:,} epochs reported, {losses:,} workers lost"
    tried(f"{WORKERS} workers at one server for {seconds:g} s, some lost", mode,
          f"no error, each counted; {memory}", times.format(**sums))  # fmt: skip
    assert status["counts"]["pushes"] == sums["pushes"] > 50 * seconds
    assert sum(one["seq"] for one in status["workers"].values()) == sums["pushes"]
    assert len(status["workers"]) == WORKERS and not status["counts"].get("refused")
    # Each update takes the same away: halves, of which float32 has enough.
    if sums["pushes"] < 1 << 24:
        assert (found.parameters == -0.5 * sums["pushes"]).all()
