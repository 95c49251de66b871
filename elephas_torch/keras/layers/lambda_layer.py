"""Any function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from elephas_torch.keras import code, serialization, trees
from elephas_torch.keras.layers.base import Layer, specs_of

__all__ = ["Lambda"]


class Lambda(Layer):
    """Computes what a function does. Follows https://keras.io/api/layers/core_layers/lambda/

    A function with a name is saved by it: decorate it with `register_keras_serializable()`, or
    pass `custom_objects`. A lambda is saved as Python code, which is only loaded with
    `safe_mode=False`.

    Args:
        function: takes the inputs; also `mask` and `training` where it has arguments of those
            names.
        output_shape: of one sample, without the batch; or a function of the inputs' shape
            (batch, None, in front) that gives the outputs'. Default None: found by calling the
            function on zeros.
        mask: of the outputs; or a function of inputs and mask that gives it. Default None, none.
        arguments: further arguments by name.
        **kwargs: see `Layer`.

    Raises:
        TypeError: `function` can't be called, or `arguments` is no dict.

    Example::

        Lambda(lambda x: x[:, ::2], output_shape=(4,))
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Sequence[int | None] | Callable[..., Any] | None = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(
                f"Lambda: `function` must be a function on tensors. Received: function={function!r}"
            )
        if arguments is not None and not isinstance(arguments, dict):
            raise TypeError(
                "Lambda: `arguments` must be a dict of arguments by name. "
                f"Received: arguments={arguments!r}"
            )
        self.function = function
        self.arguments = arguments or {}
        self.mask = mask
        self.supports_masking = mask is not None
        self._makes_masks = mask is not None  # type: ignore[misc]
        self._output_shape = output_shape
        takes = _argument_names(function)
        self._wants_mask, self._wants_mode = "mask" in takes, "training" in takes

    def call(self, inputs: Any, mask: Any = None) -> Any:
        kwargs = dict(self.arguments)
        if self._wants_mask:
            kwargs["mask"] = mask
        if self._wants_mode:
            kwargs["training"] = self.training
        return self.function(inputs, **kwargs)

    def _looks_at_masks(self) -> bool:
        return self._wants_mask

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self._output_shape is None:
            return self._probed_spec(args, kwargs)
        return super().compute_output_spec(*args, **kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._output_shape is None:
            inputs = specs_of(input_shape, self.compute_dtype)
            return trees.map_leaves(lambda one: one.shape, self._probed_spec((inputs,), {}))
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        batch = trees.leaves(input_shape)[0]
        return _with_batch(self._output_shape, batch)

    def get_config(self) -> dict[str, Any]:
        config = {"function": _written(self.function)}
        if self._output_shape is not None:
            config["output_shape"] = _written(self._output_shape)
        if self.mask is not None:
            config["mask"] = _written(self.mask)
        config["arguments"] = serialization.serialize_keras_object(dict(self.arguments))
        return {**super().get_config(), **config}

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
        safe_mode: bool | None = None,
    ) -> Lambda:
        """Makes the layer again.

        Args:
            custom_objects: name -> function.
            safe_mode: False runs the Python code that a lambda was saved as. Default True.

        Raises:
            ValueError: the config holds such code in safe mode, or names an unknown function.
        """
        settings = _from_keras_2(dict(config))
        for name in {"function", "output_shape", "mask", "arguments"} & settings.keys():
            settings[name] = _read(settings[name], custom_objects, safe_mode)
        shape = settings.get("output_shape")
        if isinstance(shape, list) and all(isinstance(n, int | None) for n in shape):
            settings["output_shape"] = tuple(shape)
        return cls(**settings)


def _argument_names(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:  # a builtin that doesn't tell
        return []


def _with_batch(shapes: Any, batch: int | None) -> Any:
    if isinstance(shapes, dict):
        return {name: _with_batch(one, batch) for name, one in shapes.items()}
    if any(isinstance(one, list | tuple) for one in shapes):
        return [_with_batch(one, batch) for one in shapes]
    return (batch, *shapes)


def _written(value: Any) -> Any:
    if isinstance(value, tuple):
        return value
    return serialization.serialize_keras_object(value)


def _read(value: Any, custom_objects: Any, safe_mode: Any) -> Any:
    return serialization.deserialize_keras_object(value, custom_objects, safe_mode, "function")


def _from_keras_2(settings: dict[str, Any]) -> dict[str, Any]:
    """Keras 1 and 2 wrote beside a function what kind it is."""
    settings.pop("module", None)
    for name in ("function", "output_shape", "mask"):
        kind = settings.pop(f"{name}_type", None)
        settings.pop(f"{name}_module", None)
        value = settings.get(name)
        if kind == "lambda":
            parts = value if isinstance(value, list | tuple) else [value]
            settings[name] = {"class_name": code.CLASS_NAME, "config": {"value": parts}}
        elif kind == "function":
            settings[name] = {"class_name": "function", "config": value}
    return settings
