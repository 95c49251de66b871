"""Lets schemathesis send a parameter server requests by its OpenAPI description, right and wrong.

    python scripts/fuzz_http.py PATH_OF_ST [--max-examples N]

Fails where an answer is a 5xx, or where the weights have changed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import torch

from elephas_torch import optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import ServerProcess, Settings

MODES = ("synchronous", "asynchronous", "hogwild")


def fuzzed(tool: str, mode: str, examples: int) -> bool:
    """Whether all answers were as they should be, and the weights are as they were."""
    first = Vectors(torch.arange(10.0), torch.ones(2), torch.ones(1, dtype=torch.int64))
    settings = Settings(
        mode=mode, sizes=first.sizes, optimizer=optimizers.serialize(optimizers.SGD(0.1)),
        workers=2, join_timeout=1.0, round_timeout=1.0, lease=5.0,
    )  # fmt: skip
    with ServerProcess(settings, first) as server, server.client() as client:
        client.join(0, 0, samples=3)
        done = subprocess.run(
            [
                tool, "run", f"{server.url}/openapi.json", "--url", server.url,
                "-H", f"Authorization: Bearer {server.token}",
                "--checks", "not_a_server_error", "--max-examples", str(examples),
                "--seed", "1", "--request-timeout", "60", "--suppress-health-check", "all",
                "--no-color",
            ],
            check=False,
        )  # fmt: skip
        found = first.clone()
        client.pull(found)
    same = all(map(torch.equal, first, found))
    print(f"{mode}: {'all well' if done.returncode == 0 and same else 'NOT WELL'}, weights the "
          f"same: {same}", flush=True)  # fmt: skip
    return done.returncode == 0 and same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("--max-examples", type=int, default=500)
    given = parser.parse_args()
    sys.exit(not all([fuzzed(given.tool, mode, given.max_examples) for mode in MODES]))
