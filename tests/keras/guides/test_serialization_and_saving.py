"""Programs like those of https://keras.io/guides/serialization_and_saving/ and
https://keras.io/guides/customizing_saving_and_serialization/"""

import json
import os

import numpy as np
import pytest
import torch

RANDOM = np.random.default_rng(0)
X = RANDOM.random((32, 32)).astype("float32")
Y = RANDOM.random((32, 1)).astype("float32")


def get_model(keras):
    inputs = keras.Input(shape=(32,))
    outputs = keras.layers.Dense(1)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.Adam(), loss="mean_squared_error")
    return model


def same(one, other, x=X):
    np.testing.assert_allclose(
        one.predict(x, verbose=0), other.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_a_whole_model(keras, tmp_path):
    model = get_model(keras)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "my_model.keras")
    reconstructed_model = keras.models.load_model(tmp_path / "my_model.keras")
    same(model, reconstructed_model)
    # It is compiled and has the optimizer's state: training goes on as the first one's would.
    assert int(reconstructed_model.optimizer.iterations) == 1
    histories = [
        one.fit(X, Y, epochs=3, shuffle=False, verbose=0).history["loss"]
        for one in (model, reconstructed_model)
    ]
    assert histories[0] == pytest.approx(histories[1], rel=1e-5)
    same(model, reconstructed_model)


def test_the_older_hdf5_form(keras, tmp_path):
    model = get_model(keras)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "my_h5_model.h5")
    same(model, keras.models.load_model(tmp_path / "my_h5_model.h5"))


def test_functions_that_save(keras, tmp_path):
    model = get_model(keras)
    keras.saving.save_model(model, tmp_path / "one.keras")
    keras.models.save_model(model, tmp_path / "other.keras")
    same(model, keras.saving.load_model(tmp_path / "one.keras"))
    same(model, keras.models.load_model(tmp_path / "other.keras", compile=False))


@pytest.fixture
def registered(keras):
    """Registers names for a test's time: the registry is the library's."""
    known = keras.saving.get_custom_objects()
    before = dict(known)
    yield keras.saving.register_keras_serializable
    known.clear()
    known.update(before)


def test_registered_objects(keras, registered, tmp_path):
    @registered(package="MyLayers")
    class CustomLayer(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, x):
            return x * self.factor

        def get_config(self):
            return {"factor": self.factor}

    @registered(package="my_package", name="custom_fn")
    def custom_fn(x):
        return x**2

    def get_model():
        inputs = keras.Input(shape=(4,))
        mid = CustomLayer(0.5)(inputs)
        outputs = keras.layers.Dense(1, activation=custom_fn)(mid)
        model = keras.Model(inputs, outputs)
        model.compile(optimizer="rmsprop", loss="mean_squared_error")
        return model

    x, y = X[:4, :4], Y[:4]
    model = get_model()
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "custom_model.keras")
    reconstructed_model = keras.models.load_model(tmp_path / "custom_model.keras")
    same(model, reconstructed_model, x)
    assert keras.saving.get_registered_name(CustomLayer) == "MyLayers>CustomLayer"
    assert keras.saving.get_registered_object("my_package>custom_fn") is custom_fn


def custom_things(keras):
    class CustomLayer(keras.layers.Layer):
        def __init__(self, units=32, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(
                shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
            )
            self.b = self.add_weight(
                shape=(self.units,), initializer="random_normal", trainable=True
            )

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.w) + self.b

        def get_config(self):
            config = super().get_config()
            config.update({"units": self.units})
            return config

    def custom_activation(x):
        return keras.ops.tanh(x) ** 2

    inputs = keras.Input((32,))
    x = CustomLayer(32)(inputs)
    outputs = keras.layers.Activation(custom_activation)(x)
    model = keras.Model(inputs, outputs)
    return model, {"CustomLayer": CustomLayer, "custom_activation": custom_activation}


def test_custom_objects_given_to_load_model(keras, tmp_path):
    model, custom_objects = custom_things(keras)
    model.save(tmp_path / "m.keras")
    same(model, keras.models.load_model(tmp_path / "m.keras", custom_objects=custom_objects))


def test_a_scope_of_custom_objects(keras, tmp_path):
    model, custom_objects = custom_things(keras)
    config = model.get_config()
    model.save(tmp_path / "m.keras")
    with keras.utils.custom_object_scope(custom_objects):
        new_model = keras.Model.from_config(config)
        same(model, keras.models.load_model(tmp_path / "m.keras"))
    assert type(new_model.layers[1]) is custom_objects["CustomLayer"]
    with keras.saving.CustomObjectScope(custom_objects):
        assert len(keras.Model.from_config(model.get_config()).weights) == 2


def test_an_unknown_layer_is_named(keras, tmp_path):
    model, _ = custom_things(keras)
    model.save(tmp_path / "m.keras")
    with pytest.raises(Exception, match="CustomLayer"):
        keras.models.load_model(tmp_path / "m.keras")


def test_weights_from_one_layer_to_another(keras):
    def create_layer():
        layer = keras.layers.Dense(64, activation="relu", name="dense_2")
        layer.build((None, 32))
        return layer

    layer_1, layer_2 = create_layer(), create_layer()
    layer_2.set_weights(layer_1.get_weights())
    torch.testing.assert_close(layer_1(X), layer_2(X))


def functional(keras, outputs=10, dropout=False):
    inputs = keras.Input(shape=(32,), name="digits")
    x = keras.layers.Dense(16, activation="relu", name="dense_1")(inputs)
    x = keras.layers.Dense(16, activation="relu", name="dense_2")(x)
    if dropout:
        x = keras.layers.Dropout(0.5)(x)
    outputs = keras.layers.Dense(outputs, name="predictions")(x)
    return keras.Model(inputs=inputs, outputs=outputs, name="3_layer_mlp")


def test_weights_from_one_model_to_another(keras):
    class SubclassedModel(keras.Model):
        def __init__(self, output_dim, name=None):
            super().__init__(name=name)
            self.output_dim = output_dim
            self.dense_1 = keras.layers.Dense(16, activation="relu", name="dense_1")
            self.dense_2 = keras.layers.Dense(16, activation="relu", name="dense_2")
            self.dense_3 = keras.layers.Dense(output_dim, name="predictions")

        def call(self, inputs):
            x = self.dense_1(inputs)
            x = self.dense_2(x)
            return self.dense_3(x)

        def get_config(self):
            return {"output_dim": self.output_dim, "name": self.name}

    functional_model = functional(keras)
    subclassed_model = SubclassedModel(10)
    subclassed_model(np.ones((1, 32), "float32"))
    subclassed_model.set_weights(functional_model.get_weights())
    assert len(functional_model.weights) == len(subclassed_model.weights)
    for a, b in zip(functional_model.weights, subclassed_model.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy())
    same(functional_model, subclassed_model)


def test_layers_without_weights_do_not_matter(keras):
    functional_model = functional(keras)
    functional_model_with_dropout = functional(keras, dropout=True)
    functional_model_with_dropout.set_weights(functional_model.get_weights())
    same(functional_model, functional_model_with_dropout)


def test_weights_in_a_file(keras, tmp_path):
    def sequential():
        return keras.Sequential(
            [
                keras.Input(shape=(32,), name="digits"),
                keras.layers.Dense(16, activation="relu", name="dense_1"),
                keras.layers.Dense(16, activation="relu", name="dense_2"),
                keras.layers.Dense(10, name="predictions"),
            ]
        )

    one, other = sequential(), sequential()
    one.save_weights(tmp_path / "my_model.weights.h5")
    other.load_weights(tmp_path / "my_model.weights.h5")
    same(one, other)


def test_pretrained_layers(keras, tmp_path):
    functional_model = functional(keras)
    functional_model.save_weights(tmp_path / "pretrained.weights.h5")
    pretrained_model = functional(keras)
    pretrained_model.load_weights(tmp_path / "pretrained.weights.h5")
    extracted_layers = pretrained_model.layers[:-1]
    extracted_layers.append(keras.layers.Dense(5, name="dense_3"))
    model = keras.Sequential(extracted_layers)
    assert model.output_shape == (None, 5)
    for a, b in zip(functional_model.weights[:4], model.weights, strict=False):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    # The layers from the second to the last one's input, as a model of its own.
    features = keras.Model(functional_model.inputs, functional_model.layers[-1].input)
    assert features.predict(X, verbose=0).shape == (32, 16)


def test_configs_of_layers(both):
    def program(keras, layers):
        layer = layers.Dense(3, activation="relu")
        layer_config = layer.get_config()
        new_layer = layers.Dense.from_config(layer_config)
        assert new_layer.get_config() == layer_config
        serialized = layers.serialize(layer)
        assert layers.deserialize(serialized).units == 3
        return json.loads(json.dumps(serialized))

    both(program)


def kinds(config):
    return [(one["class_name"], one["config"]["name"]) for one in config["layers"]]


def test_configs_of_models(both):
    def program(keras, layers):
        sequential = keras.Sequential([keras.Input((32,)), layers.Dense(1)])
        new_model = keras.Sequential.from_config(sequential.get_config())
        inputs = keras.Input((32,))
        outputs = layers.Dense(1)(inputs)
        model = keras.Model(inputs, outputs)
        new_functional = keras.Model.from_config(model.get_config())
        assert new_model.output_shape == new_functional.output_shape == (None, 1)
        return [kinds(one.get_config()) for one in (new_model, new_functional)]

    both(program)


def test_json(both):
    def program(keras, layers):
        model = keras.Sequential([keras.Input((32,)), layers.Dense(1)])
        json_config = model.to_json()
        new_model = keras.models.model_from_json(json_config)
        assert new_model.to_json() == json_config
        config = json.loads(json_config)
        return config["module"], config["class_name"], kinds(config["config"])

    assert both(program)[:2] == ("keras", "Sequential")


def test_any_object_there_and_back(both):
    def program(keras, layers):
        my_reg = keras.regularizers.L1(0.5)
        config = keras.saving.serialize_keras_object(my_reg)
        new_reg = keras.saving.deserialize_keras_object(config)
        assert new_reg.get_config() == my_reg.get_config()
        return config

    assert both(program) == {
        "module": "keras.regularizers",
        "class_name": "L1",
        "config": {"l1": 0.5},
        "registered_name": None,
    }


def test_a_model_cloned(keras):
    model, custom_objects = custom_things(keras)
    with keras.utils.custom_object_scope(custom_objects):
        new_model = keras.models.clone_model(model)
    assert new_model.layers[1] is not model.layers[1]
    assert not np.array_equal(new_model.get_weights()[0], model.get_weights()[0])
    new_model.set_weights(model.get_weights())
    same(model, new_model)


def test_a_layer_in_a_config(keras, registered, tmp_path):
    @registered(package="Nested")
    class CustomModel(keras.Model):
        def __init__(self, hidden, activation, **kwargs):
            super().__init__(**kwargs)
            self.hidden = hidden
            self.activation = keras.activations.get(activation)

        def call(self, inputs):
            return self.activation(self.hidden(inputs))

        def get_config(self):
            config = super().get_config()
            config.update(
                {
                    "hidden": keras.saving.serialize_keras_object(self.hidden),
                    "activation": keras.activations.serialize(self.activation),
                }
            )
            return config

        @classmethod
        def from_config(cls, config):
            config["hidden"] = keras.saving.deserialize_keras_object(config["hidden"])
            return cls(**config)

    model = CustomModel(keras.layers.Dense(3), "tanh")
    model(X)
    model.save(tmp_path / "m.keras")
    same(model, keras.models.load_model(tmp_path / "m.keras"))


def test_variables_of_one_s_own(keras, registered, tmp_path):
    @registered(package="my_custom_package")
    class LayerWithCustomVariable(keras.layers.Dense):
        def __init__(self, units, **kwargs):
            super().__init__(units, **kwargs)
            self.my_variable = keras.Variable(
                np.random.random((units,)), name="my_variable", dtype="float32"
            )

        def save_own_variables(self, store):
            super().save_own_variables(store)
            store["variables"] = self.my_variable.numpy()

        def load_own_variables(self, store):
            self.my_variable.assign(store["variables"])
            for i, v in enumerate((self.kernel, self.bias)):
                v.assign(store[f"{i}"])

        def call(self, inputs):
            dense_out = super().call(inputs)
            return dense_out + self.my_variable

    model = keras.Sequential([LayerWithCustomVariable(1)])
    model.compile(optimizer="adam", loss="mean_squared_error")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "custom_vars_model.keras")
    restored_model = keras.models.load_model(tmp_path / "custom_vars_model.keras")
    np.testing.assert_allclose(
        model.layers[0].my_variable.numpy(), restored_model.layers[0].my_variable.numpy()
    )
    same(model, restored_model)


def test_assets(keras, registered, tmp_path):
    @registered(package="my_custom_package")
    class LayerWithCustomAssets(keras.layers.Dense):
        def __init__(self, vocab=None, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.vocab = vocab

        def save_assets(self, inner_path):
            with open(os.path.join(inner_path, "vocabulary.txt"), "w") as f:
                f.write(self.vocab)

        def load_assets(self, inner_path):
            with open(os.path.join(inner_path, "vocabulary.txt")) as f:
                text = f.read()
            self.vocab = text.replace("<unk>", "little")

    model = keras.Sequential([LayerWithCustomAssets(vocab="Mary had a <unk> lamb.", units=5)])
    model(X)
    model.save(tmp_path / "custom_assets_model.keras")
    restored_model = keras.models.load_model(tmp_path / "custom_assets_model.keras")
    assert restored_model.layers[0].vocab == "Mary had a little lamb."


def test_building_with_more_than_a_shape(keras, registered, tmp_path):
    @registered(package="my_custom_package")
    class LayerWithCustomBuild(keras.layers.Layer):
        def __init__(self, units=32, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.w) + self.b

        def get_config(self):
            return dict(units=self.units, **super().get_config())

        def build(self, input_shape, layer_init):
            super().build(input_shape)
            self.w = self.add_weight(
                shape=(input_shape[1], self.units), initializer=layer_init, trainable=True
            )
            self.b = self.add_weight(shape=(self.units,), initializer=layer_init, trainable=True)
            self.layer_init = layer_init

        def get_build_config(self):
            return {"layer_init": self.layer_init, "input_shape": self.input_shape}

        def build_from_config(self, config):
            self.build(config["input_shape"], config["layer_init"])

        input_shape = (None, 32)

    custom_layer = LayerWithCustomBuild(units=16)
    custom_layer.build(input_shape=(None, 32), layer_init="random_normal")
    model = keras.Sequential([custom_layer, keras.layers.Dense(1, activation="sigmoid")])
    model(X)
    model.save(tmp_path / "custom_build_model.keras")
    restored_model = keras.models.load_model(tmp_path / "custom_build_model.keras")
    assert restored_model.layers[0].layer_init == "random_normal"
    assert restored_model.built
    same(model, restored_model)


def test_compiling_with_arguments_of_one_s_own(keras, registered, tmp_path):
    @registered(package="my_custom_package")
    def small_square_sum_loss(y_true, y_pred):
        loss = keras.ops.square(y_pred - y_true)
        loss = loss / 10.0
        return keras.ops.sum(loss, axis=1)

    @registered(package="my_custom_package")
    def mean_pred(y_true, y_pred):
        return keras.ops.mean(y_pred)

    @registered(package="my_custom_package")
    class ModelWithCustomCompile(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense1 = keras.layers.Dense(8, activation="relu")
            self.dense2 = keras.layers.Dense(4, activation="softmax")

        def call(self, inputs):
            x = self.dense1(inputs)
            return self.dense2(x)

        def get_config(self):
            return {}

        def compile(self, optimizer, loss_fn, metrics):
            super().compile(optimizer=optimizer, loss=loss_fn, metrics=metrics)
            self.model_optimizer = optimizer
            self.loss_fn = loss_fn
            self.loss_metrics = metrics

        def get_compile_config(self):
            return {
                "model_optimizer": self.model_optimizer,
                "loss_fn": self.loss_fn,
                "metric": self.loss_metrics,
            }

        def compile_from_config(self, config):
            optimizer = keras.utils.deserialize_keras_object(config["model_optimizer"])
            loss_fn = keras.utils.deserialize_keras_object(config["loss_fn"])
            metrics = keras.utils.deserialize_keras_object(config["metric"])
            self.compile(optimizer=optimizer, loss_fn=loss_fn, metrics=metrics)

    model = ModelWithCustomCompile()
    model.compile(optimizer="SGD", loss_fn=small_square_sum_loss, metrics=["accuracy", mean_pred])
    y = np.tile(Y, 4)
    model.fit(X, y, verbose=0)
    model.save(tmp_path / "custom_compile_model.keras")
    restored_model = keras.models.load_model(tmp_path / "custom_compile_model.keras")
    assert restored_model.model_optimizer == model.model_optimizer
    assert restored_model.loss_fn is model.loss_fn
    assert restored_model.loss_metrics == model.loss_metrics
    expected = model.evaluate(X, y, verbose=0)
    assert restored_model.evaluate(X, y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_model_exported(tmp_path):
    # Keras's own forms of export are TensorFlow's and ONNX; here it is torch.export's.
    from elephas_torch import keras

    model = get_model(keras)
    model.export(tmp_path / "exported.pt2")
    reloaded = torch.export.load(tmp_path / "exported.pt2").module()
    np.testing.assert_allclose(
        reloaded(torch.from_numpy(X)).detach(), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )
