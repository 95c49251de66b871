"""`Layer`: what every layer is, and what to subclass for one of your own.

A layer is a `torch.nn.Module` with Keras's habits: it makes its weights when it first sees a
shape (`build`), computes in `call`, tells its config, and hands out weights as NumPy arrays.
Shapes are tuples whose first entry, the batch, is None.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras import initializers, naming, serialization
from elephas_torch.keras.layers.declared import Shape, declared, shape_of, weight_shape

__all__ = ["Layer", "Shape"]

_DTYPE_POLICY = {
    "module": "keras",
    "class_name": "DTypePolicy",
    "config": {"name": "float32"},
    "registered_name": None,
}


class Layer(nn.Module):
    """A layer of a model. Follows https://keras.io/api/layers/base_layer/

    Subclass it: make weights in `build` with `add_weight`, compute in `call`, and return the
    constructor's arguments from `get_config` (left out, they are taken as they were given).

    Args:
        name: unique within a model; made from the class's name by default.
        trainable: whether training changes the weights. Default True.
        dtype: float32, the only one.
        input_shape: of one sample, without the batch; a model whose first layer has it is
            built at once. `input_dim=n` is the same as `input_shape=(n,)`;
            `batch_input_shape` and `batch_shape` have the batch (None) in front.

    Example::

        class Scale(Layer):
            def build(self, input_shape):
                self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")

            def call(self, inputs):
                return inputs * self.factor
    """

    #: What inputs are converted to before they reach the layer, when it is a model's first.
    input_dtype: ClassVar[torch.dtype] = torch.float32
    #: Where Keras keeps the class of this name: written into configs.
    keras_module: ClassVar[str] = "keras.layers"

    _init_arguments: dict[str, Any]
    built: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Layer:
        layer = super().__new__(cls)
        object.__setattr__(layer, "_init_arguments", _bound(cls, args, kwargs))
        return layer

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Sequence[int | None] | None = None,
        input_dim: int | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        batch_shape: Sequence[int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if kwargs:
            raise unknown_arguments(type(self).__name__, kwargs, _argument_names(type(self)))
        _check_dtype(dtype)
        self.training = False
        self.name = name or naming.auto_name(naming.snake_case(type(self).__name__))
        self.built = False
        self._trainable = bool(trainable)
        self._trainable_names: list[str] = []
        self._frozen_names: list[str] = []
        self._aliases: dict[str, str] = {}
        self.declared_shape = declared(input_shape, input_dim, batch_input_shape or batch_shape)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("elephas_torch."):
            serialization.own(cls)
        if "build" in cls.__dict__:
            cls.build = _marks_built(cls.__dict__["build"])  # type: ignore[method-assign]
        cls._takes_training = "training" in inspect.signature(cls.call).parameters

    _takes_training: ClassVar[bool] = False

    def build(self, input_shape: Shape) -> None:
        """Makes the weights. Called once, with the shape of the input, batch first (None)."""
        self.built = True

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs. Override it; take `training=None` to know the mode."""
        return inputs

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        if not isinstance(inputs, Tensor):
            inputs = self._as_tensors(inputs)
        if not self.built:
            self.build(shape_of(inputs))
        if training is None or training == self.training:
            return super().__call__(inputs, *args, **kwargs)
        before = self.training
        self.train(training)
        try:
            return super().__call__(inputs, *args, **kwargs)
        finally:
            self.train(before)

    def _as_tensors(self, inputs: Any) -> Any:
        if isinstance(inputs, np.ndarray):
            return torch.as_tensor(inputs, dtype=self.input_dtype)
        if isinstance(inputs, list | tuple) and all(isinstance(one, Tensor) for one in inputs):
            return inputs
        raise TypeError(f"A layer takes tensors. Received: {type(inputs).__name__}")

    def forward(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if self._takes_training:
            kwargs["training"] = self.training
        return self.call(inputs, *args, **kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The outputs' shape for a shape of inputs, batch (None) first.

        By default found by calling the layer on zeros.
        """
        if not self.built:
            self.build(input_shape)
        sample = torch.zeros([1 if n is None else n for n in input_shape], dtype=self.input_dtype)
        with torch.no_grad():
            return (None, *self(sample, training=False).shape[1:])

    def add_weight(
        self,
        shape: Sequence[int] | int | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> Any:
        """Makes a weight of this layer and returns it.

        Args:
            shape: default (), a scalar.
            initializer: name, object or function of (shape, dtype). Default "glorot_uniform".
            dtype: float32, the only one.
            trainable: False for what training doesn't change by gradients (moving means).
            name: default weight, weight_1 …

        Returns:
            A `torch.nn.Parameter`, or for `trainable=False` a tensor (a buffer).
        """
        _check_dtype(dtype)
        shape = weight_shape(shape)
        start: Any = initializers.get(initializer or "glorot_uniform")
        values = start(shape, dtype=torch.float32)
        name = self._free_name(name or "weight")
        if trainable:
            weight = nn.Parameter(values, requires_grad=self._trainable)
            self.register_parameter(name, weight)
            self._trainable_names.append(name)
            return weight
        self.register_buffer(name, values)
        self._frozen_names.append(name)
        return values

    def _free_name(self, name: str) -> str:
        name = name.replace(".", "_")
        taken = {*self._parameters, *self._buffers, *self._modules}
        free, count = name, 0
        while free in taken:
            count += 1
            free = f"{name}_{count}"
        return free

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor) and self._keep_registered(name, value):
            return
        super().__setattr__(name, value)

    def _keep_registered(self, name: str, value: Tensor) -> bool:
        for known, weight in [*self._parameters.items(), *self._buffers.items()]:
            if weight is value and known != name:
                # add_weight() registered it. Registered twice, state_dict() had it twice.
                self._aliases[name] = known
                return True
        name = self._aliases.get(name, name)
        buffer = self._buffers.get(name)
        if buffer is None or buffer is value or isinstance(value, nn.Parameter):
            return False
        if buffer.shape != value.shape:
            return False
        # `self.mean = 0.9 * self.mean` changes the weight; another tensor would be no weight.
        with torch.no_grad():
            buffer.copy_(value)
        return True

    def __getattr__(self, name: str) -> Any:
        aliases = self.__dict__.get("_aliases", {})
        return super().__getattr__(aliases.get(name, name))

    def _sublayers(self) -> Iterator[nn.Module]:
        return self.children()

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that training changes, own ones first; [] where `trainable` is False."""
        return [w for w in self.weights if isinstance(w, nn.Parameter) and w.requires_grad]

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that training doesn't change by gradients."""
        return [w for w in self.weights if not (isinstance(w, nn.Parameter) and w.requires_grad)]

    @property
    def weights(self) -> list[Tensor]:
        """All weights in Keras's order: own trainable ones, own others, then the sublayers'."""
        own: list[Tensor] = [self._parameters[name] for name in self._trainable_names]  # type: ignore[misc]
        own += [p for p in self._parameters.values() if p is not None]
        own += [self._buffers[name] for name in self._frozen_names]  # type: ignore[misc]
        for child in self._sublayers():
            if isinstance(child, Layer):
                own += child.weights
            else:
                own += [*child.parameters(), *child.buffers()]
        seen: set[int] = set()
        return [w for w in own if not (id(w) in seen or seen.add(id(w)))]  # type: ignore[func-returns-value]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; set it before `compile`."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for weight in self._parameters.values():
            if weight is not None:
                weight.requires_grad_(self._trainable)
        for child in self._sublayers():
            if isinstance(child, Layer):
                child.trainable = value
            else:
                child.requires_grad_(self._trainable)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in Keras's order and shapes."""
        return [w.detach().cpu().numpy().copy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Takes a list such as `get_weights()` returned.

        Raises:
            ValueError: the number of arrays or a shape doesn't fit; the message names the layer.
        """
        mine = self.weights
        if not isinstance(weights, list | tuple):
            raise TypeError(
                "`weights` must be a list of arrays, as get_weights() returns it. "
                f"Received: {type(weights).__name__}"
            )
        if len(mine) != len(weights):
            raise ValueError(
                f"{self._label} has {len(mine)} weights; `weights` has {len(weights)}."
                + ("" if self.built else " It isn't built yet: give it an input shape first.")
            )
        arrays = [_array(w, number) for number, w in enumerate(weights)]
        for number, (weight, array) in enumerate(zip(mine, arrays, strict=True)):
            if weight.shape != array.shape:
                raise ValueError(
                    f"{self._label}: weight {number} has shape {tuple(weight.shape)}. "
                    f"Received: an array of shape {tuple(array.shape)}"
                )
        with torch.no_grad():
            for weight, array in zip(mine, arrays, strict=True):
                weight.copy_(array)

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(w.numel() for w in self.weights)

    @property
    def _label(self) -> str:
        return f"Layer {self.name!r} ({type(self).__name__})"

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able. Extend it: `{**super().get_config(), …}`.

        As in Keras 3 a declared input shape isn't among them: the model writes it.
        """
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": _DTYPE_POLICY,
        }
        if type(self).get_config is Layer.get_config and not serialization.is_own(type(self)):
            config = {**config, **self._init_arguments}
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Makes the layer that `get_config` described, not built."""
        parameters = inspect.signature(cls).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return cls(**config)
        # A constructor that takes nothing of Layer's own.
        own = {n: config[n] for n in ("name", "trainable", "dtype") if n in config}
        layer = cls(**{n: v for n, v in config.items() if n in parameters or n not in own})
        layer.name = own.get("name", layer.name)
        layer.trainable = own.get("trainable", layer.trainable)
        return layer

    def extra_repr(self) -> str:
        return f"name={self.name}, built={self.built}"


def _marks_built(build: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        self.built = True

    return wrapper


def _bound(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor by name, without those that Layer writes or needs itself."""
    signature = inspect.signature(cls)
    try:
        bound = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return {}  # the constructor will say so
    found: dict[str, Any] = {}
    for name, value in bound.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found.update({k: v for k, v in value.items() if k not in _OWN_ARGUMENTS})
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            found[name] = value
    return {k: v for k, v in found.items() if k not in ("name", "trainable", "dtype")}


def _argument_names(cls: type) -> list[str]:
    names = [n for n in inspect.signature(cls).parameters if n not in ("args", "kwargs")]
    return names + [n for n in _OWN_ARGUMENTS if n not in names]


_OWN_ARGUMENTS = (
    "name", "trainable", "dtype", "input_shape", "input_dim", "batch_input_shape", "batch_shape",
)  # fmt: skip


def _check_dtype(dtype: Any) -> None:
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name", dtype)
    if dtype not in (None, "float32", torch.float32, np.float32):
        raise ValueError(f"`dtype` must be 'float32'. Received: dtype={dtype!r}")


def _array(weight: Any, number: int) -> Tensor:
    try:
        return torch.as_tensor(np.asarray(weight))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`weights`: number {number} is no array of numbers ({error}).") from None
