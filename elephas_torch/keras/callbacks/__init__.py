"""Callbacks: what happens at the ends of epochs and batches.

Follows https://keras.io/api/callbacks/. All of them work in `Model.fit` and, at the ends of
epochs and of training, in `SparkModel.fit`, where they run on the driver.
"""

from __future__ import annotations

from typing import Any

from elephas_torch.errors import absent, nearest
from elephas_torch.keras.callbacks.backup_and_restore import BackupAndRestore
from elephas_torch.keras.callbacks.base import Callback
from elephas_torch.keras.callbacks.csv_logger import CSVLogger
from elephas_torch.keras.callbacks.early_stopping import EarlyStopping
from elephas_torch.keras.callbacks.history import History
from elephas_torch.keras.callbacks.json_lines_logger import JSONLinesLogger
from elephas_torch.keras.callbacks.lambda_callback import LambdaCallback
from elephas_torch.keras.callbacks.learning_rates import LearningRateScheduler, ReduceLROnPlateau
from elephas_torch.keras.callbacks.mlflow_callback import MlflowCallback
from elephas_torch.keras.callbacks.model_checkpoint import ModelCheckpoint
from elephas_torch.keras.callbacks.progbar_logger import ProgbarLogger
from elephas_torch.keras.callbacks.several import CallbackList
from elephas_torch.keras.callbacks.swap_ema_weights import SwapEMAWeights
from elephas_torch.keras.callbacks.tensorboard import TensorBoard
from elephas_torch.keras.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History",
    "JSONLinesLogger", "LambdaCallback", "LearningRateScheduler", "MlflowCallback",
    "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "SwapEMAWeights", "TensorBoard",
    "TerminateOnNaN",
]  # fmt: skip

#: What Keras has and isn't here, with what to use.
_LEFT_OUT = {
    "RemoteMonitor": "send the logs yourself from a LambdaCallback(on_epoch_end=…), or use "
    "TensorBoard or CSVLogger",
    "OrbaxCheckpoint": "use ModelCheckpoint or BackupAndRestore",
}


def __getattr__(name: str) -> Any:
    if name in _LEFT_OUT:
        raise absent(f"{__name__} has no {name}: {_LEFT_OUT[name]}.")
    raise absent(f"module {__name__!r} has no attribute {name!r}.{nearest(name, __all__)}")
