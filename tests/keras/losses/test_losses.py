"""The loss objects: reductions, weights, fused twins, names and configs, against Keras 3."""

import inspect

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from elephas_torch.keras import losses
from elephas_torch.keras.losses import lookup
from elephas_torch.keras.serialization import custom_object_scope, register_keras_serializable

CLASSES = [cls.__name__ for cls in lookup._CLASSES]


def data(name, *shape):
    rng = np.random.default_rng(0)
    y_pred = rng.dirichlet(np.ones(shape[-1]), shape[:-1]).astype("float32")
    if "Sparse" in name:
        return torch.tensor(rng.integers(0, shape[-1], shape[:-1])), torch.tensor(y_pred)
    one_hot = np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], shape[:-1])]
    return torch.tensor(one_hot), torch.tensor(y_pred)


def keras_value(loss, *arguments, **named):
    return torch.as_tensor(loss(*arguments, **named)).detach()


@pytest.mark.parametrize("name", CLASSES)
def test_constructors_take_keras_s_arguments_with_its_defaults(name):
    ours = inspect.signature(getattr(losses, name)).parameters
    theirs = dict(inspect.signature(getattr(keras.losses, name)).parameters)
    assert list(ours) == list(theirs)
    for argument in set(ours) - {"name"}:
        assert ours[argument].default == theirs[argument].default, argument


def keras_made(described):
    # keras.losses.deserialize knows all but one of them.
    return keras.saving.deserialize_keras_object(described)


@pytest.mark.parametrize("name", CLASSES)
def test_configs_are_keras_s_and_make_the_loss_again(name):
    ours, theirs = getattr(losses, name)(), getattr(keras.losses, name)()
    config = ours.get_config()
    assert {key: config[key] for key in theirs.get_config()} == theirs.get_config()
    assert type(ours).from_config(config).get_config() == config
    described = losses.serialize(ours)
    assert losses.get(described).get_config() == config
    assert keras_made(described).get_config() == theirs.get_config()
    assert losses.get(keras.losses.serialize(theirs)).get_config() == config


def test_every_name_of_keras_s_that_we_have_gives_the_same_class():
    from keras.src.losses import ALL_OBJECTS_DICT

    for name, found in ALL_OBJECTS_DICT.items():
        if name in lookup._BY_NAME:
            assert lookup._BY_NAME[name] is lookup._BY_NAME[found.__name__], name
    missing = set(ALL_OBJECTS_DICT) - set(lookup._BY_NAME)
    assert missing == {"Loss", "LossFunctionWrapper"}


def test_weights_of_samples_with_several_values_count_for_all_of_them():
    y_true, y_pred = data("", 6, 3, 4)
    weights = torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    ours = losses.CategoricalCrossentropy()(y_true, y_pred, weights)
    theirs = keras_value(keras.losses.CategoricalCrossentropy(), y_true, y_pred, weights)
    torch.testing.assert_close(ours, theirs)
    whole = losses.CategoricalCrossentropy()(y_true, y_pred, weights[:, 0])
    spread = losses.CategoricalCrossentropy()(y_true, y_pred, weights[:, :1].expand(6, 3))
    torch.testing.assert_close(whole, spread)


def test_weights_may_come_as_a_column():
    y_true, y_pred = data("", 6, 4)
    weights = torch.arange(6.0)
    loss = losses.MeanSquaredError()
    torch.testing.assert_close(
        loss(y_true, y_pred, weights), loss(y_true, y_pred, weights[:, None])
    )


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 3.0, 4.0])])
def test_an_ignored_class_does_not_count_as_in_keras(reduction, weights):
    y_true = torch.tensor([0, 2, -1, 1])
    y_pred = torch.softmax(torch.arange(12.0).reshape(4, 3).sin(), -1)
    settings = {"ignore_class": -1, "reduction": reduction}
    ours = losses.SparseCategoricalCrossentropy(**settings)(y_true, y_pred, weights)
    theirs = keras_value(
        keras.losses.SparseCategoricalCrossentropy(**settings), y_true, y_pred, weights
    )
    torch.testing.assert_close(ours, theirs)


def test_a_batch_that_is_ignored_as_a_whole_gives_zero():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=0)
    assert loss(torch.zeros(3, dtype=torch.int64), torch.full((3, 2), 0.5)) == 0


FUSED = [
    ("softmax", losses.CategoricalCrossentropy, {}),
    ("softmax", losses.CategoricalCrossentropy, {"label_smoothing": 0.1}),
    ("softmax", losses.SparseCategoricalCrossentropy, {}),
    ("softmax", losses.SparseCategoricalCrossentropy, {"ignore_class": 1}),
    ("sigmoid", losses.BinaryCrossentropy, {}),
    ("sigmoid", losses.BinaryCrossentropy, {"label_smoothing": 0.1}),
]


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 4)], ids=str)
@pytest.mark.parametrize(("activation", "cls", "settings"), FUSED)
def test_the_fused_twin_has_the_values_and_gradients_of_activation_and_loss(
    activation, cls, settings, shape, weighted, reduction
):
    loss = cls(**settings, reduction=reduction)
    twin = loss.fused(activation)
    y_true, _ = data(cls.__name__, *shape)
    weights = torch.rand(shape[:-1]) if weighted else None
    apply = getattr(torch, activation)
    logits = torch.randn(shape).requires_grad_()
    outputs = apply(logits, -1) if activation == "softmax" else apply(logits)
    (expected,) = torch.autograd.grad(loss(y_true, outputs, weights), logits)
    value = twin(y_true, logits, weights)
    torch.testing.assert_close(value, loss(y_true, outputs, weights), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        torch.autograd.grad(value, logits)[0], expected, rtol=1e-5, atol=1e-6
    )


def test_the_fused_twin_keeps_a_gradient_where_keras_s_clipping_has_none():
    logits = torch.tensor([[40.0, 0.0]], requires_grad=True)
    y_true = torch.tensor([[0.0, 1.0]])
    loss = losses.CategoricalCrossentropy()
    (clipped,) = torch.autograd.grad(loss(y_true, torch.softmax(logits, -1)), logits)
    (fused,) = torch.autograd.grad(loss.fused("softmax")(y_true, logits), logits)
    assert clipped.abs().max() == 0
    torch.testing.assert_close(fused, torch.tensor([[1.0, -1.0]]))


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        (losses.CategoricalCrossentropy(), "sigmoid"),
        (losses.CategoricalCrossentropy(from_logits=True), "softmax"),
        (losses.CategoricalCrossentropy(axis=1), "softmax"),
        (losses.SparseCategoricalCrossentropy(), "relu"),
        (losses.BinaryCrossentropy(), "softmax"),
        (losses.BinaryCrossentropy(from_logits=True), "sigmoid"),
        (losses.MeanSquaredError(), "sigmoid"),
    ],
)
def test_where_nothing_can_be_fused_there_is_no_twin(loss, activation):
    assert loss.fused(activation) is None


def test_the_fused_mean_is_torch_s_own_cross_entropy_to_the_bit():
    logits, classes = torch.randn(8, 10), torch.randint(0, 10, (8,))
    one_hot = F.one_hot(classes, 10).float()
    sparse = losses.get("sparse_categorical_crossentropy").fused("softmax")
    dense = losses.get("categorical_crossentropy").fused("softmax")
    assert torch.equal(sparse(classes, logits), F.cross_entropy(logits, classes))
    assert torch.equal(sparse(classes[:, None], logits), F.cross_entropy(logits, classes))
    assert torch.equal(dense(one_hot, logits), F.cross_entropy(logits, one_hot))
    assert torch.equal(dense(one_hot.int(), logits), F.cross_entropy(logits, one_hot))


def test_binary_targets_without_the_last_axis_fit():
    logits, y_true = torch.randn(5, 1), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    expected = F.binary_cross_entropy_with_logits(logits, y_true[:, None])
    assert torch.equal(losses.BinaryCrossentropy(from_logits=True)(y_true, logits), expected)


def test_targets_come_in_the_dtype_that_the_loss_asks_for():
    assert losses.get("sparse_categorical_crossentropy").target_dtype is torch.int64
    assert losses.get("categorical_crossentropy").target_dtype is torch.float32


def test_a_name_is_kept_and_a_loss_is_returned_as_it_is():
    loss = losses.get("mse")
    assert isinstance(loss, losses.MeanSquaredError)
    assert losses.serialize(loss) == "mse"
    assert losses.get(loss) is loss
    assert losses.get(losses.MeanAbsoluteError).name == "mean_absolute_error"
    assert isinstance(losses.get(losses.categorical_crossentropy), losses.CategoricalCrossentropy)
    assert losses.get("huber").name == "huber_loss"


def test_a_function_of_one_s_own_is_kept_and_found_again_by_name():
    def distance(y_true, y_pred):
        return (y_true - y_pred).abs().amax(-1)

    loss = losses.get(distance)
    y_true, y_pred = torch.zeros(2, 3), torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    assert loss(y_true, y_pred) == 2.0
    assert loss(y_true, y_pred, torch.tensor([1.0, 0.0])) == 1.5
    assert losses.serialize(loss) == loss.name == "distance"
    with custom_object_scope({"distance": distance}):
        assert losses.get("distance").fn is distance
        keras_form = {"module": "builtins", "class_name": "function", "config": "distance"}
        assert losses.get(keras_form).fn is distance
        summed = losses.LossFunctionWrapper(distance, reduction="sum")
        assert losses.get(losses.serialize(summed)).reduction == "sum"


def test_a_class_of_one_s_own_is_found_again_when_registered():
    @register_keras_serializable(package="tests")
    class Cubed(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_true - y_pred).pow(3).sum(-1)

    config = losses.serialize(Cubed(name="c"))
    assert config["registered_name"] == "tests>Cubed"
    again = losses.get(config)
    assert (type(again), again.name) == (Cubed, "c")
    assert again(torch.ones(2, 1), torch.zeros(2, 1)) == 1


@pytest.mark.parametrize(
    ("identifier", "error", "says"),
    [
        ("categorical_crosentropy", ValueError, "Did you mean 'categorical_crossentropy'"),
        (3, TypeError, "Received: loss=3"),
        ({"class_name": "Nothing"}, ValueError, "Unknown loss: 'Nothing'"),
    ],
)
def test_what_is_no_loss_is_refused(identifier, error, says):
    with pytest.raises(error, match=says):
        losses.get(identifier)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="Received: reduction='average'"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(ValueError, match="Received: label_smoothing=2"):
        losses.CategoricalCrossentropy(label_smoothing=2)
    with pytest.raises(TypeError, match="Halved must define call"):
        type("Halved", (losses.Loss,), {})()(torch.ones(1, 1), torch.ones(1, 1))


def cubes(y_true, y_pred, power=3):
    return (y_true - y_pred).abs().pow(power).mean(-1)


def test_configs_of_wrapped_functions_travel_to_keras_and_back():
    ours = losses.LossFunctionWrapper(cubes, reduction="sum", name="c", power=2)
    config = ours.get_config()
    with keras.saving.custom_object_scope({"cubes": cubes}), custom_object_scope({"cubes": cubes}):
        theirs = keras.src.losses.LossFunctionWrapper.from_config(dict(config))
        assert theirs.get_config() == config
        assert losses.deserialize(keras.losses.serialize(theirs)).get_config() == config
    y_true, y_pred = data("", 6, 4)
    torch.testing.assert_close(ours(y_true, y_pred), keras_value(theirs, y_true, y_pred))


def test_a_function_of_ours_is_found_by_the_name_in_keras_s_config():
    wrapped = keras.src.losses.LossFunctionWrapper(keras.losses.huber, delta=2.0)
    found = losses.get(keras.losses.serialize(wrapped))
    assert (found.fn, found.options) == (losses.huber, {"delta": 2.0})


def test_custom_objects_are_found_in_deserialize():
    assert losses.deserialize("cubes", custom_objects={"cubes": cubes}).fn is cubes


def test_names_count_up_as_keras_s_do():
    class Unheard(losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred

    assert [Unheard().name, Unheard().name] == ["unheard", "unheard_1"]
    assert [losses.MeanSquaredError().name for _ in range(2)] == ["mean_squared_error"] * 2


CLASSES = [
    name
    for name in losses.__all__
    if inspect.isclass(getattr(losses, name))
    and name not in ("Loss", "LossFunctionWrapper", "Reduction", "CTC", "NamedLoss")
]


@pytest.mark.parametrize("name", CLASSES)
def test_what_holds_no_numbers_and_shapes_that_do_not_fit_are_told_of(name):
    loss = getattr(losses, name)()
    fine = np.ones((4, 5), "float32")
    for bad in (None, "x", object()):
        with pytest.raises(TypeError, match=f"{name}: `y_pred` must be numbers.*y_pred="):
            loss(fine, bad)
        with pytest.raises(TypeError, match=f"{name}: `y_true` must be numbers.*y_true="):
            loss(bad, fine)
    with pytest.raises(ValueError, match=r"y_true of shape .* and y_pred of shape \(4, 5\)"):
        loss(np.ones((2, 3), "float32"), fine)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("shapes", [((2,), (4, 5)), ((4, 2), (4, 5)), ((3,), (5,))])
def test_class_numbers_of_another_count_are_told_of(from_logits, shapes):
    y_true, y_pred = np.ones(shapes[0], "int64"), np.ones(shapes[1], "float32")
    with pytest.raises(ValueError, match=r"Targets must have .*Received: y_true of shape"):
        losses.SparseCategoricalCrossentropy(from_logits)(y_true, y_pred)
    with pytest.raises(ValueError, match=r"without the classes' axis. Received: y_true of shape"):
        losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits)
    with pytest.raises(ValueError, match="without the classes' axis"):
        losses.CategoricalGeneralizedCrossEntropy()(y_true, y_pred)


def test_functions_and_weights_that_are_given_no_numbers():
    with pytest.raises(TypeError, match=r"`y_true` must be numbers.*Received: y_true=None"):
        losses.mean_squared_error(None, [1.0])
    with pytest.raises(TypeError, match=r"`y_pred` must be numbers.*Received: y_pred=x"):
        losses.sparse_categorical_crossentropy([1], "x")
    with pytest.raises(TypeError, match="`sample_weight` must be numbers"):
        losses.MeanSquaredError()([[1.0]], [[1.0]], sample_weight="x")
