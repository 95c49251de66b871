"""What `test_on_device.py` runs, in a process of its own: torch must hear of a device that is made
up before its first backward pass. Prints what failed, by name, as JSON."""

import functools
import json
import warnings

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration

from elephas_torch.device import Device
from elephas_torch.keras import Model, Sequential, layers, losses, optimizers
from elephas_torch.keras.batches import Samples
from elephas_torch.passage import Passage
from elephas_torch.stepping import step_of
from tests import families


def put(model, where):
    """What `device.put` does, in torch's terms for made-up tensors."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                there = torch.empty(weight.shape, dtype=weight.dtype, device=where)
                module._parameters[name] = torch.nn.Parameter(there, weight.requires_grad)
        for name, one in module._buffers.items():
            if one is not None:
                module._buffers[name] = torch.empty(one.shape, dtype=one.dtype, device=where)


def check(model, where, inputs, targets, dtype=torch.float32, target_dtype=torch.float32):
    """A step with this model, an evaluation, weighed, and a prediction."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        put(model, where)
        step = step_of(model)
        x = torch.empty(inputs, dtype=dtype, device=where)
        y = torch.empty(targets, dtype=target_dtype, device=where)
        model.train()
        step.train(Samples(x, y))
        model.eval()
        step.evaluate(Samples(x, y, torch.empty(inputs[0], device=where)))
        vectors = step.flat.vectors
        assert {one.device for one in vectors} == {torch.device("sham", 0)}
        assert step._there is not None and step._there.device.type == "sham"
        given = Samples(torch.empty(inputs, dtype=dtype))
        (there,) = Passage(Device(where), 0).outputs(lambda batch: model(batch.x), iter([given]))
        assert there[0] is given and there[1].device.type == "cpu"


def family_of_layers(sham, made, shape):
    model = made()
    model.compile("adam", "mse")
    dtype = torch.int32 if shape == families.WORDS else torch.float32
    check(model, sham, (4, *shape), (4, 3), dtype)


def drawn(sham, made, shape):
    family_of_layers(sham, lambda: families.line(shape, [made()]), shape)


LOSSES = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy", "CategoricalGeneralizedCrossEntropy", "CategoricalHinge",
    "Circle", "CosineSimilarity", "Dice", "Hinge", "Huber", "KLDivergence", "LogCosh",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "SparseCategoricalCrossentropy", "SquaredHinge",
    "Tversky",
]  # fmt: skip
#: Losses of class numbers.
SPARSE = ("Sparse", "CategoricalGeneralized", "Circle")
#: Families with what torch can't do on a device that is made up: cells of GRU, numbers of the
#: host's that are copied there.
BEYOND = ("gru", "augmentation", "categories")


def loss(sham, name):
    model = Sequential([layers.Dense(3, activation="softmax", input_dim=4)])
    model.compile("sgd", getattr(losses, name)())
    sparse = name.startswith(SPARSE)
    targets, dtype = ((4,), torch.int64) if sparse else ((4, 3), torch.float32)
    check(model, sham, (4, 4), targets, target_dtype=dtype)


def several_outputs(sham):
    given = layers.Input(shape=(4,))
    model = Model(given, [layers.Dense(2)(given), layers.Dense(3)(given)])
    model.compile("adam", ["mse", "mae"], loss_weights=[1.0, 2.0])
    with FakeTensorMode(allow_non_fake_inputs=True):
        put(model, sham)
        step = step_of(model)
        x, *y = (torch.empty(4, n, device=sham) for n in (4, 2, 3))
        step.train(Samples(x, y))
        step.evaluate(Samples(x, y))


OPTIMIZERS = [
    lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=1.0),
    lambda: optimizers.Adam(use_ema=True, weight_decay=0.1),
    lambda: optimizers.AdamW(amsgrad=True, clipnorm=1.0),
    lambda: optimizers.SGD(0.1, global_clipnorm=1.0),
    optimizers.Adadelta, optimizers.Adafactor, optimizers.Adagrad, optimizers.Adamax,
    optimizers.Ftrl, optimizers.Lamb, optimizers.Lion, optimizers.Muon, optimizers.Nadam,
    lambda: optimizers.RMSprop(momentum=0.9, centered=True), optimizers.ScheduleFreeAdamW,
]  # fmt: skip


def optimizer(sham, made):
    model = Sequential([layers.Dense(3, input_dim=4), layers.Dense(2)])
    model.compile(made(), "mse")
    check(model, sham, (4, 4), (4, 2))


def cases():
    """Names, and what is to be run for them."""
    for name, (shape, made) in families.MODELS.items():
        if name not in BEYOND:
            yield name, functools.partial(family_of_layers, made=made, shape=shape)
    for name, (shape, made) in families.DRAWN.items():
        yield name, functools.partial(drawn, made=made, shape=shape)
    yield "several outputs", several_outputs
    for name in LOSSES:
        yield name, functools.partial(loss, name=name)
    for number, made in enumerate(OPTIMIZERS):
        yield f"optimizer {number}", functools.partial(optimizer, made=made)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    backend_registration._setup_privateuseone_for_python_backend("sham")
    found = {}
    for name, case in cases():
        try:
            case(torch.device("sham"))
            found[name] = None
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"[:500]
    print(json.dumps(found))
