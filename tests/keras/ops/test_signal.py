"""Fourier transforms and windows against Keras 3's."""

import numpy as np
import pytest
import torch

from elephas_torch.keras import ops


def pair(*shape):
    return torch.randn(shape), torch.randn(shape)


@pytest.mark.parametrize("name", ["fft", "fft2", "ifft2", "irfft"])
def test_transforms_of_complex_numbers(same, name):
    same(name, pair(2, 3, 4))


def test_transforms_of_real_numbers(same):
    same("rfft", torch.randn(2, 8))
    same("rfft", torch.randn(2, 8), 6)
    same("irfft", pair(2, 5), fft_length=7)


@pytest.mark.parametrize("window", ["hann", "hamming", None])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("shape", [(40,), (3, 40), (2, 3, 40)])
def test_spectra_of_windows(same, window, center, shape):
    same("stft", torch.randn(shape), 8, 4, 10, window, center, atol=1e-5)


@pytest.mark.parametrize("fft_length", [8, 10])
def test_the_way_back(same, fft_length):
    x = torch.randn(2, 40)
    spectra = ops.stft(x, 8, 4, fft_length)
    same("istft", spectra, 8, 4, fft_length, atol=1e-5)
    same("istft", spectra, 8, 4, fft_length, 30, atol=1e-5)
    torch.testing.assert_close(ops.istft(spectra, 8, 4, fft_length), x)


def test_sequences(same):
    same("extract_sequences", torch.randn(2, 10), 4, 3)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("lengths", [(7, 3), (6, 4), (3, 3)])
def test_correlations_are_numpy_s(mode, lengths):
    x, y = (np.random.default_rng(n).normal(size=n) for n in lengths)
    np.testing.assert_allclose(ops.correlate(x, y, mode).numpy(), np.correlate(x, y, mode))


def test_complex_views():
    x = torch.randn(3, 2)
    assert torch.equal(ops.view_as_real(ops.view_as_complex(x)), x)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: ops.fft((x, x[:2])), r"\[\(8,\), \(2,\)\]"),
        (lambda x: ops.stft(x, 4, 2, 3), "fft_length=3"),
        (lambda x: ops.stft(x, 4, 2, 4, "han"), "Did you mean 'hann'"),
        (lambda x: ops.stft(x, 4, 2, 4, [1.0]), r"shape \(1,\)"),
        (lambda x: ops.correlate(x, x, "whole"), "Unknown mode"),
    ],
)
def test_bad_arguments(call, says):
    with pytest.raises(ValueError, match=says):
        call(torch.randn(8))
