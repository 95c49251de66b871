"""SparkModel against its peers: each mode and frequency, in steady state and as a whole fit."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import barest, ddp, elephas_peer, frames, loops, networks, peers
from benchmarks.groups import ACCURACY, RATE, WHOLE, Column, Goal, Group, Measure, in_turn
from benchmarks.loops import WORKERS, Work

MODES = ("synchronous", "asynchronous", "hogwild")
FREQUENCIES = ("epoch", 8, "batch")
#: What an exchange over HTTP is changed by, each beside the asynchronous mode without it.
CHANGES: dict[str, dict[str, Any]] = {
    "overlap": {"overlap": True},
    "2 shards": {"num_shards": 2},
} | {codec: {"compression": codec} for codec in ("bf16", "int8", "topk")}
#: What is measured of SparkModel, by name: its arguments. More ways to exchange are added here.
OURS: dict[str, dict[str, Any]] = {
    f"{mode} {frequency}": {"mode": mode, "frequency": frequency}
    for frequency in FREQUENCIES
    for mode in MODES
} | {
    f"{mode} batch, HTTP": {"mode": mode, "frequency": "batch", "shared_memory": False}
    for mode in MODES
} | {
    f"asynchronous batch, HTTP, {name}": {
        "mode": "asynchronous", "frequency": "batch", "shared_memory": False, **change,
    }
    for name, change in CHANGES.items()
} | {
    "synchronous batch, all-reduce": {
        "mode": "synchronous", "frequency": "batch", "exchange": "allreduce",
    },
}  # fmt: skip
LOOPS, HOGWILD, DDP = "two plain loops", "torch hogwild", "DDP by TorchDistributor"
BAREST = "barest TCP exchange"
ELEPHAS, SPARKTORCH = "elephas", "sparktorch"
#: What the issue of speed asks for, of the MLP.
GOALS = [
    Goal("synchronous epoch", LOOPS, least=0.9),
    Goal("asynchronous epoch", LOOPS, least=0.9),
    Goal("hogwild batch", HOGWILD, least=0.9),
    Goal("asynchronous batch, HTTP", LOOPS, least=0.6),
    Goal("synchronous batch", DDP, least=2.0),
    Goal("synchronous batch", DDP, "whole", least=2.0),
]
#: How many times as fast as elephas, by frequency: the whole fit, and in steady state.
TIMES = {"epoch": (3.5, 4.0), "batch": (15.0, 20.0)}
COLUMNS = (RATE, WHOLE, ACCURACY, Column("ms a step", "step_ms", ".2f"))
#: Seconds; what takes longer is measured once.
LIMIT = 90.0


def suite(arguments: Any, others: peers.Peers) -> Iterator[Group]:
    """A group of loops and PyTorch's own ways, and one of other libraries on Spark, a network."""
    with frames.session({}) as spark, loops.pool() as processes:
        for name in arguments.networks:
            network = networks.NETWORKS[name]
            work = Work(name, network.rows(arguments.rows), arguments.epochs)
            rdd = _rdd(spark, work)
            take = functools.partial(_taken, name, arguments)
            wanted = [one for one in OURS if not arguments.only or one in arguments.only]
            ours = _ours(rdd, work, wanted)
            theirs: dict[str, Measure] = {
                **loops.measures(processes, work),
                BAREST: functools.partial(barest.fit, processes, work),
                DDP: functools.partial(ddp.fit, work),
            }
            theirs = {one: peers.excused(measure) for one, measure in theirs.items()}
            group = take("torch", LOOPS, theirs | ours, GOALS)
            short = work._replace(epochs=max(work.epochs // 2, 2))
            libraries = _libraries(others, short, arguments.only)
            group.left_out |= others.missing(ELEPHAS, SPARKTORCH)
            yield group
            plain = [one for one in wanted if OURS[one] in _as_elephas_has_them()]
            ours = _ours(rdd, short, plain)
            if libraries and ours:
                measures = ours | libraries
                yield take("other libraries", next(iter(ours)), measures, elephas_goals())


def _as_elephas_has_them() -> list[dict[str, Any]]:
    return [{"mode": mode, "frequency": often} for mode in MODES for often in ("epoch", "batch")]


def _taken(
    network: str, arguments: Any, who: str, against: str, measures: dict[str, Measure],
    goals: list[Goal],
) -> Group:  # fmt: skip
    title = f"{network}, against {who}"
    goals = goals if network == "MLP" else []
    return in_turn(
        title, against, measures, arguments.rounds, limit=LIMIT, columns=COLUMNS, goals=goals
    )


def _rdd(spark: Any, work: Work) -> Any:
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    return to_simple_rdd(spark.sparkContext, *networks.rows(work.shape, work.rows))


def _ours(rdd: Any, work: Work, names: list[str]) -> dict[str, Measure]:
    return {name: functools.partial(fit, rdd, work, **OURS[name]) for name in names}


def fit(rdd: Any, work: Work, **how: Any) -> dict[str, float]:
    """SparkModel's workers from their second epoch on, and the whole fit."""
    from elephas_torch import SparkModel, keras

    network = networks.NETWORKS[work.network]
    model = SparkModel(networks.by_keras(keras, network), num_workers=WORKERS, **how)
    began = time.perf_counter()
    model.fit(rdd, epochs=work.epochs, batch_size=work.batch_size, verbose=0)
    whole = time.perf_counter() - began
    rate = work.rate([one["seconds"] for one in model.training_histories])
    steps = work.rows / WORKERS / work.batch_size
    return {
        "rate": rate,
        "whole": whole,
        "step_ms": 1000 * (work.rows / rate) / steps,
        "accuracy": networks.accuracy(network, model.predict),
    }


def _libraries(
    others: peers.Peers, work: Work, only: list[str]
) -> dict[str, Callable[[], dict[str, float]]]:
    found: dict[str, Measure] = {}
    if peer := others.get(ELEPHAS, "elephas"):
        for name, how in elephas_peer.MODES.items():
            found[name] = functools.partial(_asked, peer, work, how)
    if peer := others.get(SPARKTORCH, "sparktorch"):
        for mode in ("synchronous", "hogwild"):
            found[f"{SPARKTORCH} {mode}"] = functools.partial(_asked, peer, work, {"mode": mode})
    theirs = [name for name in only or [] if name.startswith((ELEPHAS, SPARKTORCH))]
    return {name: take for name, take in found.items() if not theirs or name in theirs}


def _asked(peer: peers.Peer, work: Work, how: dict[str, Any]) -> dict[str, float]:
    found = peer.ask(**work._asdict(), **how)
    rate = work.marginal(found["first"], found["whole"])
    return {"rate": rate, "whole": found["whole"], "accuracy": found["accuracy"]}


def elephas_goals() -> list[Goal]:
    """Ours against each way that elephas has of the same mode and frequency."""
    goals = []
    for name, how in elephas_peer.MODES.items():
        frequency = how.get("frequency", "epoch")
        whole, steady = TIMES[frequency]
        ours = f"{how['mode']} {frequency}"
        goals += [Goal(ours, name, "whole", least=whole), Goal(ours, name, "rate", least=steady)]
    return goals
