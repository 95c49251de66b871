"""The global settings, and who reads them."""

import keras
import pytest
import torch

from elephas_torch.keras import backend, config, layers, models, ops, random


@pytest.fixture(autouse=True)
def restored():
    yield
    config.set_floatx("float32")
    config.set_epsilon(1e-7)
    config.set_image_data_format("channels_last")


def test_the_settings_at_first_are_keras_s():
    assert config.floatx() == keras.config.floatx()
    assert config.epsilon() == keras.config.epsilon()
    assert config.image_data_format() == keras.config.image_data_format()
    assert config.backend() == "torch"


def test_floatx_is_what_new_tensors_are():
    with pytest.warns(UserWarning, match="Layers keep float32"):
        config.set_floatx("float64")
    for made in (ops.zeros(2), ops.convert_to_tensor(1.5), random.normal((2,)), ops.exp(1)):
        assert made.dtype is torch.float64


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("float64", r"model\.to_torch\(\)\.double\(\)"),
        ("float16", r"set_dtype_policy\('mixed_float16'\)"),
        ("bfloat16", r"set_dtype_policy\('mixed_bfloat16'\)"),
    ],
)
def test_layers_do_not_follow_floatx_and_that_is_told_once(value, instead):
    with pytest.warns(UserWarning, match=rf"{value}.*Layers keep float32.*{instead}") as caught:
        backend.set_floatx(value)
        backend.set_floatx(value)
        backend.set_floatx("float32")
    assert len(caught) == 1 and caught[0].filename == __file__
    layer = layers.Dense(2)
    assert layer(ops.zeros((1, 3))).dtype is torch.float32


def test_what_the_warning_advises_can_be_done():
    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    assert model.to_torch().double()(torch.ones(1, 3).double()).dtype is torch.float64


def test_image_data_format_is_what_layers_take():
    config.set_image_data_format("channels_first")
    assert layers.Conv2D(2, 3).data_format == "channels_first"
    assert layers.MaxPooling2D(data_format="channels_last").data_format == "channels_last"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: config.set_floatx("flaot32"), "Unknown floatx: 'flaot32'. Did you mean"),
        (lambda: config.set_epsilon(0), "value=0"),
        (lambda: config.set_epsilon("small"), "value='small'"),
        (lambda: config.set_image_data_format("tf"), "Unknown data_format: 'tf'"),
        (lambda: config.set_backend("jax"), "backend='jax'"),
        (lambda: config.set_dtype_policy("float33"), "float33"),
    ],
)
def test_bad_settings(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_what_has_no_effect_is_taken_and_told():
    config.disable_interactive_logging()
    assert not config.is_interactive_logging_enabled()
    config.enable_interactive_logging()
    assert config.is_interactive_logging_enabled()
    config.disable_traceback_filtering()
    assert not config.is_traceback_filtering_enabled()
    config.enable_traceback_filtering()
    assert config.is_traceback_filtering_enabled()
    config.set_backend("torch")


def test_the_dtype_policy_is_the_global_one():
    assert config.dtype_policy().name == "float32"
