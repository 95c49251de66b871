"""What a loss says of its model."""

import json

import pytest

from elephas_torch.keras import losses
from elephas_torch.keras.losses import lookup
from elephas_torch.utils.model_utils import (
    LossModelTypeMapper,
    ModelType,
    ModelTypeEncoder,
    as_enum,
)

CLASSIFICATION, REGRESSION = ModelType.CLASSIFICATION, ModelType.REGRESSION
#: What elephas's own table says.
ELEPHAS = {
    "mean_squared_error": REGRESSION,
    "mean_absolute_error": REGRESSION,
    "mse": REGRESSION,
    "mae": REGRESSION,
    "cosine_proximity": REGRESSION,
    "mean_absolute_percentage_error": REGRESSION,
    "mean_squared_logarithmic_error": REGRESSION,
    "logcosh": REGRESSION,
    "binary_crossentropy": CLASSIFICATION,
    "categorical_crossentropy": CLASSIFICATION,
    "sparse_categorical_crossentropy": CLASSIFICATION,
}
NEITHER = {"Dice", "Tversky", "Circle", "CTC"}


@pytest.fixture
def mapper():
    mapper = LossModelTypeMapper()
    before = dict(mapper._registered)
    yield mapper
    mapper._registered.clear()
    mapper._registered.update(before)


class Halved(losses.MeanSquaredError):
    """A loss of one's own that is a known one's child."""


class Own(losses.Loss):
    def call(self, y_true, y_pred):
        return (y_true - y_pred).abs().mean(-1)


def pinball(y_true, y_pred):
    return (y_true - y_pred).abs().mean(-1)


@pytest.mark.parametrize(("name", "kind"), ELEPHAS.items())
def test_elephas_s_table(mapper, name, kind):
    assert mapper.get_model_type(name) is kind


@pytest.mark.parametrize("name", sorted(lookup._BY_NAME))
def test_all_names_functions_classes_and_objects_agree(mapper, name):
    cls = lookup._BY_NAME[name]
    kind = mapper.get_model_type(cls)
    assert (kind is None) == (cls.__name__ in NEITHER)
    loss = cls()
    for form in (name, loss, lookup.describe(loss), cls.function):
        assert mapper.get_model_type(form) is kind


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (losses.Huber(delta=2.0), REGRESSION),
        (losses.CategoricalCrossentropy(from_logits=True), CLASSIFICATION),
        (losses.squared_hinge, CLASSIFICATION),
        (losses.LossFunctionWrapper(losses.mean_squared_error), REGRESSION),
        (Halved(), REGRESSION),
        (Halved, REGRESSION),
        (Own(), None),
        (Own, None),
        (pinball, None),
        ("pinball", None),
        ("nobody_knows", None),
    ],
)
def test_objects_and_losses_of_one_s_own(mapper, loss, kind):
    assert mapper.get_model_type(loss) is kind


def test_registering(mapper):
    mapper.register_loss(pinball, REGRESSION)
    mapper.register_loss("mse", CLASSIFICATION)
    mapper.register_loss(Own, "multilabel")
    other = LossModelTypeMapper()
    assert other is mapper
    assert other.get_model_type("pinball") is other.get_model_type(pinball) is REGRESSION
    assert other.get_model_type(losses.LossFunctionWrapper(pinball)) is REGRESSION
    assert other.get_model_type("mse") is other.get_model_type(losses.MSE) is CLASSIFICATION
    assert other.get_model_type(losses.MeanSquaredError()) is CLASSIFICATION
    assert other.get_model_type(Own()) is other.get_model_type(Own) is ModelType.MULTILABEL


@pytest.mark.parametrize("loss", [None, 3, ["mse", "mae"], {"a": "mse"}])
def test_what_is_no_loss(mapper, loss):
    with pytest.raises(TypeError, match=r"must be one loss.*Received: loss="):
        mapper.get_model_type(loss)
    with pytest.raises(TypeError, match="must be one loss"):
        mapper.register_loss(loss, REGRESSION)


def test_what_is_no_type(mapper):
    with pytest.raises(ValueError, match=r"type: 'regresion'\. Did you mean 'REGRESSION'"):
        mapper.register_loss("mine", "regresion")


@pytest.mark.parametrize("kind", list(ModelType))
def test_types_in_json(kind):
    text = json.dumps({"kind": kind, "other": {"a": 1}}, cls=ModelTypeEncoder)
    assert json.loads(text, object_hook=as_enum) == {"kind": kind, "other": {"a": 1}}


def test_what_json_can_t_hold_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps({"kind": object()}, cls=ModelTypeEncoder)
    with pytest.raises(ValueError, match="Unknown model type"):
        as_enum({"__enum__": "ModelType.NOTHING"})


def test_elephas_s_numbers_are_kept():
    assert (CLASSIFICATION.value, REGRESSION.value) == (1, 2)
