import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import pytest
from torch import nn

from elephas_torch.keras import Input, Model, Sequential, naming
from elephas_torch.keras.layers import BatchNormalization, Dense


def lines(model, **options):
    found = []
    model.summary(print_fn=found.append, **options)
    return found


def cells(model, **options):
    """The table's rows as lists of texts, the head first; wrapped lines left out."""
    rows = [line.strip("┃│").replace("┃", "│") for line in lines(model, **options)]
    return [[cell.strip() for cell in row.split("│")] for row in rows if "│" in row]


def test_summary_lists_layers_shapes_and_counts(capsys):
    model = Sequential(
        [Dense(4, input_dim=3, name="first"), BatchNormalization(name="norm")], name="net"
    )
    model.summary()
    text = capsys.readouterr().out
    assert text == (
        'Model: "net"\n'
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┓\n"
        "┃ Layer (type)              ┃ Output Shape ┃ Param # ┃\n"
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━┩\n"
        "│ first (Dense)             │ (None, 4)    │      16 │\n"
        "├───────────────────────────┼──────────────┼─────────┤\n"
        "│ norm (BatchNormalization) │ (None, 4)    │      16 │\n"
        "└───────────────────────────┴──────────────┴─────────┘\n"
        " Total params: 32 (128.00 B)\n"
        " Trainable params: 24 (96.00 B)\n"
        " Non-trainable params: 8 (32.00 B)\n"
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
    assert " Total params: 4,060,010 (15.49 MB)" in lines(ours)
    assert theirs.count_params() == 4_060_010


def test_unbuilt_layers_have_no_shape():
    model = Sequential([Dense(3, name="one")])
    assert cells(model)[1] == ["one (Dense)", "?", "0 (unbuilt)"]


def test_frozen_layers_are_counted_apart():
    model = Sequential([Dense(4, input_dim=3, trainable=False), Dense(2)])
    assert " Trainable params: 10 (40.00 B)" in lines(model)
    assert " Non-trainable params: 16 (64.00 B)" in lines(model)
    assert [row[-1] for row in cells(model, show_trainable=True)] == ["Trainable", "N", "Y"]


def test_the_optimizer_is_counted_once_it_keeps_something():
    model = Sequential([Dense(1, input_dim=3)])
    model.compile("adam", "mse")
    assert not any("Optimizer" in line for line in lines(model))
    model.fit(np.ones((2, 3)), np.ones(2), verbose=0)
    assert " Optimizer params: 8 (32.00 B)" in lines(model)


def test_a_torch_model_is_one_line():
    text = "\n".join(lines(Model.from_torch(nn.Linear(3, 2), (3,))))
    assert "Linear" in text and "(None, 2)" in text and "Total params: 8" in text


@pytest.mark.parametrize("length", [40, 60, 120])
def test_line_length(length):
    model = Sequential([Dense(4, input_dim=3, name="a_layer_with_a_name_that_is_long")])
    widths = {len(line) for line in lines(model, line_length=length) if line[0] in "┏┃│├└"}
    assert widths == {length} if length > 50 else max(widths) <= 52


def branched():
    first, second = Input((4,), name="first"), Input((4,), name="second")
    shared = Dense(3, name="shared")
    inner = Sequential([Input((3,)), Dense(2, name="deep")], name="inner")
    left = inner(shared(first))
    return Model([first, second], [left, Dense(1, name="last")(shared(second) + 1.0)])


def test_branched_models_say_what_is_connected():
    naming.clear()
    assert cells(branched()) == [
        ["Layer (type)", "Output Shape", "Param #", "Connected to"],
        ["first (InputLayer)", "(None, 4)", "0", "-"],
        ["second (InputLayer)", "(None, 4)", "0", "-"],
        ["shared (Dense)", "(None, 3)", "15", "first[0][0], second[0][0]"],
        ["add (Add)", "(None, 3)", "0", "shared[1][0]"],
        ["inner (Sequential)", "(None, 2)", "8", "shared[0][0]"],
        ["last (Dense)", "(None, 1)", "4", "add[0][0]"],
    ]


def test_nested_models_are_shown_on_demand():
    rows = cells(branched(), expand_nested=True)
    assert [row[0] for row in rows if "deep" in row[0]] == ["└ deep (Dense)"]
    assert not any("deep" in row[0] for row in cells(branched()))


def test_a_range_of_layers():
    model = Sequential([Dense(n, name=f"d{n}") for n in range(1, 6)])
    rows = cells(model, layer_range=["d2", "d4"])
    assert [row[0] for row in rows[1:]] == ["d2 (Dense)", "d3 (Dense)", "d4 (Dense)"]
    with pytest.raises(ValueError, match="names of two layers of the model"):
        model.summary(layer_range=["d2", "nowhere"])
