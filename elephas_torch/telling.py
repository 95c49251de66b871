"""What the driver of a fit tells those who look on, and what they ask of it.

It is told through the parameter server, whose page they see; in the end the whole story goes into
the fit's `History`. Nothing of it may hold a fit up: what can't be told is left out.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from elephas_torch import preflight
from elephas_torch.errors import ElephasError, Refused
from elephas_torch.keras.callbacks import History
from elephas_torch.keras.models import Model
from elephas_torch.options import Options
from elephas_torch.page import Series, plain
from elephas_torch.parameter.shards import ShardedClient, ShardedServer

if TYPE_CHECKING:
    from elephas_torch.monitor import Monitor

logger = logging.getLogger(__name__)

#: Seconds between two words to the server: epochs may be shorter.
PAUSE = 0.25
#: Earlier runs of this program that a page shows beside its own, and epochs of each; characters of
#: a model's summary, and epochs that are told at once: a request has at most 1 MiB.
RUNS, EPOCHS, SUMMARY, AT_ONCE = 10, 60, 50_000, 200
#: Seconds that the server may take to hear of the end.
GRACE = 5.0
TOGETHER = (
    "Workers exchange among themselves here, and don't wait for the driver: they can't be stopped "
    "from this page. With a callback they can, after an epoch."
)
AFTER = "Workers exchange among themselves here: they can be stopped after an epoch."

_earlier: deque[dict[str, Any]] = deque(maxlen=RUNS)


class Teller:
    """Tells of one fit.

    Args:
        monitor: shows where the page is; None: nobody wants to know.
    """

    def __init__(
        self, model: Model, options: Options, history: History, monitor: Monitor | None
    ) -> None:
        self._model, self._options, self._history = model, options, history
        self._monitor = monitor
        self._watched = False
        self._told = self._asked = False
        self._rate: float | None = None
        self._epochs: list[dict[str, Any]] = []
        self._all = Series(1000)
        self._last = 0.0
        self._began = time.time()
        self.stopping = False

    @contextmanager
    def shown(self, server: ShardedServer, watched: bool) -> Iterator[None]:
        """Shows where the page is; tells in the end how the fit went.

        Args:
            watched: callbacks look at each epoch.
        """
        self._watched = watched
        if self._monitor is not None:
            self._monitor.begin(server)
        state = "failed"
        try:
            yield
            state = "stopped" if self._asked else "finished"
        finally:
            story = self._end(server, state)
            if self._monitor is not None:
                self._monitor.end(story)

    def look(self, client: ShardedClient) -> None:
        """Tells what is new, unless it has just told something."""
        if time.monotonic() - self._last >= PAUSE and (self._epochs or not self._told):
            self._tell(client)

    def note(self, event: dict[str, Any]) -> bool:
        """Takes an event of the server's; whether to stop at once."""
        if event["kind"] != "stopping":
            return False
        self._asked = self.stopping = True
        logger.info("Somebody asked on the page to stop.")
        return bool(event["now"])

    def epoch(self, number: int, logs: dict[str, Any], rate: float | None) -> None:
        """An epoch is over."""
        row = {"epoch": number, "time": round(time.time(), 2), "rate": rate, "logs": plain(logs)}
        self._epochs.append(row)
        self._all.add(row)

    def again(self) -> None:
        """The server began anew: it is to be told all."""
        self._told, self._epochs, self._last = False, list(self._all.rows), 0.0

    def _tell(self, client: ShardedClient, state: str | None = None) -> None:
        epochs, self._epochs = self._epochs, []
        about = None if self._told else self.about()
        if about is not None and state is None:
            state = "stopping" if self.stopping else "running"
        self._told, self._last = True, time.monotonic()
        try:
            while len(epochs) > AT_ONCE:
                client.tell(epochs=epochs[:AT_ONCE])
                epochs = epochs[AT_ONCE:]
            client.tell(about=about, state=state, epochs=epochs)
        except Refused as error:  # too much of it, say
            logger.warning("The page can't be told of the fit: %s", error)

    def _end(self, server: ShardedServer, state: str) -> dict[str, Any]:
        try:
            with server.client(GRACE) as client:
                self._tell(client, state)
                story = client.story()
        except ElephasError as error:
            logger.debug("The end could not be told: %s", error)
            story = {"about": self.about(), "state": state, "epochs": list(self._all.rows)}
        story["ended"] = round(time.time(), 2)
        if story["epochs"]:
            _earlier.append(_short(story))
        self._history.story = story
        return story

    def about(self) -> dict[str, Any]:
        """What the fit is about, JSON-able, without a secret."""
        options, plan, model = self._options, self._options.plan, self._model
        stops, why = "both", ""
        if plan.exchange == "allreduce":
            gated = self._watched and options.quorum == 1
            stops, why = ("after", AFTER) if gated else ("none", TOGETHER)
        return {
            "title": model.name,
            "began": round(self._began, 2),
            "first": plan.initial_epoch,
            "epochs": plan.epochs,
            "batch_size": plan.batch_size,
            "stops": stops,
            "stops_why": why,
            "config": configuration(model, options),
            "summary": _summary(model)[:SUMMARY],
            "earlier": list(_earlier),
        }


def configuration(model: Model, options: Options) -> dict[str, Any]:
    """How a fit is done, for people."""
    plan = options.plan
    found = {
        "mode": options.mode,
        "exchange": plan.exchange,
        "updates": "gradients" if plan.gradients else "differences of weights",
        "batches between exchanges": plan.every or "an epoch",
        "workers": options.workers,
        "epochs": plan.epochs,
        "batch size": plan.batch_size,
        "validation split": plan.validation_split,
        "shuffle": plan.shuffle,
        "seed": plan.seed,
        "optimizer": _rule(model.optimizer),
        "server's optimizer": None if options.own_optimizer else _rule(options.optimizer),
        "loss": None if model.compiled is None else _named(model.compiled.loss),
        "device": plan.device,
        "staleness": options.staleness if options.mode != "synchronous" else None,
        "staleness bound": options.staleness_bound,
        "quorum": options.quorum if options.quorum < 1 else None,
        "compression": options.compression,
        "servers": options.shards if options.shards > 1 else None,
        "checkpoints": options.recovery is not None or None,
        "TLS": options.tls.any or None,
    }
    return plain({name: value for name, value in found.items() if value is not None})


def _rule(optimizer: Any) -> str:
    rate = "" if preflight.is_scheduled(optimizer) else f"({optimizer.learning_rate:g})"
    return type(optimizer).__name__ + rate


def _named(loss: Any) -> Any:
    """Losses by their names, in the form in which they were given."""
    if isinstance(loss, dict):
        return {name: _named(one) for name, one in loss.items()}
    if isinstance(loss, Sequence) and not isinstance(loss, str):
        return [_named(one) for one in loss]
    return loss if isinstance(loss, str | None) else getattr(loss, "name", type(loss).__name__)


def _summary(model: Model) -> str:
    lines: list[str] = []
    try:
        model.summary(line_length=68, print_fn=lines.append)
    except Exception as error:  # a layer of somebody's own: no reason not to train
        logger.debug("The model has no summary: %s", error)
    return "\n".join(lines)


def _short(story: dict[str, Any]) -> dict[str, Any]:
    """A run as the pages of later ones show it."""
    about, epochs = story["about"], Series(EPOCHS, story["epochs"])
    rows = [{**row, "logs": _rounded(row["logs"])} for row in epochs.rows]
    return {"title": about["title"], "began": about["began"], "epochs": rows}


def _rounded(logs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: float(f"{value:.5g}") if isinstance(value, float) else value
        for name, value in logs.items()
    }
