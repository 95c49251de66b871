"""SparkModel's arguments: elephas's orders and names, checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyspark import RDD, SparkContext

from elephas_torch import cluster, device, frames, optimizers
from elephas_torch.connect import context_of, is_connect, is_session
from elephas_torch.errors import unknown, unknown_arguments
from elephas_torch.keras.models import Model
from elephas_torch.optimizers import Optimizer
from elephas_torch.parameter import slow
from elephas_torch.parameter.process import checked_token
from elephas_torch.parameter.tls import Wanted
from elephas_torch.parameter.wire import MODES
from elephas_torch.plan import EXCHANGES

_DEFAULTS: dict[str, Any] = {
    "sc": None,
    "model": None,
    "optimizer": None,
    "mode": "asynchronous",
    "frequency": "epoch",
    "exchange": "server",
    "num_workers": None,
    "custom_objects": None,
    "batch_size": 32,
    "port": 0,
    "host": None,
    "seed": None,
    "staleness": "scale",
    "join_timeout": 300.0,
    "round_timeout": 3600.0,
    "lease": 60.0,
    "memory": None,
    "shared_memory": True,
    "overlap": False,
    "num_shards": 1,
    "compression": None,
    "connect_timeout": 15.0,
    "reconnect_timeout": 120.0,
    "slots_timeout": None,
    "server_restarts": 3,
    "quorum": 1.0,
    "staleness_bound": None,
    "device": "auto",
    "gpus_per_task": None,
    "ssl": False,
    "ssl_certfile": None,
    "ssl_keyfile": None,
    "ssl_keyfile_password": None,
}
#: Positional orders: elephas's first versions (with a context) and its later ones.
_FIRST = ("sc", "model", "optimizer", "mode", "frequency", "num_workers")
_LATER = ("model", "mode", "frequency", "parameter_server_mode", "num_workers", "custom_objects",
          "batch_size", "port")  # fmt: skip
#: Names that elephas had for the same, or for what is not needed any more.
_OTHER_NAMES = {"master_network": "model", "spark_context": "sc"}
_NOT_NEEDED = ("parameter_server_mode", "master_optimizer", "master_loss", "master_metrics")


def constructor(owner: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments by name, from either of elephas's orders."""
    first = bool(args) and (args[0] is None or _is_spark(args[0]))
    order = _FIRST if first or "sc" in kwargs else _LATER
    if len(args) > len(order):
        raise TypeError(
            f"{owner} takes at most {len(order)} arguments without names: {', '.join(order)}."
        )
    given = dict(zip(order, args, strict=False))
    for name, value in kwargs.items():
        plain = _OTHER_NAMES.get(name, name)
        if plain in given:
            raise TypeError(f"{owner} got `{plain}` twice.")
        given[plain] = value
    for name in _NOT_NEEDED:
        given.pop(name, None)
    strangers = [name for name in given if name not in _DEFAULTS]
    if strangers:
        raise unknown_arguments(owner, strangers, _DEFAULTS)
    if given.get("sc") is not None and not is_connect(given["sc"]):
        given["sc"] = context_of(given["sc"])
    return {**_DEFAULTS, **given}


def _is_spark(thing: Any) -> bool:
    return isinstance(thing, SparkContext) or is_session(thing)


def checked_model(model: Any) -> Model:
    if type(model).__module__.partition(".")[0] == "keras":
        raise TypeError(
            "`model` is Keras's own. Import elephas_torch.keras in place of keras, or save it with "
            "model.save('model.keras') and open it with elephas_torch.keras.models.load_model. "
            f"Received: model={type(model).__name__}"
        )
    if isinstance(model, torch.nn.Module) and not isinstance(model, Model):
        raise TypeError(
            "`model` is a torch module: wrap it with Model.from_torch(module, input_shape=…) "
            f"and compile it. Received: model={type(model).__name__}"
        )
    if not isinstance(model, Model):
        raise TypeError(
            "`model` must be a model of elephas_torch.keras, such as a Sequential. "
            f"Received: model={model!r} (of type {type(model).__name__})"
        )
    model._needs_compile()
    return model


def checked_mode(mode: Any) -> str:
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    return str(mode)


def checked_exchange(exchange: Any) -> str:
    if exchange not in EXCHANGES:
        raise unknown("exchange", exchange, EXCHANGES)
    return str(exchange)


def check_exchange(
    exchange: str, mode: str, overlap: bool = False, shards: int = 1, compression: Any = None
) -> None:
    """Raises ValueError where workers of this mode don't exchange so."""
    if exchange == "allreduce" and compression is not None:
        raise ValueError(
            "compression is for exchange='server': all-reduce sends float32. "
            f"Received: exchange={exchange!r}, compression={compression!r}"
        )
    if exchange == "allreduce" and shards > 1:
        raise ValueError(
            "num_shards is for exchange='server': by all-reduce no server makes the updates. "
            f"Received: exchange={exchange!r}, num_shards={shards!r}"
        )
    if exchange == "allreduce" and overlap:
        raise ValueError(
            "overlap=True is for exchange='server': by all-reduce each step waits for all updates. "
            f"Received: exchange={exchange!r}, overlap={overlap!r}"
        )
    if exchange == "allreduce" and mode != "synchronous":
        raise ValueError(
            "exchange='allreduce' is for mode='synchronous': all workers make each update "
            "together. Set mode='synchronous', or exchange='server'. "
            f"Received: exchange={exchange!r}, mode={mode!r}"
        )


def check_slow(exchange: str, mode: str, shards: int, quorum: float, bound: int | None) -> None:
    """Raises ValueError where workers don't wait for each other so."""
    slow.check(mode, quorum, bound)
    if quorum < 1 and exchange != "server":
        raise ValueError(
            "quorum below 1 is for exchange='server': by all-reduce all workers make each update. "
            f"Received: quorum={quorum!r}, exchange={exchange!r}"
        )
    if shards > 1 and (quorum < 1 or bound is not None):
        raise ValueError(
            "quorum below 1, and staleness_bound, are for num_shards=1: several servers would wait "
            f"for different workers. Received: quorum={quorum!r}, staleness_bound={bound!r}, "
            f"num_shards={shards!r}"
        )


def checked_tls(given: dict[str, Any]) -> Wanted:
    """What of TLS is asked for; raises as `Wanted` and `Wanted.check`."""
    names = ("ssl", "ssl_certfile", "ssl_keyfile", "ssl_keyfile_password")
    wanted = Wanted(*(given[name] for name in names))
    wanted.check()
    return wanted


def tls_of(wanted: Wanted, setting: Callable[[str], str | None], exchange: str) -> Wanted:
    """The same with Spark's settings `spark.elephas.ssl…`, where the arguments say nothing.

    Raises:
        ValueError: workers are to send each other updates as well, which no TLS protects; or as
            `Wanted.check`.
    """
    if not wanted.any:
        asked = (setting("ssl") or "false").strip().lower()
        if asked not in ("true", "false"):
            raise ValueError(f"spark.elephas.ssl must be true or false. Received: {asked!r}")
        files = (setting(f"ssl_{name}") for name in ("certfile", "keyfile", "keyfile_password"))
        wanted = Wanted(asked == "true", *files)
        wanted.check()
    if wanted.any and exchange == "allreduce":
        raise ValueError(
            "exchange='allreduce' sends updates from worker to worker without TLS, though ssl is "
            "set. Use exchange='server'; or, in a network that nobody else can read, leave ssl out."
        )
    return wanted


def metrics_token(path: str | None) -> str | None:
    """The token in the file that `spark.elephas.metrics_token_file` names, if it names one.

    Raises:
        OSError: the file can't be read.
        ValueError: it has no token.
    """
    if path is None:
        return None
    try:
        return checked_token(Path(path).read_text(encoding="ascii").strip())
    except OSError as error:
        raise type(error)(f"spark.elephas.metrics_token_file can't be read: {error}") from None
    except ValueError:  # of bytes that aren't ASCII as well
        raise ValueError(
            "spark.elephas.metrics_token_file must name a file with a token in it: 16 or more "
            f"characters of ASCII, without spaces. Received: {path!r}"
        ) from None


def checked_devices(wanted: Any, share: Any) -> tuple[str, float | None]:
    """`device` and `gpus_per_task`; raises ValueError where they can't be, or not together."""
    wanted, share = device.checked(wanted), device.checked_share(share)
    if share is not None and wanted in ("cpu", "mps"):
        raise ValueError(
            "gpus_per_task asks Spark for GPUs, which go unused with this `device`. "
            f"Received: gpus_per_task={share!r}, device={wanted!r}"
        )
    return wanted, share


def checked_frequency(frequency: Any) -> str | int:
    whole = isinstance(frequency, int | np.integer) and not isinstance(frequency, bool)
    if whole and frequency >= 1:
        return int(frequency)
    if whole:
        raise ValueError(
            "`frequency` as a number of batches must be 1 or more. "
            f"Received: frequency={frequency!r}"
        )
    if frequency not in ("epoch", "batch"):
        raise unknown("frequency", frequency, ["epoch", "batch", "an integer H (every H batches)"])
    return str(frequency)


def checked_optimizer(optimizer: Any) -> Optimizer | None:
    return None if optimizer is None else optimizers.get(optimizer)


def checked_workers(workers: Any) -> int | None:
    if workers is None:
        return None
    if isinstance(workers, bool) or not isinstance(workers, int | np.integer) or workers < 1:
        raise ValueError(
            f"`num_workers` must be a whole number, 1 or more. Received: num_workers={workers!r}"
        )
    return int(workers)


def checked_port(port: Any) -> int:
    port = 0 if port is None else port
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ValueError(f"`port` must be 0 (a free one) to 65535. Received: port={port!r}")
    return port


def checked_rdd(rdd: Any) -> None:
    if not isinstance(rdd, RDD):
        raise TypeError(
            "SparkModel trains on an RDD of (features, label) pairs, which to_simple_rdd(sc, x, "
            f"y) makes of arrays, or on a Spark DataFrame. Received: {type(rdd).__name__}"
        )
    cluster.check_running(rdd.context)


def checked_rows(rows: Any) -> None:
    """Raises TypeError unless it is an RDD or a DataFrame."""
    if not frames.is_frame(rows):
        checked_rdd(rows)


def checked_seed(seed: Any) -> int | None:
    """Returns the seed; raises ValueError unless it is None or a whole number, 0 or more."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and not (whole and seed >= 0):
        raise ValueError(f"`seed` must be a whole number, 0 or more. Received: seed={seed!r}")
    return None if seed is None else int(seed)


def checked_staleness(staleness: Any) -> str | None:
    """Returns it; raises ValueError unless it is 'scale' or None."""
    if staleness not in ("scale", None):
        raise ValueError(
            "`staleness` must be 'scale' (divide by the versions missed + 1) or None (take "
            f"updates as they are). Received: staleness={staleness!r}"
        )
    return staleness
