"""`keras.mixed_precision`: which dtype layers compute in; see `elephas_torch.keras.policy`."""

from elephas_torch.keras.optimizers import LossScaleOptimizer
from elephas_torch.keras.policy import (
    DTypePolicy,
    Policy,
    dtype_policy,
    global_policy,
    set_dtype_policy,
    set_global_policy,
    set_policy,
)

__all__ = [
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy",
    "set_dtype_policy", "set_global_policy", "set_policy",
]  # fmt: skip
