"""Programs like those of https://keras.io/guides/sequential_model/"""

import numpy as np
import pytest
import torch


def shape(x):
    return tuple(x.shape)


def test_a_stack_of_layers_is_a_function(keras, layers):
    model = keras.Sequential(
        [
            layers.Dense(2, activation="relu", name="layer1"),
            layers.Dense(3, activation="relu", name="layer2"),
            layers.Dense(4, name="layer3"),
        ]
    )
    x = keras.ops.ones((3, 3))
    y = model(x)

    layer1 = layers.Dense(2, activation="relu", name="layer1")
    layer2 = layers.Dense(3, activation="relu", name="layer2")
    layer3 = layers.Dense(4, name="layer3")
    assert shape(layer3(layer2(layer1(x)))) == shape(y) == (3, 4)
    for one, other in zip(model.layers, (layer1, layer2, layer3), strict=True):
        other.set_weights(one.get_weights())
    torch.testing.assert_close(layer3(layer2(layer1(x))), y)


def test_layers_added_and_popped(keras, layers):
    model = keras.Sequential()
    model.add(layers.Dense(2, activation="relu"))
    model.add(layers.Dense(3, activation="relu"))
    model.add(layers.Dense(4))
    assert [layer.units for layer in model.layers] == [2, 3, 4]
    model.pop()
    assert len(model.layers) == 2


def test_names(both):
    def program(keras, layers):
        model = keras.Sequential(name="my_sequential")
        model.add(layers.Dense(2, activation="relu", name="layer1"))
        model.add(layers.Dense(3, activation="relu"))
        model.add(layers.Dense(4))
        return model.name, [layer.name for layer in model.layers], keras.Sequential().name

    assert both(program) == ("my_sequential", ["layer1", "dense", "dense_1"], "sequential")


def test_a_layer_has_weights_once_called(keras, layers):
    layer = layers.Dense(3)
    assert layer.weights == []
    layer(keras.ops.ones((1, 4)))
    assert [shape(weight) for weight in layer.weights] == [(4, 3), (3,)]


def test_a_model_has_weights_once_called(keras, layers):
    model = keras.Sequential(
        [layers.Dense(2, activation="relu"), layers.Dense(3, activation="relu"), layers.Dense(4)]
    )
    assert not model.built
    assert model.weights == []
    y = model(keras.ops.ones((1, 4)))
    assert model.built
    assert len(model.weights) == 6
    assert shape(y) == (1, 4)


def test_summary_once_built(keras, layers, capsys):
    model = keras.Sequential([layers.Dense(2, activation="relu"), layers.Dense(4)])
    model(keras.ops.ones((1, 4)))
    model.summary()
    printed = capsys.readouterr().out
    assert 'Model: "sequential"' in printed
    assert "Total params: 22" in printed


def test_the_input_is_no_layer(both):
    def program(keras, layers):
        model = keras.Sequential()
        model.add(keras.Input(shape=(4,)))
        model.add(layers.Dense(2, activation="relu"))
        lines = []
        model.summary(line_length=80, print_fn=lines.append)
        kinds = [type(layer).__name__ for layer in model.layers]
        return kinds, len(model.weights), model.input_shape, model.output_shape

    assert both(program) == (["Dense"], 2, (None, 4), (None, 2))


@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")
def test_input_shape_of_the_first_layer(both):
    def program(keras, layers):
        model = keras.Sequential()
        model.add(layers.Dense(2, activation="relu", input_shape=(4,)))
        return model.built, model.output_shape, [shape(weight) for weight in model.weights]

    assert both(program) == (True, (None, 2), [(4, 2), (2,)])


def test_add_and_summary(both):
    def program(keras, layers):
        model = keras.Sequential()
        model.add(keras.Input(shape=(250, 250, 3)))
        model.add(layers.Conv2D(32, 5, strides=2, activation="relu"))
        model.add(layers.Conv2D(32, 3, activation="relu"))
        model.add(layers.MaxPooling2D(3))
        found = [model.output_shape]
        model.add(layers.Conv2D(32, 3, activation="relu"))
        model.add(layers.Conv2D(32, 3, activation="relu"))
        model.add(layers.MaxPooling2D(3))
        model.add(layers.Conv2D(32, 3, activation="relu"))
        model.add(layers.Conv2D(32, 3, activation="relu"))
        model.add(layers.MaxPooling2D(2))
        found.append(model.output_shape)
        model.add(layers.GlobalMaxPooling2D())
        model.add(layers.Dense(10))
        text = []
        model.summary(print_fn=lambda line, **_: text.append(line))
        found.append(f"{model.count_params():,}" in "".join(text))
        return found, model.output_shape, model.count_params(), [one.name for one in model.layers]

    found, *_ = both(program)
    assert found == [(None, 40, 40, 32), (None, 4, 4, 32), True]


def test_features_of_every_layer(both):
    def program(keras, layers):
        initial_model = keras.Sequential(
            [
                keras.Input(shape=(25, 25, 3)),
                layers.Conv2D(8, 5, strides=2, activation="relu"),
                layers.Conv2D(8, 3, activation="relu"),
                layers.Conv2D(8, 3, activation="relu"),
            ]
        )
        feature_extractor = keras.Model(
            inputs=initial_model.inputs,
            outputs=[layer.output for layer in initial_model.layers],
        )
        features = feature_extractor(keras.ops.ones((1, 25, 25, 3)))
        return [shape(one) for one in features]

    assert both(program) == [(1, 11, 11, 8), (1, 9, 9, 8), (1, 7, 7, 8)]


def test_features_of_one_layer(keras, layers):
    initial_model = keras.Sequential(
        [
            keras.Input(shape=(25, 25, 3)),
            layers.Conv2D(8, 5, strides=2, activation="relu"),
            layers.Conv2D(8, 3, activation="relu", name="my_intermediate_layer"),
            layers.Conv2D(8, 3, activation="relu"),
        ]
    )
    feature_extractor = keras.Model(
        inputs=initial_model.inputs,
        outputs=initial_model.get_layer(name="my_intermediate_layer").output,
    )
    x = keras.ops.ones((1, 25, 25, 3))
    features = feature_extractor(x)
    assert shape(features) == (1, 9, 9, 8)
    torch.testing.assert_close(initial_model.layers[2](features), initial_model(x))


def test_all_but_the_last_layer_frozen(keras, layers, vectors, tmp_path):
    (x_train, y_train), _ = vectors

    def make():
        return keras.Sequential(
            [
                keras.Input(shape=(64,)),
                layers.Dense(32, activation="relu"),
                layers.Dense(32, activation="relu"),
                layers.Dense(10),
            ]
        )

    make().save_weights(tmp_path / "pretrained.weights.h5")
    model = make()
    model.load_weights(tmp_path / "pretrained.weights.h5")
    for layer in model.layers[:-1]:
        layer.trainable = False
    before = model.get_weights()
    model.compile(
        optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(x_train, y_train, epochs=1, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, False, False, False, True, True]
    assert len(model.trainable_weights) == 2


def test_a_classifier_on_a_frozen_model(keras, layers, vectors):
    (x_train, y_train), _ = vectors
    base_model = keras.Sequential([keras.Input(shape=(64,)), layers.Dense(16, activation="relu")])
    base_model.trainable = False
    model = keras.Sequential([base_model, layers.Dense(10)])
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = base_model.get_weights()
    model.fit(x_train, y_train, epochs=1, verbose=0)
    for a, b in zip(before, base_model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [shape(weight) for weight in model.trainable_weights] == [(16, 10), (10,)]
