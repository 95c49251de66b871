import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch.keras import Input, Model, Sequential, layers, models


def module():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def test_it_computes_and_trains_as_the_module_does():
    inner = module()
    model = Sequential([Input((4,)), inner, layers.Activation("softmax")])
    assert model.output_shape == (None, 2)
    x = torch.rand(6, 4)
    torch.testing.assert_close(model(x), inner(x).softmax(-1))
    before = inner[0].weight.detach().clone()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, np.zeros(6), verbose=0)
    assert not torch.equal(before, inner[0].weight)
    assert not inner[1].running_mean.eq(0).all()


def test_in_a_functional_model():
    first, second = Input((4,)), Input((4,))
    wrapped = layers.TorchModuleWrapper(nn.Bilinear(4, 4, 3), name="bilinear")
    model = Model([first, second], wrapped(first, second))
    x = torch.rand(5, 4)
    assert model.output_shape == (None, 3)
    torch.testing.assert_close(model([x, x]), wrapped.module(x, x))


def test_frozen_modules_stay():
    inner = module()
    layer = layers.TorchModuleWrapper(inner, trainable=True)
    layer.trainable = False
    assert not any(p.requires_grad for p in inner.parameters())
    assert layer.trainable_weights == []


def test_a_declared_output_shape_spares_the_call():
    class Counted(nn.Module):
        calls = 0

        def forward(self, inputs):
            Counted.calls += 1
            return inputs[:, :2]

    wrapped = layers.TorchModuleWrapper(Counted(), output_shape=(None, 2))
    assert wrapped(Input((4,))).shape == (None, 2)
    assert Counted.calls == 0


def test_files_need_the_modules_code(tmp_path):
    model = Sequential([Input((4,)), layers.TorchModuleWrapper(nn.Linear(4, 2))])
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="torch module, 'Linear', whose code isn't saved"):
        models.load_model(tmp_path / "m.keras")
    again = models.load_model(
        tmp_path / "m.keras", custom_objects={"Linear": lambda: nn.Linear(4, 2)}
    )
    x = torch.rand(3, 4)
    torch.testing.assert_close(again(x), model(x))


@pytest.mark.parametrize("wrong", [nn.Linear, 3, None])
def test_what_is_no_module_is_refused(wrong):
    with pytest.raises(TypeError, match=r"must be a torch.nn.Module. Received"):
        layers.TorchModuleWrapper(wrong)
    with pytest.raises(TypeError, match="training takes float32"):
        layers.TorchModuleWrapper(nn.Linear(2, 2).double())
