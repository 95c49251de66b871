"""The weights of a layer: made, listed, frozen, read and set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elephas_torch.errors import unknown_arguments
from elephas_torch.keras import budget, initializers, policy, regularizers, trees
from elephas_torch.keras.layers.declared import weight_shape
from elephas_torch.keras.layers.tracking import tracked
from elephas_torch.keras.legacy.adding import OF_LAYERS, name_first
from elephas_torch.keras.variables import State, Variable

#: Keras's arguments of `add_weight` that change nothing here.
_UNUSED = {"autocast", "layout", "aggregation", "synchronization", "use_resource"}
_TAKEN = (
    "shape", "initializer", "dtype", "trainable", "regularizer", "constraint", "name",
)  # fmt: skip


class Weighted(nn.Module):
    """The part of a `Layer` that its weights concern."""

    name: str
    built: bool
    _trainable: bool
    _trainable_names: list[str]
    _frozen_names: list[str]
    _aliases: dict[str, str]
    #: Name of a weight -> what of it is added to the loss.
    regularizers: dict[str, Any]
    #: Name of a weight -> what is done to it after each update.
    constraints: dict[str, Any]

    def __init__(self, trainable: bool) -> None:
        super().__init__()
        # Not by setattr, which would follow these lists as it follows a user's.
        vars(self).update(
            training=False,
            _trainable=bool(trainable),
            _trainable_names=[],
            _frozen_names=[],
            _aliases={},
            regularizers={},
            constraints={},
        )

    @name_first(OF_LAYERS)
    def add_weight(
        self,
        shape: Sequence[int] | int | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Makes a weight of this layer and returns it.

        Args:
            shape: default (), a scalar.
            initializer: name, object or function of (shape, dtype). Default "glorot_uniform".
            dtype: float32, the only one.
            trainable: False for what training doesn't change by gradients (moving means).
            regularizer: what of the weight is added to the loss. Default None.
            constraint: what is done to the weight after each update. Default None.
            name: default weight, weight_1 …
            **kwargs: Keras's `autocast`, `layout` and `aggregation`; they change nothing.

        Keras 2's order, `add_weight(name, shape, dtype, initializer …)`, works with a warning.

        Returns:
            A `Variable` (a `torch.nn.Parameter`), or for `trainable=False` a `State` (a buffer).

        Raises:
            ValueError: a shape or a name that there isn't; the initializer's values have another
                shape.
            TypeError: the initializer gives no numbers.
        """
        if odd := kwargs.keys() - _UNUSED:
            raise unknown_arguments("add_weight", odd, _TAKEN)
        policy.get(dtype)
        start: Any = initializers.get(initializer or "glorot_uniform")
        name = self._free_name(name or "weight")
        what, lengths = f"Layer {self.name!r}: {name}", weight_shape(shape)
        budget.take(what, lengths)
        values = _first_values(what, start, lengths)
        weight: Any = (
            Variable(values, requires_grad=self._trainable) if trainable else State(values)
        )
        weight.path = f"{self.name}/{name}"
        if trainable:
            self.register_parameter(name, weight)
            self._trainable_names.append(name)
        else:
            self.register_buffer(name, weight)
            self._frozen_names.append(name)
        if regularizer is not None:
            self.regularizers[name] = regularizers.get(regularizer)
        if constraint is not None:
            from elephas_torch.keras import constraints

            self.constraints[name] = constraints.get(constraint)
        return weight

    add_variable = add_weight

    def _free_name(self, name: str) -> str:
        name = name.replace(".", "_")
        taken = {*self._parameters, *self._buffers, *self._modules}
        free, count = name, 0
        while free in taken:
            count += 1
            free = f"{name}_{count}"
        return free

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training":
            self.__dict__[name] = value  # train() and eval() set it in every layer
            return
        if isinstance(value, Tensor):
            if self._keep_registered(name, value):
                return
        elif isinstance(value, list | tuple | dict) and "_modules" in self.__dict__:
            value = tracked(self, name, value)
        super().__setattr__(name, value)

    def _keep_registered(self, name: str, value: Tensor) -> bool:
        for known, weight in [*self._parameters.items(), *self._buffers.items()]:
            if weight is value and known != name:
                # add_weight() registered it. Registered twice, state_dict() had it twice.
                self._aliases[name] = known
                return True
        if isinstance(value, State) and name not in self.__dict__:
            self.register_buffer(name, value)
            self._frozen_names.append(name)
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
        if name in ("input_shape", "output_shape"):
            return self._shape_of_call(name)
        aliases = self.__dict__.get("_aliases", {})
        return super().__getattr__(aliases.get(name, name))

    def _shape_of_call(self, name: str) -> Any:
        """Keras 2's `input_shape` and `output_shape` of a layer in a model."""
        nodes = self.__dict__.get("_inbound_nodes")
        if not nodes:
            raise AttributeError(
                f"{self._label} has no {name}: it isn't in a model that knows its input shape."
            )
        tree = nodes[0].outputs if name == "output_shape" else nodes[0].args[0]
        return trees.map_leaves(lambda one: getattr(one, "shape", None), tree)

    def _sublayers(self) -> Iterable[nn.Module]:
        return self.children()

    def _flattened(self) -> Iterator[Weighted]:
        """This layer and all layers in it, each once."""
        return (one for one in self.modules() if isinstance(one, Weighted))

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
            if isinstance(child, Weighted):
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
            if isinstance(child, Weighted):
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

    def own_variables(self) -> dict[str, Tensor]:
        """The layer's own weights by name, those of sublayers left out, in Keras's order."""
        names = [*self._trainable_names, *self._parameters, *self._frozen_names]
        found = {**self._parameters, **self._buffers}
        return {name: w for name in dict.fromkeys(names) if (w := found[name]) is not None}

    def save_own_variables(self, store: Any) -> None:
        """Puts the layer's own weights into a file's store. Override it, and
        `load_own_variables`, for a state that is kept in another way.

        Args:
            store: takes arrays and tensors by name, as a dict does.
        """
        for number, weight in enumerate(self.own_variables().values()):
            store[str(number)] = weight

    def load_own_variables(self, store: Any) -> None:
        """Takes the layer's own weights out of a file's store.

        Args:
            store: arrays by name, as `save_own_variables` put them there.

        Raises:
            ValueError: their number or a shape doesn't fit; nothing is taken then.
        """
        mine = self.own_variables()
        if len(mine) != len(store):
            raise ValueError(
                f"{self._label} has {len(mine)} weights in the model and {len(store)} in the file."
            )
        arrays = [_array(np.array(store[str(n)]), n) for n in range(len(mine))]
        for (name, weight), array in zip(mine.items(), arrays, strict=True):
            if weight.shape != array.shape:
                raise ValueError(
                    f"{self._label}: {name!r} has shape {tuple(weight.shape)} in the model and "
                    f"{tuple(array.shape)} in the file."
                )
        with torch.no_grad():
            for weight, array in zip(mine.values(), arrays, strict=True):
                weight.copy_(array)

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(w.numel() for w in self.weights)

    @property
    def _label(self) -> str:
        return f"Layer {self.name!r} ({type(self).__name__})"


def _first_values(owner: str, initializer: Any, shape: tuple[int, ...]) -> Tensor:
    given = initializer(shape, dtype=torch.float32)
    try:
        values = torch.as_tensor(given, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{owner}: the initializer must give numbers. Received: {given!r}"
        ) from error
    if values.shape != shape:
        raise ValueError(
            f"{owner}: the initializer must give the weight's shape, {shape}. "
            f"Received: values of shape {tuple(values.shape)}"
        )
    # A function may give one array to several weights, and keep it itself.
    return values if isinstance(initializer, initializers.Initializer) else values.clone()


def _array(weight: Any, number: int) -> Tensor:
    try:
        return torch.as_tensor(np.asarray(weight))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`weights`: number {number} is no array of numbers ({error}).") from None
