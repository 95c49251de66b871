"""A layer's config: the arguments that make it again, and the shapes that build it."""

from __future__ import annotations

import inspect
from typing import Any

from elephas_torch.keras import naming, policy, regularizers, serialization
from elephas_torch.keras.layers.weights import Weighted


class Configured(Weighted):
    """The part of a `Layer` that its config concerns."""

    dtype_policy: policy.DTypePolicy
    activity_regularizer: Any
    _init_arguments: dict[str, Any]
    _build_shapes: dict[str, Any] | None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able. Extend it: `{**super().get_config(), …}`.

        As in Keras 3 a declared input shape isn't among them: the model writes it.
        """
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": self.dtype_policy.described(),
        }
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if type(self).get_config is Configured.get_config and not serialization.is_own(type(self)):
            config = {**config, **self._init_arguments}
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Makes the layer that `get_config` described, not built."""
        parameters = inspect.signature(cls).parameters
        with naming.from_configs():
            if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                return cls(**config)
            # A constructor that takes nothing of Layer's own.
            own = {n: config[n] for n in ("name", "trainable", "dtype") if n in config}
            layer = cls(**{n: v for n, v in config.items() if n in parameters or n not in own})
        layer.name = own.get("name", layer.name)
        layer.trainable = own.get("trainable", layer.trainable)
        return layer

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` needs: the shapes that the layer was built with."""
        shapes = self._build_shapes
        if not shapes:
            return None
        if len(shapes) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": dict(shapes)}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer as `get_build_config` told."""
        if self.built or not config:
            return
        if "input_shape" in config:
            self.build(_as_shapes(config["input_shape"]))
        elif "shapes_dict" in config:
            self.build(**{name: _as_shapes(one) for name, one in config["shapes_dict"].items()})


def _as_shapes(shapes: Any) -> Any:
    """Shapes as JSON has them, lists, to tuples."""
    if isinstance(shapes, dict):
        return {name: _as_shapes(one) for name, one in shapes.items()}
    if isinstance(shapes, list) and any(isinstance(one, list | tuple) for one in shapes):
        return [_as_shapes(one) for one in shapes]
    return tuple(shapes)
