import json
import threading

import numpy as np
import pytest

from elephas_torch.keras.layers import Dense, Layer
from elephas_torch.keras.serialization import (
    custom_object_scope,
    deserialize_keras_object,
    find_class,
    find_custom,
    is_own,
    register_keras_serializable,
    registered_name,
    serialize_keras_object,
    to_json,
)


class Mine(Layer):
    pass


def test_our_classes_are_described_as_keras_s():
    described = serialize_keras_object(Dense(3, name="x"))
    assert described["module"] == "keras.layers"
    assert described["class_name"] == "Dense"
    assert described["registered_name"] is None
    assert described["config"]["units"] == 3
    again = deserialize_keras_object(json.loads(json.dumps(described)))
    assert (
        type(again) is Dense
        and again.get_config() == Dense.from_config(described["config"]).get_config()
    )


def test_others_keep_their_module():
    described = serialize_keras_object(Mine())
    assert described["module"] == __name__
    assert described["registered_name"] == "Mine"
    assert is_own(Dense) and not is_own(Mine)


def test_registered_names():
    @register_keras_serializable(package="first", name="Thing")
    class One(Layer):
        pass

    @register_keras_serializable(package="second", name="Thing")
    class Two(Layer):
        pass

    assert registered_name(One) == "first>Thing"
    assert find_custom("first>Thing") is One and find_custom("second>Thing") is Two
    assert find_custom("Thing") in (One, Two)
    assert find_custom("nothing") is None
    assert type(deserialize_keras_object(serialize_keras_object(Two()))) is Two

    @register_keras_serializable()
    def plain(x):
        return x

    assert find_custom("Custom>plain") is plain


def test_scopes_end_and_nest():
    with custom_object_scope({"A": 1}):
        with custom_object_scope({"B": 2, "A": 3}):
            assert (find_custom("A"), find_custom("B")) == (3, 2)
        assert (find_custom("A"), find_custom("B")) == (1, None)
    assert find_custom("A") is None
    with pytest.raises(ZeroDivisionError), custom_object_scope({"A": 1}):
        raise ZeroDivisionError
    assert find_custom("A") is None


def test_scopes_belong_to_their_thread():
    seen = []
    with custom_object_scope({"A": 1}):
        thread = threading.Thread(target=lambda: seen.append(find_custom("A")))
        thread.start()
        thread.join()
    assert seen == [None]


def test_custom_objects_come_first():
    with custom_object_scope({"Dense": Mine}):
        assert find_class("Dense") is Mine
    assert find_class("Dense") is Dense
    assert find_class("Dense", module="keras.layers") is Dense
    assert find_class("Dense", module="keras.src.layers.core.dense") is Dense


def test_unknown_classes():
    with pytest.raises(ValueError, match=r"layer: 'Dens'. Did you mean 'Dense'.*@register_keras"):
        find_class("Dens")
    with pytest.raises(ValueError, match="Unknown layer: 'Dense'"):
        find_class("Dense", module="somebody.elses")
    with pytest.raises(ValueError, match="Unknown model: 'X'"):
        find_class("X", kind="model")


@pytest.mark.parametrize("config", [None, 3, "Dense", [], {}, {"class_name": 3}, {"config": {}}])
def test_what_is_no_config(config):
    with pytest.raises(ValueError, match=r"Not the config of a layer: .*Received: "):
        deserialize_keras_object(config)


@pytest.mark.parametrize("objects", [3, ["x"], {3: Dense}])
def test_scopes_take_dicts(objects):
    with (
        pytest.raises(TypeError, match="`custom_objects` must be a dict"),
        custom_object_scope(objects),
    ):
        pass
    with pytest.raises(TypeError, match="`custom_objects` must be a dict"):
        deserialize_keras_object({"class_name": "Dense", "config": {"units": 2}}, objects)


def test_json_of_numpy_s_values():
    text = to_json({"a": np.float32(1.5), "b": np.arange(3), "c": np.bool_(True), "d": (1, 2)})
    assert json.loads(text) == {"a": 1.5, "b": [0, 1, 2], "c": True, "d": [1, 2]}
    with pytest.raises(TypeError, match=r"Received: <built-in function print> \(of type"):
        to_json({"a": print})
    with pytest.raises(TypeError, match=r"\.\.\. \(of type set"):
        to_json({"a": set(range(1000))})
