"""What a Spark task of a fit runs: a worker, from its first word to the server to its last.

An error goes through the parameter server, so that the driver can show it whole.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from elephas_torch import cluster, loglevel
from elephas_torch.errors import ElephasError, Fenced, ServerError, Unreachable, WorkerError
from elephas_torch.keras import random
from elephas_torch.parameter.client import Client
from elephas_torch.parameter.ledger import AWAY
from elephas_torch.parameter.shards import ShardedClient
from elephas_torch.skipping import RowsCut, drain
from elephas_torch.team import Parted
from elephas_torch.worker import Job, Worker, connected, described

logger = logging.getLogger(__name__)

#: Seconds that Spark may take to hear of a task's end.
GIVE_WAY = 2.5


def train(job: Job, partition: int, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Trains on one partition; run by Spark with `mapPartitionsWithIndex`.

    An error in it is sent to the driver through the server and not raised here: Spark would
    run the task again, to no avail, and bury the message under its own.

    Yields:
        One dict: the worker's number, its rows, its history, and its failure if it had one; or
        how it "lost" another one, without which it can't go on.
    """
    torch.set_num_threads(cluster.task_cpus())
    loglevel.to_stderr(job.log_level)
    attempt = cluster.attempt()
    client = connected(job)
    worker = Worker(job, partition, attempt, client)
    try:
        # An address that is wrong is told at once, unless the server may just be starting again,
        # or the network is what this task's attempt before was lost with.
        client.patience = job.plan.patience if job.plan.keeps or cluster.tries() else 0.0
        _greet(client, job.connect_timeout)
        client.patience = job.plan.patience
        yield worker.run(rows)
    except Fenced:
        # Another attempt of this partition trains on; this one has nothing to say.
        _give_way(client, partition, attempt, job.timeout + job.plan.patience)
        yield {"worker": partition, "rows": 0, "history": {}}
    except Parted as error:
        yield {"worker": partition, "rows": 0, "history": {}, "lost": str(error)}
    except RowsCut:
        raise
    except Exception as error:
        failure = described(error)
        client.patience = 0.0
        if not isinstance(error, Unreachable):
            with contextlib.suppress(ElephasError):  # a server that is gone; the result tells too
                client.fail(partition, attempt, failure)
        yield {"worker": partition, "rows": 0, "history": {}, "failure": failure}
    finally:
        random.at(None)
        client.close()
        worker.device.empty()  # with an error its tensors go only now
        drain(rows)


def _greet(client: Client | ShardedClient, seconds: float) -> None:
    """The first word to the server; a connection that was there and was cut is made anew."""
    end = time.monotonic() + seconds
    while True:
        try:
            client.health()
            return
        except Unreachable as error:
            if not error.reached or time.monotonic() > end:
                raise
        time.sleep(0.1)


def _give_way(client: Client | ShardedClient, partition: int, attempt: int, longest: float) -> None:
    """Waits until the attempt that has taken over is done, or the run is.

    A task that ended before would do for Spark, which then kills the newer one in the middle of its
    training. It kills this one in its place, as soon as the newer one has ended.

    Raises:
        WorkerError: that attempt is lost too, so that the task is to be run again; or it is of a
            later attempt at the stage, to which Spark doesn't count this one, but which may need
            its slot. Also where nothing was heard of it for longer than any wait may take.
    """
    logger.info("Worker %d: attempt %d waits for the one that has taken over.", partition, attempt)
    client.patience = 0.0
    state = "active"
    with contextlib.suppress(ServerError):  # it is gone, and so is the run
        while state == "active":
            time.sleep(GIVE_WAY / 5)
            found = client.status()
            newer = found["workers"].get(str(partition), {"state": "away"})
            state = "left" if found["stop"] else newer["state"]
            if newer.get("tries", cluster.tries() + 1) <= cluster.tries():
                raise WorkerError(f"Attempt {attempt} of worker {partition} was replaced.")
            # Its lease doesn't run out while it waits for others, who may be gone as well.
            if newer.get("last_seen", 0.0) > longest:
                raise WorkerError(
                    f"Attempt {attempt} of worker {partition} was replaced by one that has been "
                    f"silent for {longest:g} s."
                )
    if state in ("expired", *AWAY):  # if it lives after all, it goes on
        raise WorkerError(
            f"Attempt {attempt} of worker {partition} was replaced by one that is lost."
        )
    time.sleep(GIVE_WAY)  # its result is on the way
