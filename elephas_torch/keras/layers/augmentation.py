"""Layers that change images at random, so that a model sees other ones in each epoch.

They do so in training, in `fit` as elsewhere, and as in Keras also where nobody has said whether
it is training: when such a layer is called by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from elephas_torch.keras.layers import arguments, base
from elephas_torch.keras.layers.noises import RandomLayer
from elephas_torch.keras.layers.preprocessing import DataLayer
from elephas_torch.keras.layers.warping import FILL_MODES, INTERPOLATIONS, warped

__all__ = [
    "RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation",
    "RandomZoom",
]  # fmt: skip


class Augmentation(RandomLayer, DataLayer):
    """A layer that changes images in training; one image without a batch too."""

    supports_masking = False
    fixed_unwritten: ClassVar = {"bounding_box_format": None}

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls, *args, **kwargs)
        base.undecided.add(layer)
        return layer

    def __init__(
        self, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.data_format = arguments.data_format(data_format)
        # Until somebody says that it isn't.
        self.training = True

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.dim() not in (3, 4):
            raise ValueError(
                f"{self._label} takes images (height, width, channels), with a batch in front or "
                f"without one. Received: inputs of shape {tuple(inputs.shape)}"
            )
        images = self._floats(inputs)
        if not self.training:
            return images
        batch = images if images.dim() == 4 else images[None]
        axis = 3 if self.data_format == "channels_last" else 1
        changed = self._changed(batch.movedim(axis, 1)).movedim(1, axis)
        return changed if images.dim() == 4 else changed[0]

    def _changed(self, images: Tensor) -> Tensor:
        """The images (batch, channels, height, width) changed."""
        raise TypeError(f"{type(self).__name__} must define _changed(images).")

    def _drawn(self, images: Tensor, bounds: tuple[float, float]) -> Tensor:
        """A number for each image, (batch, 1, 1, 1)."""
        return self._noise.uniform(images, (len(images), 1, 1, 1), *bounds)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class RandomFlip(Augmentation):
    """Mirrors half of the images.

    Follows https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_flip/

    Args:
        mode: "horizontal", "vertical" or "horizontal_and_vertical" (default; an image is mirrored
            both ways or not at all).
        seed: for a random generator of the layer's own. Default None, torch's global one.
        data_format: "channels_last" or "channels_first". Default the global setting.
        **kwargs: see `Layer`.

    Raises:
        ValueError: an argument is none of these.
    """

    _axes: ClassVar = {"horizontal": [3], "vertical": [2], "horizontal_and_vertical": [2, 3]}

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.mode = arguments.choice("mode", mode, self._axes)

    def _changed(self, images: Tensor) -> Tensor:
        chosen = self._drawn(images, (0.0, 1.0)) <= 0.5
        return torch.where(chosen, images.flip(self._axes[self.mode]), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


class _Warp(Augmentation):
    """A layer that moves pixels."""

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.fill_mode = arguments.choice("fill_mode", fill_mode, FILL_MODES)
        self.interpolation = arguments.choice("interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = arguments.number(type(self).__name__, "fill_value", fill_value)

    def _changed(self, images: Tensor) -> Tensor:
        rows = self._rows(images)
        numbers = [one.flatten() if isinstance(one, Tensor) else one for one in rows]
        filled = [torch.as_tensor(one).to(images).expand(len(images)) for one in numbers]
        matrices = torch.stack(filled, 1).view(-1, 2, 3)
        return warped(images, matrices, self.interpolation, self.fill_mode, self.fill_value)

    def _rows(self, images: Tensor) -> tuple[Any, ...]:
        """The six numbers of the matrices: where column and row of a pixel are taken from."""
        raise TypeError(f"{type(self).__name__} must define _rows(images).")

    def get_config(self) -> dict[str, Any]:
        names = ("fill_mode", "interpolation", "fill_value")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class RandomRotation(_Warp):
    """Turns images by random angles.

    Follows https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_rotation/

    Args:
        factor: shares of a whole turn, -1 to 1: (lowest, highest), or one number for
            (-factor, factor). Positive ones turn counterclockwise.
        fill_mode: what a place outside the image takes: "reflect" (default: the image mirrored at
            its border), "wrap", "nearest" or "constant".
        interpolation: "bilinear" (default) or "nearest".
        seed: for a random generator of the layer's own. Default None, torch's global one.
        fill_value: for "constant". Default 0.
        data_format: "channels_last" or "channels_first". Default the global setting.
        **kwargs: see `Layer`.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = _bounds("RandomRotation", "factor", factor)

    def _rows(self, images: Tensor) -> tuple[Any, ...]:
        angle = self._drawn(images, self.factor) * (2 * math.pi)
        sine, cosine = angle.sin(), angle.cos()
        x, y = (images.shape[3] - 1) / 2, (images.shape[2] - 1) / 2
        return (
            cosine, -sine, x - x * cosine + y * sine,
            sine, cosine, y - x * sine - y * cosine,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


class RandomZoom(_Warp):
    """Makes images smaller or larger by random factors.

    Follows https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_zoom/

    Args:
        height_factor: by what share less is seen of the image: (lowest, highest), or one number
            for (-factor, factor), each above -1 and up to 1. Positive ones show more of the
            image, so all in it smaller.
        width_factor: Default None, the same number as for the height.
        fill_mode, interpolation, seed, fill_value, data_format, **kwargs: see `RandomRotation`.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(
        self,
        height_factor: float | Sequence[float],
        width_factor: float | Sequence[float] | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = _bounds("RandomZoom", "height_factor", height_factor, above=-1)
        self._width = None
        if width_factor is not None:
            self._width = _bounds("RandomZoom", "width_factor", width_factor, above=-1)

    def _rows(self, images: Tensor) -> tuple[Any, ...]:
        high = 1 + self._drawn(images, self._height)
        wide = high if self._width is None else 1 + self._drawn(images, self._width)
        x, y = (images.shape[3] - 1) / 2, (images.shape[2] - 1) / 2
        return wide, 0.0, x * (1 - wide), 0.0, high, y * (1 - high)

    def get_config(self) -> dict[str, Any]:
        own = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **_listed(own)}


class RandomTranslation(_Warp):
    """Moves images by random shares of their size.

    Follows https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_translation/

    Args:
        height_factor, width_factor: shares of the height and the width, -1 to 1: (lowest,
            highest), or one number for (-factor, factor). Positive ones move down and to the
            right.
        fill_mode, interpolation, seed, fill_value, data_format, **kwargs: see `RandomRotation`.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(
        self,
        height_factor: float | Sequence[float],
        width_factor: float | Sequence[float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = _bounds("RandomTranslation", "height_factor", height_factor)
        self._width = _bounds("RandomTranslation", "width_factor", width_factor)

    def _rows(self, images: Tensor) -> tuple[Any, ...]:
        down = self._drawn(images, self._height) * images.shape[2]
        right = self._drawn(images, self._width) * images.shape[3]
        return 1.0, 0.0, -right, 0.0, 1.0, -down

    def get_config(self) -> dict[str, Any]:
        own = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **_listed(own)}


class RandomContrast(Augmentation):
    """Moves values away from their mean over the image, or towards it, by random factors.

    Follows https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_contrast/

    Args:
        factor: (lower, upper), each from 0 to 1: factors are from 1 - lower to 1 + upper. One
            number is (0, factor).
        value_range: what the outputs are cut off to. Default (0, 255).
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: `data_format`; see `Layer`.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.factor = _bounds("RandomContrast", "factor", factor, least=0)
        self.value_range = tuple(_range("RandomContrast", value_range))

    def _changed(self, images: Tensor) -> Tensor:
        mean = images.mean((2, 3), keepdim=True)
        factor = self._drawn(images, (1 - self.factor[0], 1 + self.factor[1]))
        return ((images - mean) * factor + mean).clamp(*self.value_range)

    def get_config(self) -> dict[str, Any]:
        own = {"factor": self.factor, "value_range": self.value_range}
        return {**super().get_config(), **own}


class RandomBrightness(Augmentation):
    """Adds a random number to images.

    Follows https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_brightness/

    Args:
        factor: shares of `value_range`, -1 to 1: (lowest, highest), or one number for
            (-factor, factor).
        value_range: what the outputs are cut off to. Default (0, 255).
        seed: for a random generator of the layer's own. Default None, torch's global one.
        **kwargs: `data_format`; see `Layer`.

    Raises:
        ValueError: an argument is none of these.
    """

    def __init__(
        self,
        factor: float | Sequence[float],
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.factor = _bounds("RandomBrightness", "factor", factor)
        self.value_range = sorted(_range("RandomBrightness", value_range))

    def _changed(self, images: Tensor) -> Tensor:
        low, high = self.value_range
        return (images + self._drawn(images, self.factor) * (high - low)).clamp(low, high)

    def get_config(self) -> dict[str, Any]:
        own = {"factor": self.factor, "value_range": list(self.value_range)}
        return {**super().get_config(), **own}


def _bounds(
    owner: str, argument: str, value: Any, least: float = -1, above: float = -math.inf
) -> tuple[float, float]:
    """(lowest, highest) of a factor; one number is (-number, number), but not below `least`."""
    pair = list(value) if isinstance(value, list | tuple) else [value]
    numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in pair)
    if (
        len(pair) not in (1, 2)
        or not numbers
        or not all(least <= n <= 1 and n > above for n in pair)
    ):
        start = f"above {above}" if above == least else f"from {least}"
        raise ValueError(
            f"{owner}: `{argument}` must be a number {start} to 1, or two of them. "
            f"Received: {argument}={value!r}"
        )
    return (max(-abs(pair[0]), least), abs(pair[0])) if len(pair) == 1 else (min(pair), max(pair))


def _range(owner: str, value: Any) -> list[float]:
    pair = list(value) if isinstance(value, list | tuple) else []
    if len(pair) != 2 or not all(isinstance(n, int | float) for n in pair):
        raise ValueError(
            f"{owner}: `value_range` must be two numbers. Received: value_range={value!r}"
        )
    return pair


def _listed(config: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, list) else v for k, v in config.items()}
