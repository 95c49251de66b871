"""What it costs to be watched: fits that show their progress in a terminal, those whose page is
looked at besides, and those of which nobody sees anything."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pty
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from benchmarks import frames, networks
from benchmarks.groups import RATE, WHOLE, Column, Goal, Group, in_turn
from benchmarks.loops import WORKERS, Work

QUIET, SHOWN = "verbose=0", "verbose=1 in a terminal"
PAGE = f"{SHOWN}, and its page is looked at"
#: What watching may leave of the samples/s.
LEAST = 0.99
DRIVER = Column("driver's CPU s", "cpu", ".2f")


def suite(arguments: Any) -> Iterator[Group]:
    """Asynchronous fits, with an exchange an epoch, of each network."""
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    with frames.session({}) as spark:
        for name in arguments.networks:
            network = networks.NETWORKS[name]
            work = Work(name, network.rows(arguments.rows), arguments.epochs)
            rdd = to_simple_rdd(spark.sparkContext, *networks.rows(work.shape, work.rows))
            measures = {
                QUIET: functools.partial(fit, rdd, work, 0),
                SHOWN: functools.partial(fit, rdd, work, 1),
                PAGE: functools.partial(fit, rdd, work, 1, page=True),
            }
            yield in_turn(
                f"{name}, asynchronous epoch", QUIET, measures, arguments.rounds,
                columns=(RATE, WHOLE, DRIVER), 
                goals=[Goal(one, QUIET, least=LEAST) for one in (SHOWN, PAGE)],
            )  # fmt: skip


def fit(rdd: Any, work: Work, verbose: int, page: bool = False) -> dict[str, float]:
    """The workers' samples/s from their second epoch on, the whole fit, and the driver's CPU.

    Args:
        page: a thread reads what a browser would be sent.
    """
    from elephas_torch import SparkModel, keras

    model = networks.by_keras(keras, networks.NETWORKS[work.network])
    trainer = SparkModel(model, frequency="epoch", num_workers=WORKERS)
    with terminal(), looked_at(trainer) if page else contextlib.nullcontext():
        began, cpu = time.perf_counter(), time.process_time()
        trainer.fit(rdd, epochs=work.epochs, batch_size=work.batch_size, verbose=verbose)
        whole, cpu = time.perf_counter() - began, time.process_time() - cpu
    rate = work.rate([one["seconds"] for one in trainer.training_histories])
    return {"rate": rate, "whole": whole, "cpu": cpu}


@contextlib.contextmanager
def looked_at(trainer: Any) -> Iterator[None]:
    """Somebody has the page open, from soon after the fit's beginning to its end."""
    over = threading.Event()
    thread = threading.Thread(target=_look, args=(trainer, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def _look(trainer: Any, over: threading.Event) -> None:
    while not trainer.monitor().running:
        if over.wait(0.05):
            return
    url, _, token = trainer.monitor().url.partition("/#token=")
    asked = urllib.request.Request(f"{url}/watch", headers={"Authorization": f"Bearer {token}"})
    with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=30) as news:
        while news.readline():
            pass


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """Standard output is a pseudo-terminal that somebody reads."""
    mine, theirs = pty.openpty()
    reader = threading.Thread(target=_drain, args=(mine,), daemon=True)
    reader.start()
    before, os.environ["TERM"] = sys.stdout, "xterm"
    sys.stdout = io.TextIOWrapper(io.FileIO(theirs, "w"), "utf-8", write_through=True)
    try:
        yield
    finally:
        sys.stdout.close()
        sys.stdout = before
        reader.join(10)
        os.close(mine)


def _drain(terminal: int) -> None:
    with contextlib.suppress(OSError):  # the other side is closed
        while os.read(terminal, 65536):
            pass
