"""Crossentropies against Keras 3's."""

import pytest
import torch

from elephas_torch.keras import ops


@pytest.mark.parametrize("logits", [False, True])
def test_two_classes(same, logits):
    output = torch.randn(3, 4) if logits else torch.rand(3, 4)
    same("binary_crossentropy", torch.rand(3, 4), output, logits)
    same("binary_crossentropy", torch.randint(0, 2, (3, 4)).float(), output, logits)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("axis", [-1, 1])
def test_many_classes(same, logits, axis):
    output = torch.randn(3, 4, 5) if logits else torch.rand(3, 4, 5)
    target = torch.softmax(torch.randn(3, 4, 5), axis)
    same("categorical_crossentropy", target, output, logits, axis)
    shape = [3, 4] if axis == -1 else [3, 5]
    classes = torch.randint(0, 4, shape)
    same("sparse_categorical_crossentropy", classes, output, logits, axis)
    same("sparse_categorical_crossentropy", classes.unsqueeze(axis), output, logits, axis)


def test_one_row(same):
    same("sparse_categorical_crossentropy", torch.tensor(2), torch.rand(4))


def test_certain_predictions(same):
    output = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    same("binary_crossentropy", output.flip(0), output)
    same("categorical_crossentropy", output.flip(0), output)
    same("sparse_categorical_crossentropy", torch.tensor([1, 1]), output)


def test_sequences(same):
    target, lengths = torch.tensor([[1, 2, 3], [2, 2, 0]]), torch.tensor([3, 2])
    same("ctc_loss", target, torch.randn(2, 8, 5), lengths, torch.tensor([8, 7]))
    same("ctc_loss", target, torch.randn(2, 8, 5), lengths, torch.tensor([8, 7]), mask_index=4)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("binary_crossentropy", torch.ones(3)),
        ("categorical_crossentropy", torch.ones(2)),
        ("sparse_categorical_crossentropy", torch.ones(3)),
    ],
)
def test_shapes_that_do_not_fit(name, target):
    with pytest.raises(ValueError, match=rf"{name}.*\({len(target)},\)"):
        getattr(ops, name)(target, torch.ones(2, 3))
