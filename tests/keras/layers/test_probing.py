"""Masks of symbolic tensors, as Keras's have them; layers that need one find it when asked for
the shape of their outputs."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch import keras as ours


def chains(k):
    layers = k.layers
    start = k.Input((None,), dtype="int32")
    words = layers.Embedding(5, 4, mask_zero=True)(start)
    sequences = layers.GRU(3, return_sequences=True)(words)
    return {
        "start": start,
        "no mask": layers.Embedding(5, 4)(start),
        "embedded": words,
        "handed on": layers.Dense(2)(layers.Dropout(0.5)(words)),
        "sequences": sequences,
        "last": layers.GRU(3)(words),
        "masking": layers.Masking()(k.Input((7, 2))),
        "flattened": layers.Flatten()(layers.Masking()(k.Input((7, 2)))),
    }


@pytest.mark.parametrize("name", chains(keras))
@pytest.mark.filterwarnings("ignore:.*mask")
def test_symbolic_masks_are_where_keras_has_them(name):
    mine, theirs = (getattr(chains(k)[name], "_keras_mask", None) for k in (ours, keras))
    assert (mine is None) == (theirs is None)
    if mine is not None:
        assert (mine.shape, mine.dtype) == (tuple(theirs.shape), "bool")


class Needs(ours.layers.Layer):
    def call(self, inputs, mask=None):
        return inputs * mask[..., None]


def needing():
    start = ours.Input((None,), dtype="int32")
    words = ours.layers.Embedding(5, 4, mask_zero=True)(start)
    return ours.Model(start, Needs()(ours.layers.Dense(2)(words)))


def test_a_layer_that_needs_a_mask_finds_one():
    model = needing()
    assert model.output_shape == (None, None, 2)
    assert model.compute_output_shape((3, 6)) == (3, 6, 2)
    outputs = model(np.array([[1, 2, 0]]))
    assert outputs[0, 2].tolist() == [0, 0] and bool((outputs[0, :2] != 0).all())


def test_it_finds_one_in_a_sequential_too():
    model = ours.Sequential([ours.layers.Masking(), ours.layers.Dense(2), Needs()])
    assert tuple(model(torch.ones(2, 3, 4)).shape) == (2, 3, 2)
    assert model.compute_output_shape((None, 3, 4)) == (None, 3, 2)


def test_it_finds_one_behind_a_nested_model():
    start = ours.Input((6,), dtype="int32")
    inner = ours.Model(start, ours.layers.Embedding(5, 4, mask_zero=True)(start))
    outer = ours.Input((6,), dtype="int32")
    assert ours.Model(outer, Needs()(inner(outer))).output_shape == (None, 6, 4)
