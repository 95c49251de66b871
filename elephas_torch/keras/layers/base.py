"""`Layer`: what every layer is, and what to subclass for one of your own.

A layer is a `torch.nn.Module` with Keras's habits: it makes its weights when it first sees a
shape (`build`), computes in `call`, tells its config, and hands out weights as NumPy arrays.
Shapes are tuples whose first entry, the batch, is None.
"""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras import (
    legacy,
    masks,
    naming,
    policy,
    regularizers,
    serialization,
    symbolic,
    trees,
)
from elephas_torch.keras.layers import casting, input_spec, probing
from elephas_torch.keras.layers.added_losses import WithLosses, collected_losses, with_losses
from elephas_torch.keras.layers.configured import Configured
from elephas_torch.keras.layers.declared import Shape, declared
from elephas_torch.keras.layers.own_metrics import metrics_in
from elephas_torch.keras.layers.signature import CallSignature, bound, shape_of
from elephas_torch.keras.making import Maker
from elephas_torch.keras.not_numbers import advice
from elephas_torch.keras.symbolic import KerasTensor, Node

__all__ = ["Layer", "Shape", "collected_losses"]

# How deep in calls of layers we are: one from outside forgets the losses of the last one.
_depth = 0
#: Made here: torch.compile stops at types that are joined in a function.
_ARRAYS = np.ndarray | np.generic
#: Layers that are in training until somebody says otherwise, whatever the layer around them is.
undecided: weakref.WeakSet[Any] = weakref.WeakSet()


class _Made(Maker):
    """Makes layers; arguments as Keras 1 and 2 spelled them become today's before."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = legacy.modern(cls, args, kwargs)
        return super().__call__(*args, **kwargs)


class Layer(Configured, WithLosses, metaclass=_Made):
    """A layer of a model. Follows https://keras.io/api/layers/base_layer/

    Subclass it: make weights in `build` with `add_weight`, compute in `call`, and return the
    constructor's arguments from `get_config` (left out, they are taken as they were given).

    Args:
        name: unique within a model, without a "/"; made from the class's name by default.
        trainable: whether training changes the weights. Default True.
        dtype: a dtype policy: "float32", "mixed_bfloat16" or "mixed_float16". Default the one
            that `keras.config.set_dtype_policy` set, "float32" at first.
        activity_regularizer: what of the outputs is added to the loss. Default None.
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
    #: Whether masks go on to the outputs; see `compute_mask`.
    supports_masking: bool = False

    _first_weights: Sequence[Any] | None
    _init_arguments: dict[str, Any]
    _signature: ClassVar[CallSignature]
    _takes_training: ClassVar[bool] = False
    #: Whether tensors come in and go out in the policy's dtype; the layers of a model see to it.
    _casts: ClassVar[bool] = True
    _makes_masks: ClassVar[bool] = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls)
        taken = {} if serialization.is_own(cls) else bound(cls, args, kwargs, _OWN_ARGUMENTS)
        object.__setattr__(layer, "_init_arguments", taken)
        return layer

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        activity_regularizer: Any = None,
        input_shape: Sequence[int | None] | None = None,
        input_dim: int | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        batch_shape: Sequence[int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable)
        kwargs.pop("autocast", None)
        weights = kwargs.pop("_first_weights", None)
        if kwargs:
            raise unknown_arguments(type(self).__name__, kwargs, _argument_names(type(self)))
        self.dtype_policy = policy.get(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        own = type(self).__name__
        self.name = naming.checked(name, own) or naming.auto_name(naming.snake_case(own))
        self.built = False
        self.declared_shape = declared(input_shape, input_dim, batch_input_shape or batch_shape)
        vars(self).update(_inbound_nodes=[], _losses=[], _build_shapes=None, _first_weights=weights)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("elephas_torch."):
            serialization.own(cls)
        if "build" in cls.__dict__:
            cls.build = _marks_built(cls.__dict__["build"])  # type: ignore[method-assign]
        asked: Any = cls
        asked._signature = _Asked("_signature", CallSignature)
        asked._takes_training = _Asked("_takes_training", _takes_training)
        if "compute_mask" in cls.__dict__:
            cls._makes_masks = True
            if "supports_masking" not in cls.__dict__:
                cls.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Makes the weights. Called once, with the shape of the input, batch first (None).

        Where `call` takes several tensors, `build` may take a shape for each, by its name:
        `build(self, query_shape, value_shape)` for `call(self, query, value)`.
        """
        self.built = True

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Computes the outputs. Override it; take `training=None` to know the mode, and
        `mask=None` to have the inputs' mask."""
        if not serialization.is_own(type(self)):
            raise TypeError(
                f"{self._label} computes nothing: its class has no call(self, inputs). Define it."
            )
        return inputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        global _depth
        if _depth == 0 and with_losses:
            self._forget_losses()
        _depth += 1
        try:
            # Where nothing but `call` has to be done: the path that training takes.
            if (
                len(args) == 1
                and not kwargs
                and type(args[0]) is Tensor
                and self.built
                and not self._makes_masks
                and self.activity_regularizer is None
                and not policy.ever_mixed
                and not hasattr(args[0], "_keras_mask")
                and casting.is_plain(args[0])
            ):
                return super().__call__(args[0])
            return self._call_in_full(args, kwargs)
        finally:
            _depth -= 1

    def _call_in_full(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        signature = type(self)._signature
        args, kwargs = signature.first_in_front(args, kwargs)
        if symbolic.has_symbolic(args, kwargs):
            return self._record(args, kwargs)
        training = kwargs.pop("training", None)
        if args:
            args = (self._as_tensors(args[0]), *args[1:])
        if not self.built:
            self._build_for(args, kwargs)
        if not self.dtype_policy.is_mixed:
            args, kwargs = casting.as_float32(self, _depth == 1, (args, kwargs))
        inputs = args[0] if args else None
        previous = masks.of(inputs)
        kwargs = signature.with_masks(args, kwargs)
        if kwargs.get("mask") is not None:
            previous = kwargs["mask"]
        outputs = self._in_mode(training, args, kwargs)
        if self.activity_regularizer is not None:
            for one in trees.leaves(outputs):
                # A mean over the batch, so that it doesn't depend on the batch's size: as Keras.
                self.add_loss(self.activity_regularizer(one) / max(one.shape[0], 1))
        if self._makes_masks or masks.any_of(previous):
            self._hand_on_masks(inputs, outputs, previous)
        return outputs

    def _in_mode(self, training: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if training is None or (bool(training) == self.training and not undecided):
            return super().__call__(*args, **kwargs)
        before = self.training
        self.train(bool(training))
        try:
            return super().__call__(*args, **kwargs)
        finally:
            self.train(before)

    def _as_tensors(self, inputs: Any) -> Any:
        found = trees.map_leaves(self._as_tensor, inputs)
        if not any(isinstance(one, Tensor) for one in trees.leaves(found)):
            raise TypeError(f"{self._label} takes tensors. Received: {type(inputs).__name__}")
        return found

    def _as_tensor(self, value: Any) -> Any:
        if isinstance(value, _ARRAYS):
            if what := advice(value):
                raise TypeError(
                    f"{self._label} takes numbers. {what} Received: an array of dtype {value.dtype}"
                )
            return torch.as_tensor(value, dtype=self.input_dtype)
        return value

    def _build_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        shapes = type(self)._signature.shapes(args, kwargs)
        first = next(iter(shapes.values()))
        input_spec.check(getattr(self, "input_spec", None), first, self._label)
        if len(shapes) == 1:
            self.build(first)
        else:
            self.build(**shapes)
        self.built = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._takes_training:
            kwargs["training"] = self.training
        if not policy.ever_mixed or not self._casts:
            return self.call(*args, **kwargs)
        return self._mixed(args, kwargs)

    def _mixed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Computes in the policy's dtype: floating tensors come in and go out in it."""
        compute = self.dtype_policy.compute
        args, kwargs = casting.to_policy(compute, (args, kwargs))
        tensors = filter(casting.is_tensor, trees.leaves(args))
        device = next((one.device.type for one in tensors), "cpu")
        mixed = self.dtype_policy.is_mixed
        if mixed or torch.is_autocast_enabled(device):
            with torch.autocast(device, compute if mixed else None, enabled=mixed):
                outputs = self.call(*args, **kwargs)
        else:
            outputs = self.call(*args, **kwargs)
        return casting.to_policy(compute, outputs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs. By default the one of the inputs, where `supports_masking`."""
        return previous_mask

    def _looks_at_masks(self) -> bool:
        return type(self)._signature.takes_mask

    def _hand_on_masks(self, inputs: Any, outputs: Any, previous: Any) -> None:
        if not self.supports_masking:
            if masks.any_of(previous) and not self._looks_at_masks():
                warnings.warn(
                    f"{self._label} knows nothing of masks, and its inputs have one: what comes "
                    "after it will see all steps. Set supports_masking = True in a layer of your "
                    "own where every step keeps its place.",
                    stacklevel=4,
                )
            return
        several = trees.leaves(outputs)
        if all(masks.get(one) is not None for one in several):
            return
        found = self.compute_mask(inputs, previous)
        for one, mask in zip(several, trees.leaves(found), strict=False):
            if mask is not None and masks.get(one) is None:
                masks.put(one, mask)

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.built:
            self._build_for(args, kwargs)
        elif args:
            shape = shape_of(args[0])
            input_spec.check(getattr(self, "input_spec", None), shape, self._label)
        outputs = probing.spec(self, args, kwargs)
        Node(self, args, kwargs, outputs)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs, without noting the call."""
        shapes = type(self)._signature.shapes(args, kwargs, "compute_output_shape")
        if type(self).compute_output_shape is Layer.compute_output_shape:
            return self._probed_spec(args, kwargs)
        several = len(shapes) > 1
        found = (
            self.compute_output_shape(**shapes)
            if several
            else self.compute_output_shape(next(iter(shapes.values())))
        )
        return specs_of(found, self.compute_dtype)

    def _probed_spec(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls the layer on zeros of two batch sizes: what differs has no fixed length."""
        first, second = (self._on_zeros(args, kwargs, size) for size in (2, 3))
        return trees.map_leaves(probing.between, first, second)

    def _on_zeros(self, args: tuple[Any, ...], kwargs: dict[str, Any], size: int) -> Any:
        masked = type(self)._signature.takes_mask or self.supports_masking
        zeros = functools.partial(
            probing.masked_zeros if masked else probing.zeros, size=size, dtype=self.input_dtype
        )
        args, kwargs = trees.map_leaves(zeros, (args, kwargs))
        training = kwargs.pop("training", None)
        with torch.no_grad(), collected_losses():
            outputs = self(*args, **{**kwargs, "training": bool(training)})
        self._forget_losses()
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The outputs' shape for a shape of inputs, batch (None) first.

        By default found by calling the layer on zeros.
        """
        if not self.built:
            self.build(input_shape)
        inputs = specs_of(input_shape, str(self.input_dtype).removeprefix("torch."))
        return trees.map_leaves(lambda one: one.shape, self._probed_spec((inputs,), {}))

    @property
    def dtype(self) -> str:
        """The dtype of the weights: "float32"."""
        return self.dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype that `call` computes in, and of the outputs."""
        return self.dtype_policy.compute_dtype

    variable_dtype = dtype

    @property
    def path(self) -> str | None:
        """What the paths of the layer's weights begin with; None before it is built."""
        return self.name if self.built else None

    @property
    def metrics(self) -> list[Any]:
        """The metrics that are attributes of the layer, and those of the layers in it."""
        found = metrics_in(self)
        for child in self._sublayers():
            found += child.metrics if isinstance(child, Layer) else []
        return list({id(one): one for one in found}.values())

    @property
    def metrics_variables(self) -> list[Tensor]:
        """The variables of `metrics`."""
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def input(self) -> Any:
        """The symbolic input of the layer's first call in a functional model."""
        node = self._first_node()
        return node.args[0] if len(node.args) == 1 and not node.kwargs else node.parents

    @property
    def output(self) -> Any:
        """The symbolic output of the layer's first call in a functional model."""
        return self._first_node().outputs

    def _first_node(self) -> Node:
        if not self._inbound_nodes:
            raise AttributeError(
                f"{self._label} has no symbolic input and output yet: it was never called on "
                "the tensor of an Input, and isn't in a model that knows its input shape."
            )
        return self._inbound_nodes[0]

    def last_activation(self) -> Any:
        """The activation function that the layer ends with, where `preactivation(inputs)` gives
        what it is applied to; else None."""
        return None

    def __getstate__(self) -> dict[str, Any]:
        # The calls noted lead to other layers, and from there on: a chain too long to copy.
        left_out: dict[str, Any] = {"_inbound_nodes": [], "_losses": [], "_tensors": None}
        return {name: left_out.get(name, value) for name, value in vars(self).items()}

    def extra_repr(self) -> str:
        return f"name={self.name}, built={self.built}"


def _marks_built(build: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        self.built = True
        names = build.__code__.co_varnames[1 : build.__code__.co_argcount]
        vars(self)["_build_shapes"] = {**dict(zip(names, args, strict=False)), **kwargs}
        if self._first_weights is not None and type(self).build is wrapper:
            self.set_weights(legacy.weights_today(self, self._first_weights))
            vars(self)["_first_weights"] = None

    return wrapper


def _argument_names(cls: Any) -> list[str]:
    names = [n for n in inspect.signature(cls.__init__).parameters if n not in _NOT_NAMES]
    return names + [n for n in _OWN_ARGUMENTS if n not in names]


_NOT_NAMES = ("self", "args", "kwargs")
_OWN_ARGUMENTS = (
    "name", "trainable", "dtype", "activity_regularizer", "input_shape", "input_dim",
    "batch_input_shape", "batch_shape",
)  # fmt: skip


def specs_of(shapes: Any, dtype: str = "float32") -> Any:
    """Symbolic tensors for a tree of shapes."""
    if isinstance(shapes, dict):
        return {name: specs_of(one, dtype) for name, one in shapes.items()}
    if isinstance(shapes, list | tuple) and any(isinstance(s, list | tuple) for s in shapes):
        several = [specs_of(one, dtype) for one in shapes]
        return tuple(several) if isinstance(shapes, tuple) else several
    return KerasTensor(shapes, dtype)


class _Asked:
    """An attribute of a class that is found out when it is first asked for: looking at the
    signatures of all layers took a fifth of a second of their import."""

    def __init__(self, name: str, find: Callable[[Any], Any]) -> None:
        self.name, self.find = name, find

    def __get__(self, layer: Any, cls: Any) -> Any:
        found = self.find(cls)
        setattr(cls, self.name, found)
        return found


def _takes_training(cls: Any) -> bool:
    return bool(cls._signature.takes_training)


Layer._signature = CallSignature(Layer)
