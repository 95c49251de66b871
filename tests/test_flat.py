import copy
import io

import pytest
import torch
from torch import nn

from elephas_torch.flat import Flat, Vectors
from elephas_torch.keras import Sequential
from elephas_torch.keras.layers import BatchNormalization, Dense


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def test_vectors_lie_under_the_module():
    module = network()
    before = copy.deepcopy(module.state_dict())
    flat = Flat(module)
    assert flat.sizes == [12, 4, 4, 4, 8, 2]
    assert flat.names == [name for name, _ in module.named_parameters()]
    assert flat.parameters.shape == flat.gradients.shape == (34,)
    assert flat.state.shape == (8,) and flat.counters.shape == (1,)
    assert flat.counters.dtype == torch.int64
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    flat.parameters.fill_(7)
    flat.state.fill_(8)
    flat.counters.fill_(9)
    assert all((p == 7).all() for p in module.parameters())
    assert (module[1].running_mean == 8).all() and module[1].num_batches_tracked == 9
    assert flat.holds(module)


def test_gradients_are_those_of_autograd():
    module, x = network(), torch.randn(5, 3)
    module(x).square().sum().backward()
    expected = torch.cat([p.grad.reshape(-1) for p in module.parameters()])
    module.zero_grad()
    flat = Flat(module)
    for _ in range(2):
        flat.zero_gradients()
        module(x).square().sum().backward()
        assert torch.allclose(flat.gradients, expected)


def test_batch_norm_updates_the_state_in_place():
    module = network()
    flat = Flat(module)
    module(torch.randn(5, 3))
    assert torch.equal(flat.state[:4], module[1].running_mean)
    assert flat.state[:4].abs().sum() > 0
    assert flat.counters.tolist() == [1]


@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.Adam])
def test_torch_s_optimizers_work_on(cls):
    one, other, x = network(), network(), torch.randn(5, 3)
    flat = Flat(one)
    for module in (one, other):
        optimizer = cls(module.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad(set_to_none=False)
            module(x).square().sum().backward()
            optimizer.step()
    assert flat.holds(one)
    expected = torch.cat([p.detach().reshape(-1) for p in other.parameters()])
    assert torch.allclose(flat.parameters, expected)


def test_loading_a_state_keeps_the_views():
    module, other = network(), network()
    flat = Flat(module)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1)
    module.load_state_dict(other.state_dict())
    assert flat.holds(module)
    assert torch.equal(flat.parameters[:12], other[0].weight.detach().reshape(-1))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    module.load_state_dict(torch.load(file))
    assert flat.holds(module)


def changes():
    def swap_parameter(module):
        module[0].weight = nn.Parameter(torch.ones(4, 3))

    def swap_data(module):
        module[3].weight.data = torch.ones(2, 4)

    def swap_buffer(module):
        module[1].running_mean = torch.ones(4)

    def swap_buffer_data(module):
        module[1].running_mean.data = torch.ones(4)

    def swap_counter(module):
        module[1].num_batches_tracked = module[1].num_batches_tracked + 1

    def drop_gradients(module):
        module.zero_grad(set_to_none=True)

    def freeze(module):
        module[0].requires_grad_(False)

    def transpose(module):
        module[3].weight.data = module[3].weight.data.as_strided((2, 4), (1, 2))

    def assign(module):
        module.load_state_dict(network().state_dict(), assign=True)

    def add(module):
        module.append(nn.Linear(2, 2))

    def take(module):
        module.pop(3)

    def add_buffer(module):
        module.register_buffer("more", torch.ones(3))

    def double(module):
        module.double()

    return [value for value in locals().values() if callable(value)]


@pytest.mark.parametrize("change", changes(), ids=lambda f: f.__name__)
def test_holds_notices(change):
    module = network()
    flat = Flat(module)
    assert flat.holds(module)
    change(module)
    assert not flat.holds(module)


@pytest.mark.parametrize(
    "harmless",
    [
        lambda m: m.eval(),
        lambda m: m.float(),
        lambda m: m.to("cpu"),
        lambda m: m.zero_grad(set_to_none=False),
        lambda m: m.register_buffer("flag", torch.ones(2, dtype=torch.bool)),
        lambda m: nn.init.ones_(m[0].weight),
    ],
)
def test_holds_lets_pass(harmless):
    module = network()
    flat = Flat(module)
    harmless(module)
    assert flat.holds(module)


def test_a_copy_is_not_held():
    module = network()
    flat = Flat(module)
    assert not flat.holds(copy.deepcopy(module))
    assert flat.holds(module)


def test_gradients_that_were_dropped_come_back():
    module = network()
    flat = Flat(module)
    module.zero_grad(set_to_none=True)
    flat.zero_gradients()
    module(torch.randn(5, 3)).square().sum().backward()
    assert flat.gradients.abs().sum() > 0
    assert flat.holds(module)


def test_tied_weights_are_there_once():
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    module[1].weight = module[0].weight
    flat = Flat(module)
    assert flat.sizes == [9]
    assert module[1].weight is module[0].weight
    assert flat.holds(module)


def test_frozen_weights_stay_where_they_are():
    module = network()
    module[0].requires_grad_(False)
    module[0].double()
    address = module[0].weight.data_ptr()
    flat = Flat(module)
    assert flat.sizes == [4, 4, 8, 2]
    assert module[0].weight.data_ptr() == address


def test_weights_that_are_not_float32_are_named():
    module = network()
    module[3].double()
    with pytest.raises(TypeError, match=r"'3.weight' is torch.float64; training takes float32"):
        Flat(module)


def test_nothing_to_train():
    flat = Flat(nn.ReLU())
    assert flat.parameters.shape == (0,)
    assert flat.holds(nn.ReLU())
    flat.zero_gradients()


def test_weights_in_another_memory_format():
    module = nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)
    expected = module.weight.detach().clone()
    flat = Flat(module)
    assert torch.equal(module.weight, expected)
    assert torch.equal(flat.parameters[:48].view(4, 3, 2, 2), expected)
    assert flat.holds(module)


def test_vectors_copy_and_clone():
    flat = Flat(network())
    assert flat.vectors.sizes == (34, 8, 1)
    kept = flat.vectors.clone()
    flat.parameters.add_(1)
    assert not torch.equal(kept.parameters, flat.parameters)
    flat.vectors.copy_(kept)
    assert torch.equal(kept.parameters, flat.parameters)
    assert isinstance(kept, Vectors)
    with pytest.raises(RuntimeError):
        flat.vectors.copy_(Vectors(torch.ones(3), kept.state, kept.counters))


def compiled():
    torch.manual_seed(0)
    model = Sequential([Dense(4, "tanh", input_dim=3), BatchNormalization(), Dense(2)])
    model.compile("sgd", "mse")
    return model


def drop(model):
    model.zero_grad(set_to_none=True)


def replace(model):
    model.layers[0].kernel = nn.Parameter(model.layers[0].kernel.detach().clone())


def copy_weights(model):
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)


def double_and_back(model):
    model.double().float()


@pytest.mark.parametrize("change", [drop, replace, copy_weights, double_and_back])
def test_fit_goes_on_rightly_after(change):
    x, y = torch.randn(16, 3), torch.randn(16, 2)
    plain, changed = compiled(), compiled()
    for model in (plain, changed):
        for _ in range(2):
            model.fit(x, y, epochs=2, shuffle=False, verbose=0)
            if model is changed:
                change(model)
    for one, other in zip(plain.get_weights(), changed.get_weights(), strict=True):
        assert (one == other).all()


def test_fit_goes_on_rightly_when_gradients_are_dropped_within_an_epoch():
    from elephas_torch.keras.callbacks import LambdaCallback

    x, y = torch.randn(16, 3), torch.randn(16, 2)
    plain, changed = compiled(), compiled()
    hook = LambdaCallback(on_train_batch_end=lambda batch, logs: drop(changed))
    plain.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    changed.fit(x, y, batch_size=4, shuffle=False, verbose=0, callbacks=[hook])
    for one, other in zip(plain.get_weights(), changed.get_weights(), strict=True):
        assert (one == other).all()
