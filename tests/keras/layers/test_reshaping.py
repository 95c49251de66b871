import pytest
import torch

from elephas_torch.keras import layers


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 3, 4, 5)])
def test_flatten_is_keras_s(same, data_format, shape):
    same("Flatten", data_format=data_format, shape=shape)


def test_flatten_gives_single_numbers_an_axis():
    assert layers.Flatten()(torch.ones(3)).shape == (3, 1)
    assert layers.Flatten().compute_output_shape((None,)) == (None, 1)


def test_flatten_of_an_unknown_length_is_unknown():
    assert layers.Flatten().compute_output_shape((None, None, 4)) == (None, None)


@pytest.mark.parametrize("target", [(3, 4), (4, 3), (-1,), (2, -1), (2, -1, 3), (1, 12, 1)])
def test_reshape_is_keras_s(same, target):
    same("Reshape", target, shape=(5, 2, 6))


def test_reshape_of_unknown_lengths():
    assert layers.Reshape((-1, 4)).compute_output_shape((None, None, 8)) == (None, None, 4)


def test_reshape_that_does_not_fit_says_so():
    with pytest.raises(ValueError, match=r"'r' \(Reshape\) can't reshape 13 elements"):
        layers.Reshape((3, 4), name="r").build((None, 13))
    with pytest.raises(ValueError, match="can't reshape 13 elements"):
        layers.Reshape((-1, 4), name="r")(torch.ones(2, 13))
    built = layers.Reshape((3, 4))
    built.build((None, 12))
    with pytest.raises(ValueError, match="can't reshape 14 elements"):
        built(torch.ones(2, 14))


@pytest.mark.parametrize("target", [(0, 3), (-1, -1), (2.5,), ("a",)])
def test_reshape_checks_its_target(target):
    with pytest.raises(ValueError, match="Received: target_shape="):
        layers.Reshape(target)


@pytest.mark.parametrize("dims", [(1, 2, 3), (2, 1, 3), (3, 1, 2)])
def test_permute_is_keras_s(same, dims):
    same("Permute", dims, shape=(2, 3, 4, 5))


def test_permute_checks_its_axes():
    with pytest.raises(ValueError, match=r"Received: dims=\(0, 1\)"):
        layers.Permute((0, 1))
    with pytest.raises(ValueError, match=r"\(None, None, None\). Received: .*\(None, 4\)"):
        layers.Permute((2, 1)).build((None, 4))


def test_repeat_vector_is_keras_s(same):
    same("RepeatVector", 3, shape=(2, 5))


def test_repeat_vector_checks_its_count():
    with pytest.raises(ValueError, match="Received: n=0"):
        layers.RepeatVector(0)
