"""`same`: a function of ours against Keras's of that name, on the same arguments."""

import functools

import keras
import pytest
import torch

from elephas_torch.keras import ops


def leaves(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return [leaf for one in tree for leaf in leaves(one)]
    return [tree]


def copied(tree):
    """The same arguments, with leaves of a graph of their own."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(copied(one) for one in tree)
    if isinstance(tree, torch.Tensor):
        return tree.clone().requires_grad_(tree.is_floating_point())
    return tree


def gradients(inputs, outputs):
    """Of a sum of the outputs with different weights; [] where nothing depends on the inputs."""
    inputs = [x for x in leaves(inputs) if isinstance(x, torch.Tensor) and x.requires_grad]
    losses = [
        (y * torch.linspace(0.5, 2.0, y.numel()).reshape(y.shape).to(y.dtype)).sum()
        for y in leaves(outputs)
        if isinstance(y, torch.Tensor) and y.requires_grad and y.is_floating_point()
    ]
    if not inputs or not losses:
        return []
    return torch.autograd.grad(sum(losses), inputs, allow_unused=True)


def compare(ours, theirs, dtypes=True, rtol=1e-5, atol=1e-6):
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        if not isinstance(other, torch.Tensor):
            assert one == other
            continue
        assert one.shape == other.shape
        torch.testing.assert_close(
            one, other, rtol=rtol, atol=atol, equal_nan=True, check_dtype=dtypes
        )


@pytest.fixture
def same():
    def check(name, *args, dtypes=True, differentiate=True, rtol=1e-5, atol=1e-6, **kwargs):
        find = functools.partial(functools.reduce, getattr, name.split("."))
        ours, theirs = ((copied((args, kwargs)), find(module)) for module in (ops, keras.ops))
        (our_given, ours), (their_given, theirs) = ours, theirs
        ours = ours(*our_given[0], **our_given[1])
        theirs = theirs(*their_given[0], **their_given[1])
        compare(ours, theirs, dtypes, rtol, atol)
        if differentiate:
            pairs = zip(gradients(our_given, ours), gradients(their_given, theirs), strict=True)
            for one, other in pairs:
                assert (one is None) == (other is None)
                if one is not None:
                    torch.testing.assert_close(one, other, rtol=rtol, atol=atol, equal_nan=True)

    return check
