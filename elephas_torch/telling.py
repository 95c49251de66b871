"""What the driver of a fit tells those who look on, and what they ask of it.

It is told through the parameter server, whose page they see; in the end the whole story goes into
the fit's `History`. Nothing of it may hold a fit up: what can't be told is left out.
"""

from __future__ import annotations

import json
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
from elephas_torch.keras.summary import summary
from elephas_torch.options import Options
from elephas_torch.page import Series, plain
from elephas_torch.parameter.shards import ShardedClient, ShardedServer

if TYPE_CHECKING:
    from elephas_torch.monitor import Monitor

logger = logging.getLogger(__name__)

#: Seconds between two words to the server: epochs may be shorter.
PAUSE = 0.25
#: Earlier runs of this program that a page shows beside its own, and epochs of each; characters of
#: a model's summary, epochs that are told at once, and characters of all that a fit is about: a
#: request has at most 1 MiB.
RUNS, EPOCHS, SUMMARY, AT_ONCE, ABOUT = 10, 60, 50_000, 50, 700_000
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
        monitor: shows where the page is.
    """

    def __init__(self, model: Model, options: Options, history: History, monitor: Monitor) -> None:
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
        state = "failed"
        try:
            self._begin(server)
            yield
            state = "stopped" if self._asked else "finished"
        finally:
            self._end(server, state)

    def look(self, client: ShardedClient) -> None:
        """Tells what is new, unless it has just told something."""
        if time.monotonic() - self._last >= PAUSE and (self._epochs or not self._told):
            try:
                self._tell(client)
            except ElephasError:  # a server that has fallen is the run's business
                raise
            except Exception:
                logger.warning("The page can't be told of the fit.", exc_info=True)

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

    def take_up(self) -> None:
        """Takes the epochs in the history, of the fit that this one goes on from: when they were
        over, and at which rates, isn't kept."""
        epochs, values = self._history.epoch, self._history.history.items()
        for number, epoch in enumerate(epochs):
            behind = len(epochs) - number  # some may have come later
            logs = {name: found[-behind] for name, found in values if len(found) >= behind}
            row = {"epoch": epoch, "time": None, "rate": None, "logs": plain(logs)}
            self._epochs.append(row)
            self._all.add(row)

    def again(self) -> None:
        """The server began anew: it is to be told all."""
        self._told, self._epochs, self._last = False, list(self._all.rows), 0.0

    def _begin(self, server: ShardedServer) -> None:
        try:
            self._monitor.begin(server)
        except Exception:  # nowhere to print it, say
            logger.warning("The fit's page can't be shown.", exc_info=True)

    def _tell(self, client: ShardedClient, state: str | None = None) -> None:
        epochs, self._epochs = self._epochs, []
        told, self._told, self._last = self._told, True, time.monotonic()
        for start in range(0, len(epochs), AT_ONCE):
            self._say(client, epochs=epochs[start : start + AT_ONCE])
        if not told:
            about, now = self.about(), state or ("stopping" if self.stopping else "running")
            if not self._say(client, about=about, state=now):
                self._say(client, about={**about, "earlier": [], "summary": ""}, state=now)
        elif state is not None:
            self._say(client, state=state)

    def _say(self, client: ShardedClient, **told: Any) -> bool:
        """Whether the server took it."""
        try:
            client.tell(**told)
        except Refused as error:  # too much of it, say
            logger.warning("The page can't be told of the fit: %s", error)
            return False
        return True

    def _end(self, server: ShardedServer, state: str) -> None:
        """Tells the end, and keeps the story."""
        story: dict[str, Any] = {"about": {}, "state": state, "epochs": list(self._all.rows)}
        try:
            story = self._told_by(server, state) or story
            story["about"] = story["about"] or self.about()
            if story["epochs"]:
                _earlier.append(_short(story))
        except Exception:
            logger.warning("The fit's story can't be told to its end.", exc_info=True)
        finally:
            story["ended"] = round(time.time(), 2)
            self._history.story = story
            self._monitor.end(story)

    def _told_by(self, server: ShardedServer, state: str) -> dict[str, Any] | None:
        """The whole story as the server has it; None where it can't be reached."""
        try:
            with server.client(GRACE) as client:
                self._tell(client, state)
                return client.story()
        except ElephasError as error:
            logger.debug("The end could not be told: %s", error)
            return None

    def about(self) -> dict[str, Any]:
        """What the fit is about, JSON-able, without a secret."""
        options, plan, model = self._options, self._options.plan, self._model
        stops, why = "both", ""
        if plan.exchange == "allreduce":
            gated = self._watched and options.config.quorum == 1
            stops, why = ("after", AFTER) if gated else ("none", TOGETHER)
        earlier = list(_earlier)
        found = {
            "title": model.name,
            "began": round(self._began, 2),
            "first": plan.initial_epoch,
            "epochs": plan.epochs,
            "batch_size": plan.batch_size,
            "stops": stops,
            "stops_why": why,
            "config": configuration(model, options),
            "summary": _summary(model)[:SUMMARY],
            "earlier": earlier,
        }
        while earlier and len(json.dumps(found)) > ABOUT:
            del earlier[0]
        return found


def configuration(model: Model, options: Options) -> dict[str, Any]:
    """How a fit is done, for people."""
    config, plan = options.config, options.plan
    found = {
        "mode": config.mode,
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
        "staleness": config.staleness if config.mode != "synchronous" else None,
        "staleness bound": config.staleness_bound,
        "quorum": config.quorum if config.quorum < 1 else None,
        "compression": config.compression,
        "servers": config.num_shards if config.num_shards > 1 else None,
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
    try:
        return "\n".join(summary(model, line_length=68))
    except Exception as error:  # a layer of somebody's own: no reason not to train
        logger.debug("The model has no summary: %s", error)
        return ""


def _short(story: dict[str, Any]) -> dict[str, Any]:
    """A run as the pages of later ones show it."""
    about, epochs = story["about"], Series(EPOCHS, story["epochs"])
    rows = [{**row, "logs": _rounded(row["logs"])} for row in epochs.rows]
    return {"title": about.get("title"), "began": about.get("began"), "epochs": rows}


def _rounded(logs: dict[str, Any]) -> dict[str, Any]:
    """The numbers in logs, and the texts that stand for NaN and infinite ones."""
    return {
        name: float(f"{value:.5g}") if isinstance(value, float) else value
        for name, value in logs.items()
        if isinstance(value, int | float | str)
    }
