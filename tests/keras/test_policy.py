import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras import Input, Sequential, layers, models, optimizers, policy


@pytest.fixture(autouse=True)
def float32_again():
    yield
    policy.set_dtype_policy("float32")
    keras.config.set_dtype_policy("float32")


def network(k):
    return k.Sequential(
        [
            k.layers.Input((6,)), k.layers.Dense(8, activation="relu"),
            k.layers.BatchNormalization(), k.layers.Dense(3),
            k.layers.Activation("softmax", dtype="float32"),
        ]
    )  # fmt: skip


class Ours:
    Sequential, layers = Sequential, layers


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_models_compute_as_keras_s(name):
    policy.set_dtype_policy(name)
    keras.config.set_dtype_policy(name)
    mine, theirs = network(Ours), network(keras)
    mine.set_weights(theirs.get_weights())
    assert {w.dtype for w in mine.weights} == {torch.float32}
    x = torch.tensor(np.random.default_rng(0).normal(size=(5, 6)), dtype=torch.float32)
    step = x
    for layer, other in zip(mine.layers, theirs.layers, strict=True):
        assert layer.compute_dtype == other.compute_dtype
        expected = other(step)
        step = layer(step)
        assert step.dtype == expected.dtype
        torch.testing.assert_close(step, expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(mine(x), theirs(x), rtol=1e-2, atol=1e-2)
    assert mine(x).dtype == torch.float32


def test_a_mixed_model_learns_and_predicts_float32():
    policy.set_dtype_policy("mixed_bfloat16")
    model = Sequential([Input((4,)), layers.Dense(16, activation="relu"), layers.Dense(1)])
    model.compile(optimizers.Adam(0.01), "mse")
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("f4")
    losses = model.fit(x, x.sum(1), epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    assert model.predict(x, verbose=0).dtype == np.float32
    assert {w.dtype for w in model.weights} == {torch.float32}


def test_policies_are_written_and_read(tmp_path):
    model = Sequential([Input((4,)), layers.Dense(2, dtype="mixed_bfloat16"), layers.Dense(1)])
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    assert [one.dtype_policy.name for one in again.layers] == ["mixed_bfloat16", "float32"]
    assert [one.compute_dtype for one in keras.saving.load_model(tmp_path / "m.keras").layers] == [
        "bfloat16",
        "float32",
    ]


def test_names_and_what_there_is_not():
    assert policy.get("float32") == policy.get(torch.float32) == policy.get(np.float32)
    assert policy.get(None) is policy.dtype_policy()
    assert policy.get({"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}).is_mixed
    assert policy.DTypePolicy.from_config(policy.Policy("mixed_float16").get_config()).is_mixed
    with pytest.raises(ValueError, match="Did you mean 'mixed_bfloat16'"):
        policy.DTypePolicy("mixed_bfloat")
    for wrong in ("float64", torch.float16, 3):
        with pytest.raises(ValueError, match="must be 'float32', or a mixed policy"):
            layers.Dense(2, dtype=wrong)
