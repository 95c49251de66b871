"""Any torch module as a layer."""

from __future__ import annotations

from typing import Any

from torch import nn

from elephas_torch.flat import check_dtypes
from elephas_torch.keras import serialization
from elephas_torch.keras.layers.base import Layer


class TorchModuleWrapper(Layer):
    """A layer that computes what a torch module does. Follows
    https://keras.io/api/layers/backend_specific_layers/torch_module_wrapper/

    `Sequential` makes one of each torch module that it is given.

    Args:
        module: it isn't copied: training changes it. Its weights must be float32.
        name: default "torch_module_wrapper".
        output_shape: with the batch (None) in front. Default: found by a call on zeros.
        **kwargs: see `Layer`.

    Raises:
        TypeError: `module` is no torch module.

    Example::

        Sequential([Input((784,)), torch.nn.Linear(784, 10), Activation("softmax")])
    """

    def __init__(
        self, module: nn.Module, name: str | None = None, output_shape: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not isinstance(module, nn.Module) or isinstance(module, Layer):
            raise TypeError(
                f"TorchModuleWrapper: `module` must be a torch.nn.Module. Received: {module!r}"
            )
        check_dtypes(module)
        self.module = module
        self.module.train(False)
        self.output_shape = None if output_shape is None else tuple(output_shape)
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self.output_shape is not None:
            return super().compute_output_spec(*args, **kwargs)
        return self._probed_spec(args, kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.output_shape is not None:
            return self.output_shape
        return super().compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "module_class": type(self.module).__name__,
            "output_shape": self.output_shape,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TorchModuleWrapper:
        """Makes the layer again. The module's code isn't in the config: `custom_objects` must
        have, under its class name, a function or class that makes one without arguments."""
        settings = dict(config)
        if "module_class" not in settings:
            raise ValueError(
                "A TorchModuleWrapper of Keras holds its module pickled, and nothing is unpickled "
                "here. Make the model again around the module, and load its weights into it."
            )
        name = settings.pop("module_class")
        return cls(revived_module(name), **settings)


def revived_module(name: str) -> nn.Module:
    """Returns the torch module that a custom object of this name is, or makes.

    Raises:
        ValueError: there is no such custom object.
    """
    factory = serialization.find_custom(name)
    if factory is None:
        raise ValueError(
            f"The model holds a torch module, {name!r}, whose code isn't saved with it. Pass "
            f"custom_objects={{{name!r}: function}}, where function() makes such a module."
        )
    return factory if isinstance(factory, nn.Module) else factory()
