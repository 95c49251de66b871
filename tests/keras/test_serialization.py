import json
import threading

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import activations
from elephas_torch.keras.layers import Dense, Layer
from elephas_torch.keras.serialization import (
    custom_object_scope,
    deserialize_keras_object,
    find_class,
    find_custom,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
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


@pytest.mark.parametrize("plain", [None, 3, 1.5, True, "Dense", [], {}, [1, {"a": [None]}]])
def test_plain_values_stay_what_they_are(plain):
    assert deserialize_keras_object(plain) == plain
    assert serialize_keras_object(plain) == plain


@pytest.mark.parametrize(
    "thing",
    [b"bytes", slice(1, None, 2), Ellipsis, (1, "two")],
    ids=["bytes", "slice", "ellipsis", "tuple"],
)
def test_python_s_own_things(thing):
    ours = json.loads(json.dumps(serialize_keras_object(thing)))
    assert ours == json.loads(json.dumps(keras.saving.serialize_keras_object(thing)))
    again = deserialize_keras_object(ours)
    assert again == (list(thing) if isinstance(thing, tuple) else thing)


def test_arrays_and_tensors():
    for thing in (np.arange(6, dtype="int32").reshape(2, 3), torch.tensor([1.5, 2.0])):
        ours = json.loads(json.dumps(serialize_keras_object(thing)))
        assert ours == json.loads(json.dumps(keras.saving.serialize_keras_object(thing)))
        again = deserialize_keras_object(ours)
        assert type(again) is type(thing) and again.dtype == thing.dtype
        assert (again == thing).all()
    assert serialize_keras_object(np.float32(2.5)) == 2.5
    assert serialize_keras_object(np.float32(0)) == 0
    assert serialize_keras_object(np.array(3)) == 3


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("losses", "Huber"),
        ("metrics", "MeanSquaredError"),
        ("optimizers", "Adam"),
        ("initializers", "Constant"),
        ("regularizers", "L2"),
        ("constraints", "NonNeg"),
    ],
)
def test_objects_of_every_family(family, name):
    theirs = keras.saving.serialize_keras_object(getattr(getattr(keras, family), name)())
    again = deserialize_keras_object(json.loads(json.dumps(theirs)))
    assert type(again).__name__ == name
    assert type(again).__module__.startswith(f"elephas_torch.keras.{family}")
    back = json.loads(json.dumps(serialize_keras_object(again)))
    assert type(keras.saving.deserialize_keras_object(back)).__name__ == name


def test_functions_are_found_by_their_names():
    relu = {"module": "keras.activations", "class_name": "function", "config": "relu"}
    assert deserialize_keras_object(relu) is activations.relu

    @register_keras_serializable(package="functions")
    def double(x):
        return 2 * x

    described = serialize_keras_object(double)
    assert described["config"] == "functions>double"
    assert deserialize_keras_object(described) is double
    with pytest.raises(ValueError, match=r"Unknown function: 'triple'.*custom_objects"):
        deserialize_keras_object({**relu, "config": "triple"})


def test_code_is_refused():
    described = serialize_keras_object(lambda x, n=2: x * n)
    assert described["class_name"] == "__lambda__"
    described = json.loads(json.dumps(described))
    with pytest.raises(ValueError, match=r"Python lambda.*safe_mode=False.*custom_objects"):
        deserialize_keras_object(described)
    with pytest.raises(ValueError, match="Python lambda"):
        deserialize_keras_object({"a": [described]})
    trusted = deserialize_keras_object(described, safe_mode=False)
    assert trusted(3) == 6 and trusted(3, 4) == 12
    with pytest.raises(ValueError, match="Python lambda"):
        deserialize_keras_object(described)
    for broken in ("", "AAAA", "=", described["config"]["code"][:40]):
        damaged = {"class_name": "__lambda__", "config": {"code": broken}}
        with pytest.raises(ValueError, match="code can't be read"):
            deserialize_keras_object(damaged, safe_mode=False)


def test_closures_travel_with_their_values():
    factor = 5
    described = json.loads(json.dumps(serialize_keras_object(lambda x: x * factor)))
    assert deserialize_keras_object(described, safe_mode=False)(3) == 15


@pytest.mark.parametrize(
    "config", [{"class_name": 3, "config": {}}, {"class_name": "Dense", "config": 3}]
)
def test_what_is_no_config(config):
    with pytest.raises(ValueError, match=r"Not the config of a layer|config of 'Dense' is no dict"):
        deserialize_keras_object(config)


def test_things_without_a_config():
    with pytest.raises(TypeError, match=r"object objects can't be described.*get_config"):
        serialize_keras_object(object())
    with pytest.raises(ValueError, match=r"'Bare' has no get_config"):
        register_keras_serializable()(type("Bare", (), {}))


def test_registered_objects():
    @register_keras_serializable(package="registry")
    class Thing(Layer):
        pass

    assert get_registered_name(Thing) == "registry>Thing"
    assert get_registered_name(Mine) == "Mine"
    assert get_registered_object("registry>Thing") is Thing
    assert get_registered_object("x", {"x": 1}, {"x": 2}) == 1
    assert get_registered_object("x", module_objects={"x": 2}) == 2
    assert get_registered_object("nobody") is None
    get_custom_objects()["by_hand"] = Thing
    try:
        assert find_custom("by_hand") is Thing
    finally:
        del get_custom_objects()["by_hand"]


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
