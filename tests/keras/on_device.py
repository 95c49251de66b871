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


LINE, STEPS, IMAGE = (4,), (6, 4), (8, 8, 2)
FAMILIES = {
    "dense": (LINE, lambda: [layers.Dense(3, "relu", kernel_regularizer="l2")]),
    "constrained": (LINE, lambda: [layers.Dense(3, kernel_constraint="max_norm")]),
    "activations": (LINE, lambda: [layers.PReLU(), layers.LeakyReLU(), layers.ELU(),
                                   layers.Softmax(), layers.Activation("gelu")]),
    "normalization": (LINE, lambda: [layers.BatchNormalization(), layers.LayerNormalization(),
                                     layers.GroupNormalization(2), layers.UnitNormalization()]),
    "noise": (LINE, lambda: [layers.Dropout(0.5), layers.GaussianNoise(0.1),
                             layers.GaussianDropout(0.5), layers.AlphaDropout(0.5),
                             layers.ActivityRegularization(0.1)]),
    "convolution": (IMAGE, lambda: [layers.Conv2D(3, 3, padding="same"), layers.MaxPooling2D(),
                                    layers.SeparableConv2D(3, 3, padding="same"),
                                    layers.DepthwiseConv2D(2), layers.UpSampling2D(),
                                    layers.Conv2DTranspose(2, 2), layers.ZeroPadding2D(),
                                    layers.Cropping2D(), layers.AveragePooling2D()]),
    "convolution 1": (STEPS, lambda: [layers.Conv1D(3, 3, padding="causal"),
                                      layers.SpatialDropout1D(0.5), layers.Conv1DTranspose(2, 2),
                                      layers.GlobalMaxPooling1D()]),
    "lstm": (STEPS, lambda: [layers.Masking(), layers.LSTM(3, return_sequences=True),
                             layers.LSTM(3, go_backwards=True, recurrent_dropout=0.1)]),
    "rnn": (STEPS, lambda: [layers.Bidirectional(layers.SimpleRNN(3, return_sequences=True)),
                            layers.TimeDistributed(layers.Dense(2)),
                            layers.RNN(layers.LSTMCell(3))]),
    "reshaping": (LINE, lambda: [layers.Reshape((2, 2)), layers.Permute((2, 1)),
                                 layers.Flatten(), layers.RepeatVector(2)]),
    "images": (IMAGE, lambda: [layers.Rescaling(0.5), layers.RandomFlip(),
                               layers.RandomRotation(0.2), layers.RandomContrast(0.2),
                               layers.RandomBrightness(0.2), layers.CenterCrop(6, 6),
                               layers.Resizing(4, 4)]),
    "einsum": (LINE, lambda: [layers.EinsumDense("ab,bc->ac", 3)]),
}  # fmt: skip


def family_of_layers(sham, family):
    shape, made = FAMILIES[family]
    model = Sequential([layers.Input(shape=shape), *made(), layers.Flatten(), layers.Dense(2)])
    model.compile("adam", "mse")
    check(model, sham, (4, *shape), (4, 2))


def words_with_masks(sham):
    words = layers.Input(shape=(6,), dtype="int32")
    found = layers.Embedding(10, 4, mask_zero=True)(words)
    found = layers.LSTM(4, return_sequences=True)(found)
    attended = layers.MultiHeadAttention(2, 3)(found, found, use_causal_mask=True)
    found = layers.LayerNormalization()(layers.Add()([found, attended]))
    found = layers.Concatenate()([found, layers.Attention()([found, found])])
    found = layers.GlobalAveragePooling1D()(found)
    model = Model(words, layers.Dense(3, activation="softmax")(found))
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    check(model, sham, (4, 6), (4,), torch.int32, torch.int64)


LOSSES = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy", "CategoricalHinge", "CosineSimilarity", "Dice", "Hinge",
    "Huber", "KLDivergence", "LogCosh", "MeanAbsoluteError", "MeanSquaredLogarithmicError",
    "Poisson", "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky",
]  # fmt: skip


def loss(sham, name):
    model = Sequential([layers.Dense(3, activation="softmax", input_dim=4)])
    model.compile("sgd", getattr(losses, name)())
    sparse = name.startswith("Sparse")
    targets, dtype = ((4,), torch.int64) if sparse else ((4, 3), torch.float32)
    check(model, sham, (4, 4), targets, target_dtype=dtype)


OPTIMIZERS = [
    lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=1.0),
    lambda: optimizers.Adam(use_ema=True, weight_decay=0.1),
    lambda: optimizers.AdamW(amsgrad=True),
    optimizers.Adadelta, optimizers.Adafactor, optimizers.Adagrad, optimizers.Adamax,
    optimizers.Ftrl, optimizers.Lamb, optimizers.Lion, optimizers.Nadam, optimizers.RMSprop,
]  # fmt: skip


def optimizer(sham, made):
    model = Sequential([layers.Dense(3, input_dim=4), layers.Dense(2)])
    model.compile(made(), "mse")
    check(model, sham, (4, 4), (4, 2))


def cases():
    """Names, and what is to be run for them."""
    for name in FAMILIES:
        yield name, functools.partial(family_of_layers, family=name)
    yield "words with masks", words_with_masks
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
