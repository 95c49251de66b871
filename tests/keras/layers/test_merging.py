import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import Model, layers

#: Name, arguments, shapes of the inputs, what is held beside Keras.
CASES = [
    *[(name, {}, [(3, 4, 2)] * 3) for name in ("Add", "Average", "Multiply", "Maximum", "Minimum")],
    ("Subtract", {}, [(3, 4), (3, 4)]),
    ("Add", {}, [(3, 4)]),
    ("Add", {}, [(3, 2), (3, 4, 2)]),
    ("Multiply", {}, [(3, 5, 4, 2), (3, 4, 2), (3, 1)]),
    ("Maximum", {}, [(3, 4, 1), (3, 1, 2)]),
    ("Average", {}, [(3, 1), (3, 4)]),
    ("Minimum", {}, [(3, 2), (3, 4, 2), (3, 4, 1)]),
    ("Subtract", {}, [(3, 2), (3, 4, 2)]),
    ("Concatenate", {}, [(3, 4, 2), (3, 4, 1)]),
    ("Concatenate", {"axis": 1}, [(3, 4, 2), (3, 1, 2), (3, 2, 2)]),
    ("Concatenate", {"axis": -2}, [(3, 4, 2), (3, 1, 2)]),
    ("Concatenate", {}, [(3, 4)]),
    ("Dot", {"axes": 1}, [(3, 4), (3, 4)]),
    ("Dot", {"axes": -1, "normalize": True}, [(3, 4), (3, 4)]),
    ("Dot", {"axes": (1, 2)}, [(3, 2, 4), (3, 5, 2)]),
    ("Dot", {"axes": [2, 1], "normalize": True}, [(3, 2, 4), (3, 4, 5)]),
    ("Dot", {"axes": 1}, [(3, 4), (3, 4, 5)]),
    ("Dot", {"axes": (2, 1)}, [(3, 5, 4), (3, 4)]),
    ("Dot", {"axes": (2, 3)}, [(3, 2, 4, 5), (3, 2, 2, 4)]),
]


def both(name, kwargs):
    return getattr(layers, name)(**kwargs), getattr(keras.layers, name)(**kwargs)


@pytest.mark.parametrize(("name", "kwargs", "shapes"), CASES)
def test_merged_tensors_are_keras_s(beside, same_config, name, kwargs, shapes):
    ours, theirs = both(name, kwargs)
    beside(ours, theirs, [torch.randn(shape) for shape in shapes])
    same_config(ours, theirs)
    for batch in (None, 3):
        known = [(batch, *shape[1:]) for shape in shapes]
        assert ours.compute_output_shape(known) == tuple(theirs.compute_output_shape(known))


ELEMENTWISE = ("Add", "Subtract", "Average", "Multiply", "Maximum", "Minimum")
MASKS = torch.tensor([[[1, 1, 0, 0], [0, 0, 0, 0]], [[1, 0, 1, 0], [0, 1, 0, 0]]]).bool()


@pytest.mark.parametrize("name", [*ELEMENTWISE, "Concatenate"])
@pytest.mark.parametrize("masks", [[MASKS[0], MASKS[1]], [MASKS[0], None], [None, MASKS[1]]])
def test_masks_are_keras_s(beside, name, masks):
    ours, theirs = both(name, {})
    beside(ours, theirs, [torch.randn(2, 4, 3), torch.randn(2, 4, 3)], masks=[masks])


@pytest.mark.parametrize("name", ["Maximum", "Minimum", "Multiply"])
def test_masks_of_three_are_keras_s(beside, name):
    x = [torch.randn(2, 4, 3) for _ in range(3)]
    for masks in ([MASKS[0], None, MASKS[1]], [MASKS[0], MASKS[1], MASKS[0]]):
        beside(*both(name, {}), x, masks=[masks])


@pytest.mark.parametrize("masks", [[MASKS[0], MASKS[1]], [MASKS[0], None]])
def test_masks_of_steps_put_together_are_keras_s(beside, masks):
    x = [torch.randn(2, 4, 3), torch.randn(2, 4, 3)]
    beside(*both("Concatenate", {"axis": 1}), x, masks=[masks])


@pytest.mark.parametrize("name", [*ELEMENTWISE, "Concatenate", "Dot"])
def test_functions_are_the_layers(name):
    kwargs = {"axes": 1} if name == "Dot" else {}
    x = [torch.randn(2, 3), torch.randn(2, 3)]
    expected = getattr(layers, name)(**kwargs)(x)
    assert torch.equal(getattr(layers, name.lower())(x, **kwargs), expected)
    a, b = layers.Input((3,)), layers.Input((3,))
    model = Model([a, b], getattr(layers, name.lower())([a, b], **kwargs, name="joined"))
    assert torch.equal(model(x), expected)
    assert model.get_layer("joined").output.shape == (None, *expected.shape[1:])


@pytest.mark.parametrize(
    ("name", "kwargs", "inputs", "message"),
    [
        ("Add", {}, (2, 3), r"'m' \(Add\) must be called on a list of tensors"),
        ("Add", {}, [(2, 3), (2, 4)], r"'m' \(Add\).*broadcast.*\(None, 3\), \(None, 4\)"),
        ("Subtract", {}, [(2, 3)] * 3, "a list of 2 tensors"),
        ("Dot", {"axes": 1}, [(2, 3)], "a list of 2 tensors"),
        ("Dot", {"axes": 1}, [(2, 3), (2, 4)], r"axes=1\. Received: .*\(None, 3\), \(None, 4\)"),
        ("Dot", {"axes": 3}, [(2, 3), (2, 4)], "axes=3"),
        (
            "Concatenate",
            {},
            [(2, 3, 4), (2, 4, 4)],
            r"but for axis -1\. Received: .*\(None, 4, 4\)",
        ),
        ("Concatenate", {"axis": 3}, [(2, 3), (2, 3)], "axis 3"),
        ("Concatenate", {}, [(2, 3), (2, 3, 4)], "of one shape"),
    ],
)
def test_shapes_that_do_not_fit_are_named(name, kwargs, inputs, message):
    layer = getattr(layers, name)(**kwargs, name="m")
    several = isinstance(inputs, list)
    x = [torch.ones(one) for one in inputs] if several else torch.ones(inputs)
    with pytest.raises(ValueError, match=message):
        layer(x)


def test_shapes_that_fit_no_longer_are_named():
    layer = layers.Add(name="m")
    layer([torch.ones(2, 3), torch.ones(2, 3)])
    with pytest.raises(ValueError, match=r"'m' \(Add\).*\(2, 3\), \(2, 4\)"):
        layer([torch.ones(2, 3), torch.ones(2, 4)])
    with pytest.raises(ValueError, match="must be called on a list"):
        layer(torch.ones(2, 3))


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("Dot", {"axes": 0}, "Received: axes=0"),
        ("Dot", {"axes": (1, 2, 3)}, r"Received: axes=\(1, 2, 3\)"),
        ("Dot", {"axes": "1"}, "Received: axes='1'"),
        ("Concatenate", {"axis": 1.5}, r"Received: axis=1\.5"),
    ],
)
def test_bad_arguments_are_named(name, kwargs, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**kwargs)


def test_towers_learn_together():
    a, b = layers.Input((3,), name="a"), layers.Input((2,), name="b")
    shared = layers.Dense(4)
    joined = layers.concatenate([shared(a), layers.Dense(4, activation="relu")(b)])
    added = layers.add([joined, layers.multiply([joined, joined])])
    model = Model({"a": a, "b": b}, layers.Dense(1)(added))
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(16, 3)), "b": rng.normal(size=(16, 2))}
    history = model.fit(x, rng.normal(size=(16, 1)), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
