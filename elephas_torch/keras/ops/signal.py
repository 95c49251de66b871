"""Fourier transforms and windows over signals. Follows https://keras.io/api/ops/fft/

Complex numbers are pairs of tensors: the real and the imaginary parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.errors import unknown
from elephas_torch.keras.dtypes import tensor
from elephas_torch.keras.operations import op

__all__ = [
    "correlate", "extract_sequences", "fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft",
    "view_as_complex", "view_as_real",
]  # fmt: skip

Pair = tuple[Tensor, Tensor]


def _complex(owner: str, x: Sequence[Tensor]) -> Tensor:
    if len(x) != 2 or x[0].shape != x[1].shape or not x[0].dtype.is_floating_point:
        raise ValueError(
            f"{owner}: `x` must be a pair of float tensors of one shape, the real and the "
            f"imaginary parts. Received: {[tuple(part.shape) for part in x]}"
        )
    return torch.complex(x[0], x[1])


def _pair(x: Tensor) -> Pair:
    return x.real, x.imag


@op
def fft(x: Sequence[Tensor]) -> Pair:
    """The Fourier transform along the last axis."""
    return _pair(torch.fft.fft(_complex("fft", x)))


@op
def fft2(x: Sequence[Tensor]) -> Pair:
    """The Fourier transform along the last two axes."""
    return _pair(torch.fft.fft2(_complex("fft2", x)))


@op
def ifft2(x: Sequence[Tensor]) -> Pair:
    """The inverse of `fft2`."""
    return _pair(torch.fft.ifft2(_complex("ifft2", x)))


@op
def rfft(x: Tensor, fft_length: int | None = None) -> Pair:
    """The first half of the Fourier transform of real numbers along the last axis.

    Args:
        fft_length: cut or fill up to so many.
    """
    return _pair(torch.fft.rfft(x, fft_length))


@op
def irfft(x: Sequence[Tensor], fft_length: int | None = None) -> Tensor:
    """The inverse of `rfft`."""
    return torch.fft.irfft(_complex("irfft", x), fft_length)


@op
def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int) -> Tensor:
    """The windows of a length along the last axis: (..., windows, length)."""
    return x.unfold(-1, sequence_length, sequence_stride)


_WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window}


def _window(owner: str, window: Any, length: int, like: Tensor) -> Tensor:
    if window is None:
        return torch.ones(length, dtype=like.dtype, device=like.device)
    if not isinstance(window, str):
        found = tensor(window, like.dtype, like.device)
    elif window in _WINDOWS:
        found = _WINDOWS[window](length, dtype=like.dtype, device=like.device)
    else:
        raise unknown("window", window, _WINDOWS)
    if tuple(found.shape) != (length,):
        raise ValueError(
            f"{owner}: `window` must have sequence_length={length} values. "
            f"Received: shape {tuple(found.shape)}"
        )
    return found


@op
def stft(
    x: Tensor,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> Pair:
    """The `rfft` of windows over the last axis: (..., windows, fft_length // 2 + 1).

    Args:
        window: "hann" (default), "hamming", sequence_length values, or None.
        center: the first window's middle is the first value; the ends are mirrored.

    Raises:
        ValueError: another window, or an `fft_length` below `sequence_length`.
    """
    if fft_length < sequence_length:
        raise ValueError(
            "stft: `fft_length` must be at least `sequence_length`. "
            f"Received: fft_length={fft_length}, sequence_length={sequence_length}"
        )
    shape = _window("stft", window, sequence_length, x)
    found = torch.stft(
        x.reshape(-1, x.shape[-1]),
        fft_length,
        sequence_stride,
        sequence_length,
        shape,
        center,
        return_complex=True,
    )
    return _pair(found.reshape(*x.shape[:-1], *found.shape[1:]).mT)


@op
def istft(
    x: Sequence[Tensor],
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """The inverse of `stft`: windows added up where they overlap.

    Args:
        length: of the result. Default: what the windows cover.
        window, center: those of `stft`.
    """
    spectra = _complex("istft", x)
    frames = torch.fft.irfft(spectra, fft_length)
    shape = _window("istft", window, sequence_length, frames)
    before = (fft_length - sequence_length) // 2
    shape = F.pad(shape, (before, fft_length - sequence_length - before))
    weights = _overlapped((shape * shape).expand_as(frames), sequence_stride)
    signal = _overlapped(frames * shape, sequence_stride)
    signal = signal / torch.where(weights > 1e-11, weights, 1.0)
    start = fft_length // 2 if center else 0
    end = signal.shape[-1] - start
    return signal[..., start : end if length is None else start + length]


def _overlapped(frames: Tensor, stride: int) -> Tensor:
    """Windows (..., windows, length) added up at their places."""
    *batch, count, length = frames.shape
    total = (count - 1) * stride + length
    columns = frames.reshape(-1, count, length).mT
    return F.fold(columns, (1, total), (1, length), stride=(1, stride)).reshape(*batch, total)


@op
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Tensor:
    """The sums of products of x1 and x2 (vectors) for each shift of x2.

    Args:
        mode: "valid" (default: whole overlaps), "same" (as many as the longer has) or "full".

    Raises:
        ValueError: another mode.
    """
    if mode not in ("valid", "same", "full"):
        raise unknown("mode", mode, ("valid", "same", "full"))
    kind = torch.promote_types(torch.promote_types(x1.dtype, x2.dtype), torch.float32)
    a, b = x1.to(kind), x2.to(kind)
    whole = F.conv1d(a.view(1, 1, -1), b.view(1, 1, -1), padding=len(b) - 1).view(-1)
    longer, shorter = max(len(a), len(b)), min(len(a), len(b))
    wanted = {"full": len(whole), "same": longer, "valid": longer - shorter + 1}[mode]
    start = (len(whole) - wanted) // 2
    return whole[start : start + wanted]


@op
def view_as_complex(x: Tensor) -> Tensor:
    """A last axis of two as complex numbers."""
    return torch.view_as_complex(x.contiguous())


@op
def view_as_real(x: Tensor) -> Tensor:
    """Complex numbers as a last axis of two."""
    return torch.view_as_real(x)
