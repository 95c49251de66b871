import pytest
import torch

from elephas_torch.keras import layers

CASES = [
    ("ActivityRegularization", {}, (3, 4)),
    ("ActivityRegularization", {"l1": 0.25}, (2, 3, 4)),
    ("ActivityRegularization", {"l1": 0.25, "l2": 0.5}, (2, 3, 4)),
]


@pytest.mark.parametrize(("name", "kwargs", "shape"), CASES)
def test_is_keras_s(same, close_to, name, kwargs, shape):
    found = same(name, shape=shape, **kwargs)
    assert found.outputs is found.x
    (mine,), (other,) = found.ours.losses, found.theirs.losses
    close_to(mine.detach(), other.detach())


def test_masks_go_on():
    masked = layers.Masking()(torch.ones(2, 3, 4))
    assert layers.ActivityRegularization(l2=0.5)(masked)._keras_mask.all()


@pytest.mark.parametrize("kwargs", [{"l1": "much"}, {"l2": -1}, {"l1": float("nan")}])
def test_factors_that_are_none_are_errors(kwargs):
    (name,) = kwargs
    with pytest.raises(ValueError, match=f"{name}="):
        layers.ActivityRegularization(**kwargs)
