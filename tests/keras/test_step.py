import numpy as np
import pytest
import torch

from elephas_torch.keras import Sequential, batches, layers, losses
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.layers import Activation, Dense
from elephas_torch.keras.step import Step

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 3
Y = torch.eye(3)[LABELS]


class Unfused(Sequential):
    """The same, of which nobody knows what it ends with."""

    def last_activation(self):
        return None


def compiled(
    last="softmax", loss="categorical_crossentropy", metrics=("accuracy", "mae"), made=Sequential
):
    torch.manual_seed(0)
    model = made([Dense(5, "relu", input_dim=4), Dense(3, last)])
    model.compile("sgd", loss, metrics=list(metrics))
    return model


FUSED = [
    ("softmax", "categorical_crossentropy", Y),
    ("softmax", "sparse_categorical_crossentropy", LABELS),
    ("sigmoid", "binary_crossentropy", Y),
]


@pytest.mark.parametrize(("last", "loss", "y"), FUSED)
def test_fusing_changes_neither_loss_nor_gradients_nor_metrics(last, loss, y):
    metrics = ["accuracy"]
    fused, plain = (Step(compiled(last, loss, metrics, made)) for made in (Sequential, Unfused))
    assert fused.loss.from_logits and not plain.loss.from_logits
    batch = Samples(X, y.to(fused.target_dtype))
    assert float(fused.gradients(batch)) == pytest.approx(float(plain.gradients(batch)), rel=1e-5)
    assert torch.allclose(fused.flat.gradients, plain.flat.gradients, rtol=1e-4, atol=1e-7)
    assert fused.logs() == pytest.approx(plain.logs(), rel=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        Sequential([Dense(3, input_dim=4), Activation("softmax")]),
        Sequential([Dense(3, input_dim=4), Sequential([Dense(3, "softmax")])]),
    ],
)
def test_a_softmax_of_its_own_is_fused_too(model):
    model.compile("sgd", "categorical_crossentropy")
    step = Step(model)
    assert step.loss.from_logits
    expected = losses.get("categorical_crossentropy")(Y, model(X))
    assert step.evaluate(Samples(X, Y)) == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        ("relu", "categorical_crossentropy"),
        ("softmax", "mse"),
        ("sigmoid", "categorical_crossentropy"),
        (None, losses.CategoricalCrossentropy(from_logits=True)),
    ],
)
def test_nothing_else_is_fused(last, loss):
    step = Step(compiled(last, loss))
    assert step._activations == [None]
    assert step.loss is step.model.loss


def test_fused_losses_are_exact_where_probabilities_round_off():
    model = Sequential([Dense(2, "softmax", use_bias=False, input_dim=1)])
    model.compile("sgd", "categorical_crossentropy")
    model.set_weights([np.array([[0.0, 200.0]])])
    step = Step(model)
    batch = Samples(torch.ones(1, 1), torch.tensor([[1.0, 0.0]]))
    assert float(step.gradients(batch)) == 200.0
    assert step.flat.gradients.tolist() == [-1.0, 1.0]


def test_logs_are_means_over_rows():
    step = Step(compiled())
    for part in batches.batches(Samples(X, Y), 7):
        step.gradients(part)
    parts = step.logs()
    step.reset()
    step.evaluate(Samples(X, Y))
    assert step.logs() == pytest.approx(parts, rel=1e-5)
    assert list(parts) == ["accuracy", "loss", "mae"]  # sorted, as in Keras
    step.reset()
    assert step.logs()["loss"] == 0.0


def test_sums_of_workers_add_up_exactly():
    whole, first, second = (Step(compiled()) for _ in range(3))
    whole.evaluate(Samples(X, Y))
    first.evaluate(Samples(X[:20], Y[:20]))
    second.evaluate(Samples(X[20:], Y[20:]))
    third = Step(compiled())
    third.load_sums([first.sums(), second.sums()])
    assert third.logs() == pytest.approx(whole.logs(), rel=1e-6)
    assert third.sums()["rows"] == 30
    third.load_sums([])
    assert third.logs()["loss"] == 0.0


def test_evaluating_leaves_no_gradient():
    step = Step(compiled())
    step.flat.gradients.fill_(3.0)
    loss = step.evaluate(Samples(X, Y))
    assert not loss.requires_grad
    assert (step.flat.gradients == 3).all()
    assert not step.gradients(Samples(X, Y)).requires_grad


def test_weights_of_rows_count_in_the_loss_but_not_in_metrics():
    step = Step(compiled())
    step.evaluate(Samples(X, Y))
    plain = step.logs()
    step.reset()
    step.evaluate(Samples(X, Y, torch.full((30,), 2.0)))
    assert step.logs()["loss"] == pytest.approx(2 * plain["loss"], rel=1e-5)
    assert step.logs()["accuracy"] == plain["accuracy"]


def test_frozen_models_are_only_evaluated():
    model = compiled()
    model.trainable = False
    step = Step(model)
    assert step.flat.sizes == []
    with pytest.warns(UserWarning, match="has no trainable weights"):
        assert step.gradients(Samples(X, Y)) > 0
    assert step.gradients(Samples(X, Y)) > 0  # it says so once


def test_the_step_is_kept_while_it_fits():
    model = compiled()
    step = model._ready()
    assert model._ready() is step
    model.fit(X, Y, verbose=0)
    assert model._ready() is step
    model.layers[0].trainable = False
    assert model._ready() is not step
    model.add(layers.Dense(3))
    assert len(model._ready().flat.sizes) == 4
