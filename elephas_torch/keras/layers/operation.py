"""A function of `keras.ops` in a functional model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from elephas_torch.keras import naming, trees
from elephas_torch.keras.layers.base import Layer
from elephas_torch.keras.symbolic import is_symbolic


class Operation(Layer):
    """Calls a function on tensors; made where `keras.ops`, or arithmetic, meets the tensor of an
    `Input`.

    Args:
        function_name: of the function in `keras.ops`.
        constants: more arguments of the function, by name.
        **kwargs: see `Layer`.

    Raises:
        ValueError: `keras.ops` has no such function.
    """

    supports_masking = True
    _casts = False

    def __init__(
        self, function_name: str, constants: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        if kwargs.get("name") is None:
            kwargs["name"] = naming.auto_name(function_name)
        super().__init__(**kwargs)
        self.function_name = function_name
        vars(self)["constants"] = dict(constants or {})
        self._function = _named(function_name)
        self.built = True

    @property
    def label(self) -> str:
        """What a summary calls it: as Keras's operation."""
        from elephas_torch.keras.ops.names import keras_class

        return keras_class(self.function_name)[1]

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def _as_tensors(self, inputs: Any) -> Any:
        return inputs  # a number or einsum's text may come first; the function converts

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        return None

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._probed_spec(args, kwargs)
        except (RuntimeError, IndexError) as error:
            taken = [one.shape for one in trees.leaves([args, kwargs]) if is_symbolic(one)]
            shapes = ", ".join(map(str, taken))
            raise ValueError(
                f"{self.function_name} can't be computed ({error}). "
                f"Received: symbolic tensors of shapes {shapes}"
            ) from error

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "function_name": self.function_name}


def _named(name: str) -> Callable[..., Any]:
    from elephas_torch.keras import ops  # large, and seldom needed

    function = getattr(ops, name, None)
    if function is None:
        raise ValueError(f"elephas_torch.keras.ops has no function {name!r}.")
    return function


def operation_config(layer: Operation, args: Any, kwargs: Any) -> dict[str, Any]:
    """Returns the config of an operation as Keras writes it: what isn't a tensor is in it."""
    from elephas_torch.keras.ops.names import keras_class

    module, class_name = keras_class(layer.function_name)
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": layer.name, **_split(layer, args, kwargs)[1]},
        "registered_name": None,
    }


def operation_arguments(
    layer: Operation, args: Any, kwargs: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Returns what Keras writes as the arguments of an operation's call."""
    return _split(layer, args, kwargs)[0], {}


def operation_of(config: dict[str, Any]) -> Operation:
    """Returns the operation that Keras's config describes."""
    from elephas_torch.keras.ops.names import function_of

    constants = dict(config["config"])
    name = constants.pop("name", None)
    for left_out in ("dtype", "trainable"):
        constants.pop(left_out, None)
    return Operation(function_of(config["class_name"]), constants, name=name)


def _split(layer: Operation, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that are tensors, in order; and the others by name."""
    function: Any = layer._function
    bound = inspect.signature(function).bind(*args, **kwargs).arguments
    tensors, constants = [], {}
    for name, value in bound.items():
        if name in function.tensor_arguments or name == "key":
            tensors.append(value)
        else:
            constants[name] = value
    return tensors, constants
