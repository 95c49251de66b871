"""Holds a layer of ours beside the one of Keras with the same arguments."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

TOLERANCE = 1e-5


def close(ours, theirs, tolerance=TOLERANCE, least=1e-6):
    """Compares arrays by the largest difference over the largest value, or over `least`."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    scale = max(np.abs(theirs).max(initial=0), least)
    error = np.abs(ours - theirs).max(initial=0) / scale
    assert error <= tolerance, f"relative error {error:.1e}"
    return error


def as_json(config):
    return json.loads(json.dumps(config))


def random_weights(theirs, rng):
    values = [rng.normal(size=w.shape).astype("float32") * 0.5 for w in theirs.get_weights()]
    names = [w.name for w in theirs.weights]
    return [abs(v) + 0.1 if "variance" in n else v for v, n in zip(values, names, strict=True)]


def gradients(outputs, cotangents, tensors):
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    total = sum((o * c).sum() for o, c in zip(outputs, cotangents, strict=True))
    return torch.autograd.grad(total, tensors)


def pair(name, *args, shape, training=False, indices=None, seed=0, **kwargs):
    """Builds both layers with the same random weights, and compares all that they do.

    Returns ours, theirs, the inputs, our outputs, and the largest relative error.
    """
    rng = np.random.default_rng(seed)
    ours, theirs = (
        getattr(layers, name)(*args, **kwargs),
        getattr(keras.layers, name)(*args, **kwargs),
    )
    x = torch.tensor(rng.normal(size=shape), dtype=torch.float32, requires_grad=True)
    if indices is not None:
        x = torch.tensor(rng.integers(indices, size=shape))
    theirs.build(shape)
    ours.build((None, *shape[1:]))
    theirs.set_weights(random_weights(theirs, rng))
    ours.set_weights(theirs.get_weights())
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in theirs.get_weights()]
    result, expected = ours(x, training=training), theirs(x, training=training)
    errors = compare_outputs(ours, theirs, shape, result, expected)
    errors += compare_gradients(ours, theirs, x, result, expected, rng)
    errors += [close(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True)]
    compare_configs(ours, theirs)
    return SimpleNamespace(ours=ours, theirs=theirs, x=x, outputs=result, error=max(errors))


def compare_outputs(ours, theirs, shape, result, expected):
    unknown_batch = (None, *shape[1:])
    told = ours.compute_output_shape(unknown_batch)
    assert told == tuple(theirs.compute_output_shape(unknown_batch))
    several = isinstance(result, tuple)
    pairs = zip(
        result if several else (result,),
        expected if several else (expected,),
        told if several else (told,),
        strict=True,
    )
    errors = []
    for mine, other, known in pairs:
        assert (None, *mine.shape[1:]) == known
        errors.append(close(mine.detach(), other.detach()))
    return errors


def compare_gradients(ours, theirs, x, result, expected, rng):
    outputs = result if isinstance(result, tuple) else (result,)
    cotangents = [torch.tensor(rng.normal(size=o.shape), dtype=torch.float32) for o in outputs]
    inputs = [x] if x.requires_grad else []
    mine = gradients(result, cotangents, inputs + ours.trainable_weights)
    others = gradients(expected, cotangents, inputs + [w.value for w in theirs.trainable_weights])
    return [close(a, b) for a, b in zip(mine, others, strict=True)]


def unbuilt(config):
    """A config without the shapes that parts were built with: Keras's know the batch."""
    if not isinstance(config, dict):
        return config
    return {name: unbuilt(value) for name, value in config.items() if name != "build_config"}


def compare_configs(ours, theirs):
    mine, other = unbuilt(ours.get_config()), unbuilt(theirs.get_config())
    for config in (mine, other):
        config.pop("name")
    assert as_json(mine) == as_json(other)
    named = {**as_json(mine), "name": "same"}
    assert as_json(type(theirs).from_config(dict(named)).get_config()) == named
    assert as_json(type(ours).from_config(dict(named)).get_config()) == named


@pytest.fixture
def same():
    """`same("Dense", 3, shape=(2, 4))`: compares our Dense(3) with Keras's on such inputs."""
    return pair


@pytest.fixture
def close_to():
    """`close_to(ours, theirs)`: relative 1e-5."""
    return close


def leaves(tree):
    if isinstance(tree, list | tuple):
        return [leaf for one in tree for leaf in leaves(one)]
    return [tree]


def copies(tree, masks):
    """Fresh tensors with their masks: Keras takes masks off some inputs."""
    if isinstance(tree, list | tuple):
        parts = masks or [None] * len(tree)
        return type(tree)(copies(*one) for one in zip(tree, parts, strict=True))
    tensor = tree.detach().clone().requires_grad_(tree.is_floating_point())
    if masks is not None:
        tensor._keras_mask = masks
    return tensor


def called(layer, inputs, masks, training, call, seed):
    args = copies(inputs, masks)
    torch.manual_seed(seed)
    return leaves(args), layer(*args, training=training, **call)


def slopes(outputs, cotangents, tensors):
    total = sum((o * c).sum() for o, c in zip(outputs, cotangents, strict=True))
    found = torch.autograd.grad(total, tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, tensors, strict=True)]


def side_by_side(ours, theirs, *inputs, masks=None, training=False, seed=0, **call):
    """Calls both layers with the same weights; compares outputs, their masks and gradients.

    `inputs` are positional arguments, trees of tensors; `masks` a list of the same form.
    Returns our outputs and the largest relative error.
    """
    rng = np.random.default_rng(seed)
    called(ours, inputs, masks, False, call, seed)
    called(theirs, inputs, masks, False, call, seed)
    if theirs.weights:
        theirs.set_weights(random_weights(theirs, rng))
    ours.set_weights(theirs.get_weights())
    x, result = called(ours, inputs, masks, training, call, seed)
    y, expected = called(theirs, inputs, masks, training, call, seed)
    mine, others = leaves(result), leaves(expected)
    assert len(mine) == len(others)
    errors = [close(a.detach(), b.detach()) for a, b in zip(mine, others, strict=True)]
    # Keras's weights of attention have masks of their own, of no use to anyone.
    first, second = (getattr(one[0], "_keras_mask", None) for one in (mine, others))
    assert (first is None) == (second is None)
    assert first is None or torch.equal(first, second.to(torch.bool))
    cotangents = [torch.tensor(rng.normal(size=o.shape), dtype=torch.float32) for o in mine]
    first = slopes(mine, cotangents, [t for t in x if t.requires_grad] + ours.trainable_weights)
    variables = [w.value for w in theirs.trainable_weights]
    second = slopes(others, cotangents, [t for t in y if t.requires_grad] + variables)
    # A gradient may be 0 but for rounding: of a bias of attention's keys.
    least = max(1e-6, *(5e-2 * float(one.abs().max()) for one in second))
    errors += [close(a, b, least=least) for a, b in zip(first, second, strict=True)]
    return SimpleNamespace(outputs=result, error=max(errors, default=0))


@pytest.fixture
def beside():
    """`beside(ours, theirs, x, mask=…)`: calls both layers, compares all that comes out."""
    return side_by_side


@pytest.fixture
def same_config():
    """`same_config(ours, theirs)`: their configs are the same, and make either again."""
    return compare_configs
