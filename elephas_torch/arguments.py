"""SparkModel's arguments: elephas's orders and names, its model and rows, and Spark's settings."""

from __future__ import annotations

import functools
import logging
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from pyspark import RDD, SparkContext

from elephas_torch import cluster, frames
from elephas_torch.config import NAMES
from elephas_torch.connect import context_of, is_connect, is_session
from elephas_torch.errors import unknown_arguments
from elephas_torch.keras.models import Model
from elephas_torch.parameter.process import checked_token
from elephas_torch.parameter.tls import Wanted

logger = logging.getLogger(__name__)

Fit = TypeVar("Fit", bound=Callable[..., Any])

_ALL_ROWS = "Workers go through all rows of their partitions: give fewer of them for less."
#: What to do in place of giving arguments of Keras's that have no meaning on Spark.
INSTEAD = {
    "steps": _ALL_ROWS,
    "steps_per_epoch": _ALL_ROWS,
    "validation_data": "Give validation_split, the share of each partition's rows to validate "
    "with; or, of a DataFrame, validation_indicator_col, a column that marks such rows.",
    "validation_batch_size": "Workers validate with batches of batch_size, 256 at least.",
    "validation_steps": "Workers validate with all rows that validation_split leaves them.",
    "validation_freq": "Workers validate after each epoch.",
    "sample_weight": "In an RDD a row's weight is its third entry: (features, label, weight); of a "
    "DataFrame give weight_col.",
}

#: Positional orders: elephas's first versions (with a context) and its later ones.
_FIRST = ("sc", "model", "optimizer", "mode", "frequency", "num_workers")
_LATER = ("model", "mode", "frequency", "parameter_server_mode", "num_workers", "custom_objects",
          "batch_size", "port")  # fmt: skip
#: Names that elephas had for the same, or for what is not needed any more.
_OTHER_NAMES = {"master_network": "model", "spark_context": "sc"}
_NOT_NEEDED = ("parameter_server_mode", "master_optimizer", "master_loss", "master_metrics")


def constructor(owner: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments that were given, by name, from either of elephas's orders."""
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
    known = ("sc", "model", "custom_objects", *NAMES)
    if strangers := [name for name in given if name not in known]:
        raise unknown_arguments(owner, strangers, known)
    if given.get("sc") is not None and not is_connect(given["sc"]):
        given["sc"] = context_of(given["sc"])
    return given


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
        token = checked_token(Path(path).read_text(encoding="ascii").strip())
        _warn_of_readers(path)
        return token
    except OSError as error:
        raise type(error)(f"spark.elephas.metrics_token_file can't be read: {error}") from None
    except ValueError:  # of bytes that aren't ASCII as well
        raise ValueError(
            "spark.elephas.metrics_token_file must name a file with a token in it: 16 or more "
            f"characters of ASCII, without spaces. Received: {path!r}"
        ) from None


@functools.cache  # once for each path
def _warn_of_readers(path: str) -> None:
    if os.name == "posix" and Path(path).stat().st_mode & 0o077:
        logger.warning(
            "Others than you may read the token in %s (spark.elephas.metrics_token_file): "
            "chmod 600 %s",
            path, shlex.quote(path),
        )  # fmt: skip


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


def rows_first(fit: Fit) -> Fit:
    """Looks at the rows before Python looks at the rest: of `fit(x, y, epochs=1)`, as Keras has it,
    that would say that `epochs` is there twice."""

    @functools.wraps(fit)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args or "x" in kwargs:
            checked_rows(args[0] if args else kwargs["x"])
        return fit(self, *args, **kwargs)

    return checked  # type: ignore[return-value]
