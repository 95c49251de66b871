"""How masks go from layer to layer, beside Keras."""

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import Input, Model, Sequential, layers, masks

TOKENS = np.array([[1, 2, 0, 0], [3, 1, 2, 0], [1, 1, 1, 1]])


def stack(k):
    return [
        k.layers.Embedding(5, 3, mask_zero=True, name="embedding"),
        k.layers.Dropout(0.5),
        k.layers.Dense(4, activation="relu", name="dense"),
        k.layers.Activation("tanh"),
    ]


def test_masks_go_through_layers_that_know_them():
    ours = Sequential(stack(Keras))
    theirs = keras.Sequential(stack(keras))
    theirs.build((None, 4))
    ours.build((None, 4))
    ours.set_weights(theirs.get_weights())
    x = torch.tensor(TOKENS)
    mine, expected = ours(x), theirs(x)
    torch.testing.assert_close(mine, expected)
    assert torch.equal(masks.get(mine), expected._keras_mask)
    assert masks.get(mine).tolist() == (TOKENS != 0).tolist()


class Keras:
    layers = layers


def test_losses_leave_masked_steps_out():
    results = []
    for k, model in ((Keras, Sequential(stack(Keras))), (keras, keras.Sequential(stack(keras)))):
        del k
        model.build((None, 4))
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(size=w.shape).astype("f4") for w in model.get_weights()])
        model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
        y = rng.normal(size=(3, 4, 4)).astype("f4")
        results.append(model.evaluate(TOKENS, y, verbose=0, return_dict=True))
        model.layers[1].rate = 0.0
        model.fit(TOKENS, y, epochs=3, batch_size=2, shuffle=False, verbose=0)
        results[-1] |= {f"w{n}": w for n, w in enumerate(model.get_weights())}
    mine, theirs = results
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-5, atol=1e-6, err_msg=name)


class Plain(layers.Layer):
    def call(self, inputs):
        return inputs * 1.0


class Keeping(Plain):
    supports_masking = True


class Shifting(Plain):
    def compute_mask(self, inputs, previous_mask):
        return None if previous_mask is None else previous_mask.roll(1, 1)


class Taking(layers.Layer):
    supports_masking = True

    def call(self, inputs, mask=None):
        return inputs if mask is None else inputs * mask.unsqueeze(-1)


def embedded():
    return layers.Embedding(5, 3, mask_zero=True)(torch.tensor(TOKENS))


def test_a_layer_of_ones_own_may_keep_change_take_or_drop_the_mask():
    x = embedded()
    mask = masks.get(x)
    assert torch.equal(masks.get(Keeping()(x)), mask)
    assert torch.equal(masks.get(Shifting()(x)), mask.roll(1, 1))
    taken = Taking()(x)
    assert (taken[~mask] == 0).all() and torch.equal(masks.get(taken), mask)
    given = torch.zeros(3, 4, dtype=torch.bool)
    assert (Taking()(x, mask=given) == 0).all()
    assert torch.equal(masks.get(Taking()(x, mask=given)), given)
    with pytest.warns(UserWarning, match="knows nothing of masks"):
        assert masks.get(Plain()(x)) is None


def test_masks_go_through_functional_and_nested_models():
    start = Input((None, 3))
    inner = Model(start, Keeping()(layers.Dense(2)(start)))
    tokens = Input((None,), dtype="int64")
    x = layers.Embedding(5, 3, mask_zero=True)(tokens)
    model = Model(tokens, Taking()(inner(x)))
    out = model(torch.tensor(TOKENS))
    assert masks.get(out).tolist() == (TOKENS != 0).tolist()
    assert (out[torch.tensor(TOKENS) == 0] == 0).all()


def test_put_and_get():
    x = torch.ones(2)
    assert masks.get(x) is None
    masks.put(x, None)
    mask = torch.tensor([True, False])
    masks.put(x, mask)
    assert masks.get(x) is mask and masks.any_of([None, {"a": mask}])
    assert masks.of({"x": x, "y": torch.ones(1)}) == {"x": mask, "y": None}
    masks.put(x, None)
    assert masks.get(x) is None and not masks.any_of(masks.of([x]))


def test_weighted_metrics_behind_a_mask_do_not_depend_on_batches():
    model = Sequential(stack(Keras))
    model.build((None, 4))
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    rng = np.random.default_rng(0)
    y = rng.normal(size=(3, 4, 4)).astype("f4")
    weight = rng.uniform(size=(3, 4)).astype("f4") * [[1], [2], [9]]
    errors = abs(model.predict(TOKENS, verbose=0) - y).mean(-1)
    counted = weight * (TOKENS != 0)
    for size in (1, 2, 3):
        found = model.evaluate(TOKENS, y, size, verbose=0, sample_weight=weight, return_dict=True)
        assert found["mae"] == pytest.approx((errors * counted).sum() / counted.sum(), rel=1e-5)
