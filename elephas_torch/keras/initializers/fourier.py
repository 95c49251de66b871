"""`STFT`: kernels of a short-time Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.initializers.base import Initializer, Shape


class STFT(Initializer):
    """Kernels of a short-time Fourier transform, real or imaginary part, for weights of shape
    (frame length, 1, frequencies): the frequencies are those of an FFT of length
    2 * (frequencies - 1).

    Args:
        side: "real" (default) or "imag".
        window: "hann" (default), "hamming", "blackman", "bartlett", "cosine", "nuttall" or
            "boxcar"; an array of the frame's length; or None for no window.
        scaling: the window is divided by the root of its sum of squares, "density" (default); by
            its sum, "spectrum"; or not, None.
        periodic: whether the window goes on after its end. Default False.

    Raises:
        ValueError: an argument is none of these; or called with a shape or a window that
            doesn't fit.
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"STFT: `side` must be 'real' or 'imag'. Received: side={side!r}")
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(
                f"STFT: `scaling` must be 'density', 'spectrum' or None. "
                f"Received: scaling={scaling!r}"
            )
        if isinstance(window, str) and window not in _WINDOWS:
            raise unknown("window", window, _WINDOWS)
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Shape, dtype: torch.dtype = torch.float32) -> Tensor:
        if len(shape) != 3:
            raise ValueError(
                "STFT gives weights of shape (frame length, 1, frequencies). "
                f"Received: shape={tuple(shape)}"
            )
        length, _, count = shape
        times = torch.arange(length, dtype=torch.float64).view(-1, 1, 1)
        frequencies = torch.arange(count, dtype=torch.float64).view(1, 1, -1) / (2 * (count - 1))
        angles = -2 * math.pi * times * frequencies
        kernel = angles.cos() if self.side == "real" else angles.sin()
        return (kernel * self._scaled(length)).to(dtype)

    def _scaled(self, length: int) -> Tensor:
        if self.window is None:
            return torch.ones(1, dtype=torch.float64)
        window = self._values(length)
        if self.scaling == "density":
            window = window / window.square().sum().sqrt()
        elif self.scaling == "spectrum":
            window = window / window.abs().sum()
        return window.view(-1, 1, 1)

    def _values(self, length: int) -> Tensor:
        if isinstance(self.window, str):
            make = _WINDOWS[self.window]
            if make is None:
                return torch.ones(length, dtype=torch.float64)
            return make(length, sym=not self.periodic, dtype=torch.float64)
        window = torch.as_tensor(self.window, dtype=torch.float64)
        if window.shape != (length,):
            raise ValueError(
                f"STFT: `window` must have the frame's length {length}. "
                f"Received: a window of shape {tuple(window.shape)}"
            )
        return window

    def get_config(self) -> dict[str, Any]:
        return {
            "side": self.side,
            "window": self.window,
            "periodic": self.periodic,
            "scaling": self.scaling,
        }


_WINDOWS: dict[str, Callable[..., Tensor] | None] = {
    "boxcar": None,
    **{
        name: getattr(torch.signal.windows, name)
        for name in ("bartlett", "blackman", "cosine", "hamming", "hann", "nuttall")
    },
}
