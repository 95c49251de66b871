"""Skeletons, which are sent to workers; subclasses; summaries."""

import copy
import os
import pickle
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
from torch import nn

from elephas_torch.keras import Model, Sequential, models
from elephas_torch.keras.layers import BatchNormalization, Dense, Dropout, Layer
from elephas_torch.keras.models import all_tensors

X = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
Y = np.eye(2, dtype="float32")[(X.sum(1) > 0).astype(int)]


def trained():
    model = Sequential(
        [
            Dense(6, "relu", input_dim=5),
            BatchNormalization(),
            Dropout(0.2, seed=3),
            Sequential([Dense(4, "tanh"), Dense(2, "softmax")]),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def sent(thing):
    return cloudpickle.loads(cloudpickle.dumps(thing))


def test_a_skeleton_fleshed_out_is_the_model():
    model = trained()
    again = sent(model.skeleton()).flesh_out(all_tensors(model))
    assert np.array_equal(again.predict(X), model.predict(X))
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for one in (model, again):
        one.compile("sgd", "categorical_crossentropy")
        one.fit(X, Y, shuffle=False, verbose=0)
    # equal but for Dropout's own random numbers, which went along
    assert all(
        np.allclose(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True)
    )


def test_a_skeleton_shares_nothing_with_the_model():
    model = trained()
    before = model.get_weights()
    skeleton = model.skeleton()
    assert all(t.numel() == 0 for t in all_tensors(skeleton).values())
    weights = all_tensors(model)
    full = skeleton.flesh_out(weights)
    mine = {t.data_ptr() for t in weights.values()}
    assert not mine & {t.data_ptr() for t in all_tensors(full).values()}
    full.fit(X, Y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert skeleton.optimizer is not model.optimizer


def test_a_skeleton_leaves_out_slots_history_and_the_step():
    model = trained()
    skeleton = model.skeleton()
    assert skeleton.optimizer.slots == {}
    assert (skeleton.optimizer.iterations, model.optimizer.iterations) == (0, 2)
    assert skeleton.history is None and skeleton._step is None
    assert model.optimizer.slots and model.history is not None
    assert skeleton.loss.name == "categorical_crossentropy"


def test_a_large_model_has_a_small_skeleton_made_in_little_memory():
    model = Sequential([Dense(5000, input_dim=5000), Dense(5000)])  # 200 MB
    model.compile("adam", "mse")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    content = cloudpickle.dumps(model.skeleton())
    assert len(content) < 20_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kilobytes


def test_tied_frozen_and_listed_weights_survive():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(5, 5), nn.Linear(5, 5)
            self.second.weight = self.first.weight
            self.first.bias.requires_grad_(False)
            self.register_buffer("scale", torch.full((5,), 2.0), persistent=False)
            self.mine = [self.first.weight, self.scale]

        def forward(self, x):
            return self.second(self.first(x)) * self.mine[1] + self.mine[0].sum()

    model = Model.from_torch(Twice(), (5,))
    again = sent(model.skeleton()).flesh_out(all_tensors(model))
    module = again.module
    assert module.first.weight is module.second.weight is module.mine[0]
    assert module.scale is module.mine[1]
    assert not module.first.bias.requires_grad and module.first.weight.requires_grad
    assert np.array_equal(again.predict(X), model.predict(X))


def test_weights_of_another_model_are_refused():
    model, other = trained(), Sequential([Dense(3, input_dim=2)])
    with pytest.raises(ValueError, match=r"must be the model's own. In one only: .*kernel"):
        model.skeleton().flesh_out(all_tensors(other))


def test_custom_layers_of_a_script_go_along(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import subprocess, sys, textwrap
        import cloudpickle, torch
        from elephas_torch.keras import Sequential
        from elephas_torch.keras.layers import Dense, Layer
        from elephas_torch.keras.models import all_tensors

        class Scale(Layer):
            def __init__(self, factor=3.0, **kwargs):
                super().__init__(**kwargs)
                self.factor = factor

            def build(self, input_shape):
                self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones")

            def call(self, inputs, training=None):
                return inputs * self.scale * (1.0 if training else self.factor)

        def loss(y_true, y_pred):
            return (y_true - y_pred).abs().mean(-1)

        model = Sequential([Dense(4, input_dim=3), Scale(factor=2.0), Dense(1)])
        model.compile("sgd", loss)
        content = cloudpickle.dumps((model.skeleton(), all_tensors(model)))
        expected = model.predict(torch.ones(2, 3), verbose=0).tolist()
        reader = '''
        import sys, cloudpickle, torch
        skeleton, weights = cloudpickle.load(sys.stdin.buffer)
        model = skeleton.flesh_out(weights)
        model.fit(torch.ones(8, 3), torch.ones(8, 1), verbose=0)
        model.flesh_out(weights)
        print(model.predict(torch.ones(2, 3), verbose=0).tolist())
        '''
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(reader)], input=content,
                              capture_output=True, check=True)
        assert done.stdout.decode().strip() == str(expected), (done.stdout, expected)
        print(len(content))
        """)
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20_000


def test_models_can_be_copied_and_pickled():
    model = trained()
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), sent(model)):
        assert np.array_equal(again.predict(X), model.predict(X))
        before = model.get_weights()
        again.fit(X, Y, verbose=0)
        assert again.optimizer.iterations == model.optimizer.iterations + 1
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
        assert not np.array_equal(again.get_weights()[0], before[0])


def test_a_model_of_nothing_is_refused():
    with pytest.raises(TypeError, match=r"needs inputs and outputs.*Or subclass it"):
        Model()
    with pytest.raises(ValueError, match="`inputs` is empty"):
        Model(inputs=[], outputs=[])


class Own(Model):
    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.first = Dense(units, activation="relu")
        self.last = Dense(2, activation="softmax")

    def call(self, inputs):
        return self.last(torch.cat([self.first(inputs), inputs], -1))


def test_subclasses_train_and_are_saved(tmp_path):
    model = Own(units=3)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(X, Y, epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert [layer.name for layer in model.layers] == [model.first.name, model.last.name]
    assert model.output_shape == (None, 2)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Own": Own})
    assert np.array_equal(again.predict(X), model.predict(X))
    fleshed = sent(model.skeleton()).flesh_out(all_tensors(model))
    assert np.array_equal(fleshed.predict(X), model.predict(X))
    assert models.model_from_json(model.to_json(), {"Own": Own}).output_shape == (None, 2)


def test_all_tensors_have_every_parameter_and_buffer():
    class Hidden(Layer):
        def build(self, input_shape):
            self.register_buffer("secret", torch.ones(3), persistent=False)

        def call(self, inputs):
            return inputs * self.secret

    model = Sequential([Hidden(name="hidden"), BatchNormalization(name="norm")])
    model.build((None, 3))
    assert set(all_tensors(model)) == {
        "hidden.secret", "norm.gamma", "norm.beta", "norm.moving_mean", "norm.moving_variance",
    }  # fmt: skip
    assert "hidden.secret" not in model.state_dict()


def test_what_the_package_exports():
    from elephas_torch import keras
    from elephas_torch.keras.layers import Input
    from elephas_torch.keras.models import load_model, model_from_json
    from elephas_torch.keras.saving import load_model as saving_load_model
    from elephas_torch.keras.saving import register_keras_serializable
    from elephas_torch.keras.utils import custom_object_scope

    assert keras.Input is Input is models.Input
    assert keras.models.load_model is load_model is saving_load_model
    assert keras.models.model_from_json is model_from_json
    assert keras.saving.custom_object_scope is custom_object_scope
    assert keras.utils.register_keras_serializable is register_keras_serializable
    for name in keras.__all__:
        assert getattr(keras, name) is not None
    assert {"models", "Sequential"} <= set(dir(keras))
    with pytest.raises(AttributeError, match="no attribute 'Sequentiall'"):
        keras.Sequentiall  # noqa: B018
