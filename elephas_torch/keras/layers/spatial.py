"""What layers on sequences, images and volumes share: one to three axes between batch and channels.

torch's kernels want (batch, channels, height, width), or a depth before the height. One spatial
axis is taken as an image of height 1, and channels_last inputs come as a permuted view, which
torch knows as its channels_last memory format. Nothing is copied, and measured on a CPU it is
faster than the one-dimensional kernels and than contiguous channels_first.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from elephas_torch.keras.layers import arguments, rank_hints
from elephas_torch.keras.layers.builtin import BuiltIn

_CHANNELS_SECOND = {4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
_CHANNELS_LAST = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


class Spatial(BuiltIn):
    """A layer whose inputs have `axes` spatial axes."""

    axes: ClassVar[int]
    data_format: str

    def _set_format(self, data_format: str | None) -> None:
        """To be called by constructors: says which axes are which."""
        self.data_format = arguments.data_format(data_format)
        self.input_spec = (None,) * (self.axes + 2)
        self._channels_last = self.data_format == "channels_last"
        self._channel_axis = -1 if self._channels_last else 1
        self._first = 1 if self._channels_last else 2

    def _hint(self, rank: int) -> str:
        return rank_hints.of_images(self.axes, self._channels_last, rank)

    def _check_rank(self, inputs: Tensor) -> None:
        # torch would take channels_first inputs that lack an axis as one without a batch.
        if inputs.dim() != self.axes + 2:
            raise self._misfit(tuple(inputs.shape))

    def _image(self, inputs: Tensor) -> Tensor:
        """The inputs as (batch, channels, [depth,] height, width)."""
        self._check_rank(inputs)
        if self.axes == 1:
            inputs = inputs.unsqueeze(self._first)
        return inputs.permute(_CHANNELS_SECOND[inputs.dim()]) if self._channels_last else inputs

    def _outputs(self, image: Tensor) -> Tensor:
        """The way back from an image."""
        outputs = image.permute(_CHANNELS_LAST[image.dim()]) if self._channels_last else image
        return outputs.squeeze(self._first) if self.axes == 1 else outputs


def spread(values: tuple[int, ...], height: int = 1) -> tuple[int, ...]:
    """A setting of one to three axes as that of an image."""
    return (height, *values) if len(values) == 1 else values
