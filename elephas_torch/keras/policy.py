"""Dtype policies: what layers compute in. Follows https://keras.io/api/mixed_precision/policy/

Weights are float32 in all of them. With "mixed_bfloat16" and "mixed_float16" a layer's products
and its outputs are of the shorter type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from elephas_torch.errors import unknown

__all__ = ["DTypePolicy", "Policy", "dtype_policy", "get", "set_dtype_policy"]

_COMPUTE = {
    "float32": torch.float32,
    "mixed_bfloat16": torch.bfloat16,
    "mixed_float16": torch.float16,
}


class DTypePolicy:
    """What a layer computes in, and what its weights are.

    Args:
        name: "float32", "mixed_bfloat16" or "mixed_float16".

    Attributes:
        compute_dtype, variable_dtype: names of dtypes.

    Raises:
        ValueError: another name.
    """

    def __init__(self, name: str = "float32") -> None:
        if name not in _COMPUTE:
            raise unknown("dtype policy", name, _COMPUTE)
        self.name = name
        self.compute = _COMPUTE[name]
        self.compute_dtype = str(self.compute).removeprefix("torch.")
        self.variable_dtype = "float32"
        self.is_mixed = name != "float32"

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        return cls(**config)

    def described(self) -> dict[str, Any]:
        """The policy in Keras 3's form, as layers' configs have it."""
        return {
            "module": "keras",
            "class_name": "DTypePolicy",
            "config": {"name": self.name},
            "registered_name": None,
        }

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> Any:
        # By `get`, so that a process that a layer is sent to knows of mixed policies too.
        return get, (self.name,)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


Policy = DTypePolicy
FLOAT32 = DTypePolicy()
_global = FLOAT32
#: Whether a mixed policy was ever made use of: only then layers look at dtypes.
ever_mixed = False


def get(identifier: Any = None) -> DTypePolicy:
    """Returns the policy that a layer's `dtype` argument stands for; None is the global one.

    Raises:
        ValueError: there is no such policy.
    """
    global ever_mixed
    if isinstance(identifier, DTypePolicy):
        found = identifier
    elif identifier is None:
        found = _global
    else:
        found = _named(identifier)
    ever_mixed = ever_mixed or found.is_mixed
    return found


def _named(identifier: Any) -> DTypePolicy:
    if isinstance(identifier, dict):
        identifier = identifier.get("config", {}).get("name", identifier)
    if isinstance(identifier, torch.dtype):
        identifier = str(identifier).removeprefix("torch.")
    elif isinstance(identifier, type) and issubclass(identifier, np.generic):
        identifier = np.dtype(identifier).name
    if identifier == "float32":
        return FLOAT32
    if identifier not in _COMPUTE:
        raise ValueError(
            "`dtype` must be 'float32', or a mixed policy: 'mixed_bfloat16', 'mixed_float16'; "
            f"weights are always float32. Received: dtype={identifier!r}"
        )
    return DTypePolicy(identifier)


def dtype_policy() -> DTypePolicy:
    """Returns the policy of layers that aren't told another by `dtype=`."""
    return _global


def set_dtype_policy(policy: Any) -> None:
    """Sets the policy of layers made from now on.

    Args:
        policy: a name or a `DTypePolicy`.

    Raises:
        ValueError: there is no such policy.
    """
    global _global
    _global = get("float32" if policy is None else policy)


global_policy = dtype_policy
set_global_policy = set_policy = set_dtype_policy
