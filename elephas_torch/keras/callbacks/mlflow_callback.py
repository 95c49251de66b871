"""`MlflowCallback`: a training as a run of MLflow."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elephas_torch.keras.arguments import check_flag, check_whole
from elephas_torch.keras.callbacks.base import Callback, Logs
from elephas_torch.keras.summary import summary

logger = logging.getLogger(__name__)

#: Seconds until a tracking server that failed is asked again; each time it is waited for as long as
#: MLflow's own settings say.
PAUSE = 300.0
#: What MLflow takes at once, and the longest value of a parameter.
_METRICS, _PARAMS, _LENGTH = 1000, 100, 500


class MlflowCallback(Callback):
    """Logs parameters, the model's summary and metrics to MLflow.

    Has the name and arguments of `mlflow.keras.MlflowCallback`, which takes Keras's models only.

    Needs MLflow: pip install "elephas-torch[mlflow]" for a tracking server, "mlflow" itself for
    a database of one's own. Logs to the active run; where there is none, starts one, and ends it
    as FINISHED, or when training ends by an exception as FAILED (Ctrl-C: KILLED).

    Parameters are "epochs", "optimizer_name", "optimizer_learning_rate" and so on, "loss",
    "weights" (how many), and of a `SparkModel` "spark_mode", "spark_num_workers" and so on. Each
    epoch's values are metrics at its number as step (from 0), the learning rate among them.
    The summary is the artifact "model_summary.txt".

    A tracking server that fails while training goes on, doesn't end the training: that is logged
    as a warning, once, and metrics are kept and sent later, with the times that they are of. At the
    beginning it is an error.

    Args:
        log_every_epoch: metrics at the end of each epoch. Default True.
        log_every_n_steps: metrics each so many steps of the optimizer in place of it; not in
            `SparkModel.fit`. Default None.
        log_models: at the end of training, the model as the artifact "model/<its name>.keras".
            Default False.
        run_name: of a run that is started here. Default None: MLflow makes one up.

    Attributes:
        run_id: of the run, of the last one behind training.

    Raises:
        ImportError: MLflow isn't there; the message tells how to install it.
        ValueError: `log_every_n_steps` together with `log_every_epoch`, or neither of them.
        mlflow.exceptions.MlflowException: the tracking server fails when training begins.
    """

    def __init__(
        self,
        log_every_epoch: bool = True,
        log_every_n_steps: int | None = None,
        *,
        log_models: bool = False,
        run_name: str | None = None,
    ) -> None:
        super().__init__()
        for name, flag in (("log_every_epoch", log_every_epoch), ("log_models", log_models)):
            check_flag(name, flag)
        if log_every_n_steps is not None:
            check_whole("log_every_n_steps", log_every_n_steps, 1)
        if bool(log_every_epoch) == (log_every_n_steps is not None):
            raise ValueError(
                "MlflowCallback: metrics are logged at epochs, or with log_every_epoch=False each "
                f"`log_every_n_steps` steps. Received: log_every_epoch={log_every_epoch!r}, "
                f"log_every_n_steps={log_every_n_steps!r}"
            )
        _mlflow()
        self.log_every_epoch, self.log_every_n_steps = log_every_epoch, log_every_n_steps
        self.log_models, self.run_name = log_models, run_name
        self.run_id: str | None = None
        self._client: Any = None
        self._started = self._warned = False
        self._unsent: list[Any] = []
        self._not_before = 0.0

    @property
    def _batchwise(self) -> bool:
        return self.log_every_n_steps is not None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        mlflow = _mlflow()
        active = mlflow.active_run()
        self._started, self._warned = active is None, False
        self._unsent, self._not_before = [], 0.0
        run = mlflow.start_run(run_name=self.run_name) if active is None else active
        self._client, self.run_id = mlflow.tracking.MlflowClient(), run.info.run_id
        known = self._client.get_run(self.run_id).data.params
        made = [
            mlflow.entities.Param(name, value)
            for name, value in _params(self.model, self.params).items()
            if name not in known  # by an earlier fit: MLflow lets nobody change them
        ]
        for start in range(0, len(made), _PARAMS):
            self._client.log_batch(self.run_id, params=made[start : start + _PARAMS])
        text = "\n".join(summary(self.model))
        self._client.log_text(self.run_id, text, "model_summary.txt")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.log_every_epoch:
            self._log({"learning_rate": self.model.optimizer.learning_rate, **(logs or {})}, epoch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        step = int(self.model.optimizer.iterations)
        if self.log_every_n_steps is not None and step % self.log_every_n_steps == 0:
            self._log(logs or {}, step)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.log_models:
            self._try(self._log_model)
        self._end("FINISHED")

    def on_exception(self, exception: BaseException) -> None:
        self._end("KILLED" if isinstance(exception, KeyboardInterrupt) else "FAILED")

    def _log(self, logs: Logs, step: int) -> None:
        metric, now = _mlflow().entities.Metric, int(time.time() * 1000)
        for name, value in logs.items():
            number = _number(value)
            if number is not None:
                self._unsent.append(metric(name, number, now, step))
        if time.monotonic() >= self._not_before:
            self._try(self._send)

    def _send(self) -> None:
        while self._unsent:
            self._client.log_batch(self.run_id, metrics=self._unsent[:_METRICS])
            del self._unsent[:_METRICS]

    def _log_model(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{self.model.name}.keras")
            self.model.save(path)
            self._client.log_artifact(self.run_id, str(path), "model")

    def _end(self, status: str) -> None:
        if self._client is None:
            return
        self._try(self._send)
        if self._unsent:
            logger.warning("MLflow: %d values could not be sent, and are lost.", len(self._unsent))
        if self._started:
            self._try(lambda: _mlflow().end_run(status))
        self._client = None

    def _try(self, function: Callable[[], Any]) -> None:
        """Calls what asks the tracking server, which mustn't end a training of days."""
        try:
            function()
        except Exception as error:
            self._not_before = time.monotonic() + PAUSE
            if not self._warned:
                logger.warning("MLflow fails; training goes on, and it is tried again. %s", error)
            self._warned = True


def _mlflow() -> Any:
    try:
        import mlflow
    except ImportError as error:
        raise ImportError(
            "MlflowCallback needs the package `mlflow-skinny` or `mlflow`, and neither is there: "
            f'pip install "elephas-torch[mlflow]". ({error})'
        ) from None
    return mlflow


def _params(model: Any, params: Logs) -> dict[str, str]:
    """What is told of a training, flat: names and short texts."""
    given = dict(params)
    found = {f"spark_{name}": value for name, value in given.pop("spark", {}).items()}
    found |= {f"optimizer_{name}": one for name, one in model.optimizer.get_config().items()}
    found |= {"model_name": model.name, "loss": _name(model.loss)}
    found |= {"weights": model.count_params(), "epochs": given.get("epochs")}
    if given.get("steps") is not None:
        found["steps"] = given["steps"]
    return {name: str(value)[:_LENGTH] for name, value in found.items()}


def _name(loss: Any) -> Any:
    """A loss's name; losses of several outputs, in lists and dicts, as they print."""
    if isinstance(loss, str | list | tuple | dict):
        return loss
    return getattr(loss, "__name__", type(loss).__name__)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None  # an array, or None
