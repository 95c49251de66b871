"""Constraints on weights within a flat vector."""

import json

import pytest
import torch

from elephas_torch import constraints


def test_only_the_named_weights_change():
    vector = torch.arange(-6.0, 6.0)
    before = vector.clone()
    specs = [
        constraints.spec("NonNeg", {}, 0, [2, 2]),
        constraints.spec("MaxNorm", {"max_value": 1.0, "axis": 0}, 6, (2, 3)),
    ]
    constraints.project(vector, json.loads(json.dumps(specs)))
    assert vector[:4].tolist() == [0, 0, 0, 0]
    assert torch.equal(vector[4:6], before[4:6])
    expected = constraints.max_norm(before[6:].view(2, 3), 1.0)
    assert torch.equal(vector[6:].view(2, 3), expected)
    assert expected.norm(dim=0).max() <= 1


def test_a_vector_that_asks_for_gradients_is_changed_in_place():
    vector = torch.tensor([-1.0, 2.0], requires_grad=True)
    constraints.project(vector, [constraints.spec("NonNeg", {}, 0, [2])])
    assert vector.tolist() == [0, 2]
    assert vector.is_leaf


def test_a_scalar_weight_is_taken():
    vector = torch.tensor([1.0, -2.0])
    constraints.project(vector, [constraints.spec("NonNeg", {}, 1, [])])
    assert vector.tolist() == [1, 0]


def test_axes_may_be_several_or_all():
    w = torch.ones(2, 2, 4)
    assert torch.allclose(constraints.unit_norm(w, [0, 1]), w / 2)
    assert torch.allclose(constraints.unit_norm(w, None), w / 4)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"offset": 3, "shape": [2]}, "offset=3, shape=\\[2\\]"),
        ({"offset": -1, "shape": [2]}, "offset=-1"),
        ({"offset": 0, "shape": [-1, 3]}, "shape=\\[-1, 3\\]"),
        ({"offset": 0, "shape": [4], "kind": "NoNeg"}, "Did you mean 'NonNeg'"),
    ],
)
def test_what_is_wrong_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        constraints.project(torch.zeros(4), [{"kind": "NonNeg", "config": {}, **wrong}])
    assert constraints.spec("NonNeg", {}, 0, [4])["kind"] == "NonNeg"
