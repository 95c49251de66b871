import math

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elephas_torch.keras import layers, masks

CASES = [
    *[
        ("Flatten", {"data_format": data_format}, shape)
        for data_format in ("channels_last", "channels_first")
        for shape in ((3, 4), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 2, 3))
    ],
    *[
        ("Reshape", {"target_shape": target}, (5, 2, 6))
        for target in [(3, 4), (4, 3), (-1,), (2, -1), (2, -1, 3), (1, 12, 1)]
    ],
    ("Reshape", {"target_shape": ()}, (5, 1)),
    *[("Permute", {"dims": dims}, (2, 3, 4, 5)) for dims in [(1, 2, 3), (2, 1, 3), (3, 1, 2)]],
    *[("RepeatVector", {"n": n}, (2, 5)) for n in (1, 3)],
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, name, kwargs, shape):
    same(name, shape=shape, **kwargs)


def test_unknown_lengths():
    for name, kwargs, shape in CASES:
        unknown = (None,) * len(shape)
        ours, theirs = getattr(layers, name)(**kwargs), getattr(keras.layers, name)(**kwargs)
        assert ours.compute_output_shape(unknown) == tuple(theirs.compute_output_shape(unknown))


def test_on_more_shapes(same):
    @settings(max_examples=20, deadline=None)
    @given(st.data())
    def check(data):
        shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=5)))
        axes = len(shape) - 1
        same(
            "Flatten", data.draw(st.sampled_from(["channels_last", "channels_first"])), shape=shape
        )
        same("Permute", tuple(data.draw(st.permutations(range(1, axes + 1)))), shape=shape)
        target = list(data.draw(st.permutations(shape[1:])))
        if data.draw(st.booleans()):
            target[data.draw(st.integers(0, axes - 1))] = -1
        same("Reshape", tuple(target), shape=shape)
        same("RepeatVector", data.draw(st.integers(1, 4)), shape=(2, math.prod(shape)))

    check()


def test_flatten_gives_single_numbers_an_axis():
    assert layers.Flatten()(torch.ones(3)).shape == (3, 1)
    assert layers.Flatten().compute_output_shape((None,)) == (None, 1)


def test_flatten_of_an_unknown_length_is_unknown():
    assert layers.Flatten().compute_output_shape((None, None, 4)) == (None, None)


def test_reshape_of_unknown_lengths():
    assert layers.Reshape((-1, 4)).compute_output_shape((None, None, 8)) == (None, None, 4)


@pytest.mark.parametrize("target", [(None, 4), [-1, 4], np.array([3, 4]), (np.int64(3), 4)])
def test_reshape_takes_other_spellings(target):
    layer = layers.Reshape(target)
    assert layer(torch.ones(2, 12)).shape == (2, 3, 4)
    assert layer.compute_output_shape((None, 12)) == (None, 3, 4)
    again = keras.layers.Reshape.from_config(layer.get_config())
    assert again(torch.ones(2, 12)).shape == (2, 3, 4)


def test_reshape_that_does_not_fit_says_so():
    with pytest.raises(ValueError, match=r"'r' \(Reshape\) can't reshape 13 elements"):
        layers.Reshape((3, 4), name="r").build((None, 13))
    with pytest.raises(ValueError, match="can't reshape 13 elements"):
        layers.Reshape((-1, 4), name="r")(torch.ones(2, 13))
    built = layers.Reshape((3, 4))
    built.build((None, 12))
    with pytest.raises(ValueError, match="can't reshape 14 elements"):
        built(torch.ones(2, 14))


@pytest.mark.parametrize("target", [(0, 3), (-1, -1), (-1, None), (2.5,), ("a",), (-2, 3)])
def test_reshape_checks_its_target(target):
    with pytest.raises(ValueError, match="Received: target_shape="):
        layers.Reshape(target)


def test_permute_checks_its_axes():
    with pytest.raises(ValueError, match=r"Received: dims=\(0, 1\)"):
        layers.Permute((0, 1))
    with pytest.raises(ValueError, match=r"\(None, None, None\). Received: .*\(None, 4\)"):
        layers.Permute((2, 1)).build((None, 4))


def test_repeat_vector_checks_its_count():
    with pytest.raises(ValueError, match="Received: n=0"):
        layers.RepeatVector(0)


@pytest.mark.parametrize(
    "layer",
    [layers.Flatten(), layers.Reshape((2, 3)), layers.Permute((2, 1)), layers.UpSampling1D(2)],
    ids=lambda layer: layer.name,
)
def test_masks_end_here_as_in_keras(layer):
    assert not layer.supports_masking
    assert (
        not getattr(keras.layers, type(layer).__name__)
        .from_config(layer.get_config())
        .supports_masking
    )
    x = torch.ones(1, 3, 2)
    masks.put(x, torch.tensor([[True, False, True]]))
    with pytest.warns(UserWarning, match="knows nothing of masks"):
        y = layer(x)
    assert masks.get(y) is None
