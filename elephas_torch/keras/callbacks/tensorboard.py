"""`TensorBoard`: losses, metrics and weights for TensorBoard."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras.arguments import check_whole
from elephas_torch.keras.callbacks.base import Callback, Logs

#: What Keras 1 and 2 had, and nothing depends on any more.
_OLD = ("batch_size", "write_grads", "embeddings_layer_names", "embeddings_data")


class TensorBoard(Callback):
    """Writes values for TensorBoard, into `log_dir/train` and `log_dir/validation`.

    Follows https://keras.io/api/callbacks/tensorboard/

    Needs the package `tensorboard`: pip install "elephas-torch[tensorboard]". Each epoch writes
    "epoch_loss" and so on, the learning rate among them, at the epoch's number; each validation
    or evaluation "evaluation_loss_vs_iterations" and so on. See it with
    `tensorboard --logdir=logs`.

    Args:
        log_dir: the folder, for this callback alone. Default "logs".
        histogram_freq: histograms of the weights each so many epochs. Default 0: none.
        write_graph: accepted; no graph is written.
        write_images: with the histograms, weights as images. Default False.
        write_steps_per_second: "epoch_steps_per_second", and with `update_freq` in batches
            "batch_steps_per_second". Default False.
        update_freq: "epoch" (default), or "batch" or a number of batches: then "batch_loss" and
            so on are written each so many batches as well.
        profile_batch: must be 0; `torch.profiler` writes for TensorBoard.
        embeddings_freq: vectors of `Embedding` layers each so many epochs. Default 0: none.
        embeddings_metadata: a file with a line a row of the embedding, or a dict of layers'
            names and such files.

    Raises:
        ImportError: `tensorboard` isn't there; the message tells how to install it.
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if strangers := [name for name in kwargs if name not in _OLD]:
            raise unknown_arguments("TensorBoard", strangers, _ARGUMENTS)
        check_whole("histogram_freq", histogram_freq, 0)
        check_whole("embeddings_freq", embeddings_freq, 0)
        if profile_batch:
            raise ValueError(
                "TensorBoard: batches aren't profiled here; use torch.profiler.profile with "
                "on_trace_ready=torch.profiler.tensorboard_trace_handler(log_dir). "
                f"Received: profile_batch={profile_batch!r}"
            )
        _writer_class()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = _update_freq(update_freq)
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._writers: dict[str, Any] = {}
        self._batches = 0
        self._batch_began = self._epoch_began = 0.0
        self._iterations = 0

    @property
    def _batchwise(self) -> bool:
        return self.update_freq != "epoch"

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            self._writers[part] = _writer_class()(os.path.join(self.log_dir, part))
        return self._writers[part]

    def _write(self, part: str, values: Logs, name: str, step: int) -> None:
        for key, value in values.items():
            self._writer(part).add_scalar(name.format(key), float(value), step)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if "://" not in self.log_dir:  # what can't be made is told now, and not after an epoch
            os.makedirs(self.log_dir, exist_ok=True)
        self._batches = 0

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began = time.perf_counter()
        self._iterations = int(self.model.optimizer.iterations)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_begin(batch, logs)
        self._batches += 1
        self._batch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self.update_freq == "epoch" or self._batches % int(self.update_freq):
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            values["steps_per_second"] = 1 / (time.perf_counter() - self._batch_began)
        self._write("train", values, "batch_{}", self._batches)

    def on_test_end(self, logs: Logs | None = None) -> None:
        step = int(self.model.optimizer.iterations)
        self._write("validation", logs or {}, "evaluation_{}_vs_iterations", step)
        for writer in self._writers.values():
            writer.flush()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        training = {name: one for name, one in logs.items() if not name.startswith("val_")}
        validation = {name[4:]: one for name, one in logs.items() if name.startswith("val_")}
        training["learning_rate"] = self.model.optimizer.learning_rate
        if self.write_steps_per_second:
            done = int(self.model.optimizer.iterations) - self._iterations
            training["steps_per_second"] = done / (time.perf_counter() - self._epoch_began)
        self._write("train", training, "epoch_{}", epoch)
        self._write("validation", validation, "epoch_{}", epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        for writer in self._writers.values():
            writer.flush()

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for layer in self.model.layers:
            for name, weight in layer.state_dict().items():
                tag = f"{layer.name}/{name.replace('.', '/')}"
                writer.add_histogram(f"{tag}/histogram", weight.detach().cpu(), epoch)
                image = _image(weight.detach().cpu()) if self.write_images else None
                if image is not None:
                    writer.add_images(f"{tag}/image", image, epoch, dataformats="NHWC")

    def _write_embeddings(self, epoch: int) -> None:
        from elephas_torch.keras.layers import Embedding

        for layer in self.model.layers:
            if isinstance(layer, Embedding):
                table = next(iter(layer.state_dict().values())).detach().cpu()
                self._writer("train").add_embedding(
                    table, self._labels(layer.name), tag=layer.name, global_step=epoch
                )

    def _labels(self, layer: str) -> list[str] | None:
        files = self.embeddings_metadata
        file = files.get(layer) if isinstance(files, dict) else files
        return None if file is None else Path(file).read_text().splitlines()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard needs the package `tensorboard`, which isn't there: "
            f'pip install "elephas-torch[tensorboard]". ({error})'
        ) from None
    return SummaryWriter


def _update_freq(update_freq: Any) -> str | int:
    if update_freq == "epoch":
        return "epoch"
    if update_freq == "batch":
        return 1
    if isinstance(update_freq, bool) or not isinstance(update_freq, int) or update_freq < 1:
        raise ValueError(
            "TensorBoard: `update_freq` must be 'epoch', 'batch' or a number of batches. "
            f"Received: update_freq={update_freq!r}"
        )
    return update_freq


def _image(weight: Tensor) -> Tensor | None:
    """A weight as images, NHWC, as Keras shows it; None where it can't be shown."""
    weight = weight.squeeze()
    if weight.dim() == 1:
        weight = weight.reshape(1, -1, 1, 1)
    elif weight.dim() == 2:
        weight = (weight.T if weight.shape[0] > weight.shape[1] else weight)[None, ..., None]
    elif weight.dim() == 3:
        weight = weight.permute(2, 0, 1)[..., None]
    shown = weight.dim() == 4 and weight.shape[-1] in (1, 3)
    return weight if shown else None


_ARGUMENTS = (
    "log_dir", "histogram_freq", "write_graph", "write_images", "write_steps_per_second",
    "update_freq", "profile_batch", "embeddings_freq", "embeddings_metadata",
)  # fmt: skip
