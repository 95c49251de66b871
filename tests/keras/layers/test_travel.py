"""Models of the layers here go to Keras in its own files, and come back."""

import keras
import numpy as np
import pytest

from elephas_torch import keras as ours
from elephas_torch.keras import models

pytestmark = pytest.mark.filterwarnings("ignore:.* mask:UserWarning")
IMAGES = (6, 8, 4)
STACKS = {
    "activations": (
        (5, 4),
        lambda of: [
            of.ReLU(max_value=2.0),
            of.LeakyReLU(0.1),
            of.PReLU(shared_axes=[1]),
            of.ELU(0.5),
            of.Activation("tanh"),
            of.Softmax(axis=1),
        ],
    ),
    "normalizations": (
        IMAGES,
        lambda of: [
            of.BatchNormalization(gamma_regularizer="l2", beta_constraint="non_neg"),
            of.LayerNormalization(axis=[2, 3]),
            of.GroupNormalization(2),
            of.RMSNormalization(),
            of.UnitNormalization(),
        ],
    ),
    "noise": (
        IMAGES,
        lambda of: [
            of.Dropout(0.5, seed=1),
            of.SpatialDropout2D(0.5),
            of.GaussianNoise(0.1, seed=2),
            of.GaussianDropout(0.1),
            of.AlphaDropout(0.1, noise_shape=(None, 1, 1, None)),
            of.ActivityRegularization(0.1, 0.2),
            of.Identity(),
        ],
    ),
    "spectral": (
        (4,),
        lambda of: [of.SpectralNormalization(of.Dense(3)), of.EinsumDense("ab,bc->ac", 2)],
    ),
    "masked": (
        (5, 4),
        lambda of: [of.Masking(1.0), of.EinsumDense("abc,cd->abd", (5, 2), bias_axes="d")],
    ),
    "prepared": (
        IMAGES,
        lambda of: [
            of.Rescaling(0.5, offset=[0.0, 1.0, 0.0, 1.0]),
            of.Normalization(),
            of.Resizing(9, 7),
            of.CenterCrop(4, 4),
            of.RandomFlip("horizontal"),
            of.RandomRotation(0.1),
            of.RandomZoom(0.1, 0.2),
            of.RandomTranslation(0.1, 0.2),
            of.RandomContrast(0.1),
            of.RandomBrightness(0.1),
        ],
    ),
    "bins": (
        (3,),
        lambda of: [of.Discretization([-0.5, 0.0, 0.5]), of.CategoryEncoding(4, "count")],
    ),
    "indices": (
        (3,),
        lambda of: [
            of.Discretization([-0.5, 0.0, 0.5]),
            of.Embedding(4, 2, mask_zero=True, embeddings_regularizer="l2"),
        ],
    ),
}


def predicted(model, shape):
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    return np.asarray(model.predict(x, verbose=0))


def filled(model):
    rng = np.random.default_rng(1)
    # Scalars are counts.
    values = [abs(rng.normal(size=w.shape)) + 0.1 if w.shape else w for w in model.get_weights()]
    model.set_weights(values)


@pytest.mark.parametrize("kind", STACKS)
def test_files_travel_both_ways(kind, tmp_path):
    shape, stack = STACKS[kind]
    for first, second in ((ours, keras), (keras, ours)):
        model = first.Sequential([first.layers.Input(shape), *stack(first.layers)])
        filled(model)
        expected = predicted(model, shape)
        model.save(tmp_path / "m.keras")
        back = second.models.load_model(tmp_path / "m.keras")
        np.testing.assert_allclose(predicted(back, shape), expected, rtol=1e-5, atol=1e-6)
        for a, b in zip(model.get_weights(), back.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        filled(back)
        back.save_weights(tmp_path / "m.weights.h5")
        model.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_allclose(
            predicted(model, shape), predicted(back, shape), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("kind", STACKS)
def test_configs_make_the_same_model_again(kind):
    shape, stack = STACKS[kind]
    model = ours.Sequential([ours.layers.Input(shape), *stack(ours.layers)])
    back = models.model_from_json(model.to_json())
    assert back.to_json() == model.to_json()
    theirs = keras.models.model_from_json(model.to_json())
    assert [w.shape for w in theirs.weights] == [tuple(w.shape) for w in model.weights]
