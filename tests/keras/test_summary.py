import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
from torch import nn

from elephas_torch.keras import Model, Sequential
from elephas_torch.keras.layers import BatchNormalization, Dense


def lines(model, **options):
    found = []
    model.summary(print_fn=found.append, **options)
    return found


def test_summary_lists_layers_shapes_and_counts(capsys):
    model = Sequential(
        [Dense(4, input_dim=3, name="first"), BatchNormalization(name="norm")], name="net"
    )
    model.summary()
    text = capsys.readouterr().out
    assert text == (
        'Model: "net"\n'
        "__________________________________________________________________\n"
        " Layer (type)                  Output Shape            Param #\n"
        "==================================================================\n"
        " first (Dense)                 (None, 4)               16\n"
        " norm (BatchNormalization)     (None, 4)               16\n"
        "==================================================================\n"
        "Total params: 32 (128.00 B)\n"
        "Trainable params: 24 (96.00 B)\n"
        "Non-trainable params: 8 (32.00 B)\n"
        "__________________________________________________________________\n"
    )


def test_counts_are_keras_s():
    ours = Sequential([Dense(4000, input_dim=1000), BatchNormalization(), Dense(10)])
    theirs = keras.Sequential(
        [
            keras.layers.Input((1000,)), keras.layers.Dense(4000),
            keras.layers.BatchNormalization(), keras.layers.Dense(10),
        ]
    )  # fmt: skip
    assert ours.count_params() == theirs.count_params()
    assert "Total params: 4,060,010 (15.49 MB)" in lines(ours)
    assert theirs.count_params() == 4_060_010


def test_unbuilt_layers_have_no_shape():
    assert " ?" in lines(Sequential([Dense(3, name="one")]))[4]
    assert "0 (unbuilt)" in lines(Sequential([Dense(3, name="one")]))[4]


def test_frozen_layers_are_counted_apart():
    model = Sequential([Dense(4, input_dim=3, trainable=False), Dense(2)])
    assert "Trainable params: 10 (40.00 B)" in lines(model)
    assert "Non-trainable params: 16 (64.00 B)" in lines(model)


def test_a_torch_model_is_one_line():
    text = "\n".join(lines(Model.from_torch(nn.Linear(3, 2), (3,))))
    assert "Linear" in text and "(None, 2)" in text and "Total params: 8" in text


def test_line_length():
    assert {len(line) for line in lines(Sequential(), line_length=90) if line[:1] == "_"} == {90}
