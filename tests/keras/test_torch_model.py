import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch.errors import ElephasError
from elephas_torch.keras import Model, Sequential, layers, losses, models, optimizers

X = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 50)


class Tied(nn.Module):
    """Two layers that share a weight, and a part that is frozen."""

    def __init__(self):
        super().__init__()
        self.start = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)
        self.again = nn.Linear(6, 6, bias=False)
        self.again.weight = self.start.weight
        self.fixed = nn.Linear(6, 6).requires_grad_(False)
        self.end = nn.Linear(6, 3)

    def forward(self, x):
        x = torch.tanh(self.norm(self.start(x)))
        return self.end(torch.tanh(self.fixed(self.again(x))))


def by_hand(module, optimizer, loss, x, y, epochs, batch_size):
    module.train()
    for _ in range(epochs):
        for first in range(0, len(x), batch_size):
            optimizer.zero_grad()
            loss(module(x[first : first + batch_size]), y[first : first + batch_size]).backward()
            optimizer.step()
    module.eval()


def states_match(one, other, tolerance=1e-5):
    for name, value in other.state_dict().items():
        mine = one.state_dict()[name].double()
        assert torch.allclose(mine, value.double(), rtol=tolerance, atol=1e-6), name


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_trains_as_a_loop_by_hand(momentum):
    torch.manual_seed(1)
    mine, other = Tied(), Tied()
    other.load_state_dict(mine.state_dict())
    before = {name: value.clone() for name, value in mine.state_dict().items()}
    model = Model.from_torch(mine, input_shape=(6,))
    model.compile(
        optimizers.SGD(0.05, momentum=momentum),
        losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(X, Y, epochs=4, batch_size=16, shuffle=False, verbose=0)
    parameters = [p for p in other.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=momentum)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    by_hand(other, optimizer, nn.CrossEntropyLoss(), x, y, epochs=4, batch_size=16)
    states_match(mine, other)
    assert mine.start.weight is mine.again.weight
    assert torch.equal(mine.fixed.weight, before["fixed.weight"])
    assert mine.norm.num_batches_tracked == 16
    with torch.no_grad():
        assert np.allclose(model.predict(X), other(x), atol=1e-5)
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx((model.predict(X).argmax(1) == Y).mean())


def test_the_module_is_the_users_own():
    net = nn.Sequential(nn.Linear(6, 3))
    model = Model.from_torch(net, (6,), name="mine")
    assert isinstance(model, models.TorchModel)
    assert model.module is net
    assert model.name == "mine"
    assert model.input_shape == (None, 6) and model.output_shape == (None, 3)
    assert net.training  # as it came
    assert list(model.state_dict()) == ["_wrapped.0.weight", "_wrapped.0.bias"]


def test_weights_are_parameters_and_then_buffers_in_the_modules_order():
    net = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))
    shapes = [w.shape for w in Model.from_torch(net, (6,)).get_weights()]
    assert shapes == [(4, 6), (4,), (4,), (4,), (4,), (4,), ()]


def test_indices_as_inputs():
    net = nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(12, 3))
    with pytest.raises(ElephasError, match=r"indices needs input_dtype=torch.int64"):
        Model.from_torch(net, (3,))
    model = Model.from_torch(net, (3,), input_dtype=torch.int64)
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    x = np.random.default_rng(0).integers(0, 20, (30, 3))
    history = model.fit(x, x[:, 0] % 3, epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.predict(x.astype("float64")).shape == (30, 3)


def test_lengths_that_are_free():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean(1, keepdim=True)

    model = Model.from_torch(Mean(), (None,))
    assert model.predict(np.ones((2, 5))).shape == model.predict(np.ones((2, 9))).shape == (2, 1)


@pytest.mark.parametrize(
    ("module", "shape", "error", "message"),
    [
        (nn.Linear(6, 3).double(), (6,), TypeError, "'weight' is torch.float64.*float32"),
        (nn.Linear(6, 3), (5,), ElephasError, r"Linear fails on zeros of shape \(1, 5\)"),
        (nn.Linear, (6,), TypeError, "torch.nn.Module object"),
        ("net", (6,), TypeError, "Received: 'net'"),
        (nn.LSTM(6, 3), (6,), ElephasError, "must give one tensor. It gives: tuple"),
        (nn.Linear(6, 3), (0,), ValueError, "positive whole numbers"),
        (nn.Linear(6, 3), "6", ValueError, "positive whole numbers.*'6'"),
    ],
)
def test_modules_that_cannot_be_models(module, shape, error, message):
    with pytest.raises(error, match=message):
        Model.from_torch(module, shape)


def test_input_dtypes():
    with pytest.raises(ValueError, match=r"input_dtype=torch.float64"):
        Model.from_torch(nn.Linear(6, 3), (6,), input_dtype=torch.float64)


def test_a_frozen_weight_may_have_another_dtype():
    class Casting(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.ones(6).double(), requires_grad=False)
            self.end = nn.Linear(6, 3)

        def forward(self, x):
            return self.end(x * self.table.float())

    model = Model.from_torch(Casting(), (6,))
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, verbose=0)


def test_saved_and_loaded_with_the_modules_factory(tmp_path):
    model = Model.from_torch(Tied(), (6,))
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"custom_objects=\{'Tied': function\}"):
        models.load_model(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Tied": Tied})
    assert np.array_equal(again.predict(X), model.predict(X))
    assert again.module.start.weight is again.module.again.weight
    assert again.optimizer.iterations == model.optimizer.iterations == 2


def test_a_torch_model_is_a_layer_too():
    inner = Model.from_torch(nn.Linear(6, 4), (6,))
    model = Sequential([inner, layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert model.output_shape == (None, 3)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_train_loop_of_ones_own_in_between():
    net = nn.Sequential(nn.Linear(6, 3))
    model = Model.from_torch(net, (6,))
    model.compile(optimizers.SGD(0.1), losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, verbose=0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    by_hand(net, optimizer, nn.CrossEntropyLoss(), x, y, epochs=1, batch_size=16)
    before = [p.detach().clone() for p in net.parameters()]
    model.fit(X, Y, verbose=0)
    assert not torch.equal(before[0], net[0].weight)
