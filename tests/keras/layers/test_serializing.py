import json

import keras
import pytest

from elephas_torch.keras import layers, regularizers


class Twice(layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def test_layers_go_there_and_back():
    described = json.loads(json.dumps(layers.serialize(layers.Dense(3, name="three"))))
    again = layers.deserialize(described)
    assert (type(again), again.units, again.name) == (layers.Dense, 3, "three")


def test_keras_reads_them_and_is_read():
    described = layers.serialize(layers.Conv2D(4, 3, padding="same"))
    theirs = keras.layers.deserialize(described)
    again = layers.deserialize(keras.layers.serialize(theirs))
    assert (theirs.filters, again.filters, again.padding) == (4, 4, "same")


def test_layers_of_one_s_own():
    described = layers.serialize(Twice())
    assert type(layers.deserialize(described, {"Twice": Twice})) is Twice
    with pytest.raises(ValueError, match="Twice"):
        layers.deserialize(described)


def test_what_is_no_layer_is_refused():
    described = keras.saving.serialize_keras_object(regularizers.L1(0.5))
    with pytest.raises(ValueError, match="describes no layer"):
        layers.deserialize(described)
