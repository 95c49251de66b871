"""Initializers: exact where nothing is random, else bounds and moments, against Keras 3."""

import inspect
import math

import keras
import numpy as np
import pytest
import torch
from keras.src.initializers import ALL_OBJECTS_DICT

from elephas_torch.keras import initializers
from elephas_torch.keras.serialization import custom_object_scope, register_keras_serializable

NAMES = [cls.__name__ for cls in initializers._CLASSES]
RANDOM = [
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.0, "stddev": 2.0}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": -1.0, "stddev": 0.5}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": 1.0, "maxval": 3.0}),
    ("GlorotNormal", {}),
    ("GlorotUniform", {}),
    ("HeNormal", {}),
    ("HeUniform", {}),
    ("LecunNormal", {}),
    ("LecunUniform", {}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"distribution": "Normal", "input_axes": [0], "output_axes": [1]}),
]
SHAPES = [(300, 200), (3, 5, 40, 100), (50_000,)]


def moments(x):
    x = x.double().flatten()
    return x.mean().item(), x.std().item()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "settings"), RANDOM)
def test_bounds_and_moments_are_keras_s(name, settings, shape):
    if "input_axes" in settings and len(shape) == 1:
        settings = {"distribution": "normal"}
    ours = getattr(initializers, name)(**settings)(shape)
    theirs = torch.as_tensor(getattr(keras.initializers, name)(**settings)(shape)).detach()
    assert (ours.shape, ours.dtype) == (shape, torch.float32)
    (mean, std), (their_mean, their_std) = moments(ours), moments(theirs)
    # Six standard errors of the difference of two samples.
    error = 6 * their_std * math.sqrt(2 / ours.numel())
    assert abs(mean - their_mean) < error
    assert abs(std - their_std) < error
    if "Uniform" in name or settings.get("distribution") == "uniform":
        width = (ours - mean).abs().max().item()
        assert width == pytest.approx((theirs - their_mean).abs().max().item(), rel=0.02)


@pytest.mark.parametrize(("mean", "stddev"), [(0.0, 0.05), (-1.0, 0.5)])
def test_a_truncated_normal_ends_at_two_standard_deviations(mean, stddev):
    values = initializers.TruncatedNormal(mean, stddev)((200_000,))
    distance = ((values - mean) / stddev).abs().max().item()
    assert 1.99 < distance <= 2 + 1e-5


@pytest.mark.parametrize(
    ("distribution", "limit"),
    [("uniform", math.sqrt(3 / 300)), ("truncated_normal", 2 * math.sqrt(1 / 300) / 0.87962566)],
)
def test_nothing_lies_beyond_the_bounds(distribution, limit):
    values = initializers.VarianceScaling(distribution=distribution)((300, 700))
    assert values.abs().max() <= limit * (1 + 1e-6)
    assert values.abs().max() > 0.99 * limit


@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        ("Zeros", {}, (2, 3)),
        ("Ones", {}, (2, 3)),
        ("Constant", {"value": 0.5}, (4,)),
        ("Constant", {}, ()),
        ("Identity", {}, (3, 3)),
        ("Identity", {"gain": 2.0}, (2, 4)),
        ("STFT", {}, (16, 1, 9)),
        ("STFT", {"side": "imag", "window": "hamming", "scaling": "spectrum"}, (8, 1, 5)),
        ("STFT", {"window": "blackman", "periodic": True, "scaling": None}, (8, 1, 9)),
        ("STFT", {"window": "bartlett"}, (7, 1, 5)),
        ("STFT", {"window": "cosine", "periodic": True}, (8, 1, 5)),
        ("STFT", {"window": "nuttall"}, (8, 1, 5)),
        ("STFT", {"window": "boxcar"}, (8, 1, 5)),
        ("STFT", {"window": None, "side": "imag"}, (8, 1, 5)),
        ("STFT", {"window": [0.1, 0.5, 1.0, 0.5]}, (4, 1, 5)),
    ],
)
def test_what_is_not_random_is_keras_s(name, settings, shape):
    ours = getattr(initializers, name)(**settings)(shape)
    theirs = torch.as_tensor(getattr(keras.initializers, name)(**settings)(shape)).detach()
    # Keras computes cosines of large angles in float32.
    close = {"rtol": 1e-5, "atol": 2e-6} if name == "STFT" else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(ours, theirs.to(torch.float32), **close)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (3, 2, 5), (2, 2, 3, 20)], ids=str)
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    matrix = initializers.Orthogonal(gain=2.0)(shape).reshape(-1, shape[-1]).double() / 2
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    identity = torch.eye(tall.shape[1], dtype=torch.float64)
    torch.testing.assert_close(tall.T @ tall, identity, rtol=0, atol=1e-5)


def test_orthogonal_is_uniform_in_its_signs():
    corners = torch.stack([initializers.Orthogonal()((2, 2))[0, 0] for _ in range(200)])
    assert 60 < (corners > 0).sum() < 140


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (5, 3, 4), (2, 3, 4, 5)], ids=str)
def test_fans_are_keras_s(shape):
    from keras.src.initializers.random_initializers import compute_fans

    assert initializers.compute_fans(shape) == compute_fans(shape)
    if len(shape) == 4:
        axes = ([0, 2], [1, 3])
        assert initializers.compute_fans(shape, *axes) == compute_fans(shape, *axes)


@pytest.mark.parametrize(("name", "settings"), [*RANDOM, ("Orthogonal", {})])
def test_a_seed_gives_the_same_values_and_leaves_torch_s_generator_alone(name, settings):
    shape = (6, 4)
    state = torch.get_rng_state()
    seeded = getattr(initializers, name)(**settings, seed=3)
    assert torch.equal(seeded(shape), seeded(shape))
    assert not torch.equal(seeded(shape), getattr(initializers, name)(**settings, seed=4)(shape))
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_seed_torch_s_generator_decides():
    draw = initializers.GlorotUniform()
    torch.manual_seed(1)
    first, second = draw((4, 4)), draw((4, 4))
    torch.manual_seed(1)
    assert torch.equal(draw((4, 4)), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_can_be_chosen(name, dtype):
    shape = (3, 1, 3) if name == "STFT" else (3, 3)
    assert getattr(initializers, name)()(shape, dtype=dtype).dtype is dtype


@pytest.mark.parametrize("name", NAMES)
def test_arguments_defaults_and_configs_are_keras_s(name):
    ours, theirs = getattr(initializers, name), getattr(keras.initializers, name)
    parameters = [
        [(p.name, p.default) for p in inspect.signature(cls).parameters.values()]
        if cls.__init__ is not object.__init__
        else []
        for cls in (ours, theirs)
    ]
    assert parameters[0] == parameters[1]
    written = initializers.serialize(ours())
    if name == "Identity":  # Keras leaves its gain out.
        assert written["config"].pop("gain") == 1.0
    assert written == keras.initializers.serialize(theirs())
    assert type(initializers.get(written)) is ours


@pytest.mark.parametrize("name", sorted(ALL_OBJECTS_DICT))
def test_keras_s_names_are_known(name):
    if name.lower() == "initializer":
        with pytest.raises(ValueError, match="Unknown initializer"):
            initializers.get(name)
    else:
        found = initializers.get(name)
        assert type(found).__name__ == ALL_OBJECTS_DICT[name].__name__


def test_all_of_keras_s_exports_are_here():
    missing = [name for name in dir(keras.initializers) if not hasattr(initializers, name)]
    assert [name for name in missing if not name.startswith("_")] == []
    assert initializers.glorot_uniform is initializers.GlorotUniform


@pytest.mark.parametrize(("name", "settings"), [*RANDOM, ("Orthogonal", {"gain": 2.0})])
def test_a_clone_has_the_same_arguments(name, settings):
    first = getattr(initializers, name)(**settings, seed=3)
    clone = first.clone()
    assert clone is not first
    assert torch.equal(clone((6, 4)), first((6, 4)))


def test_arrays_and_tensors_are_taken():
    values = np.arange(6.0).reshape(2, 3)
    for given in (values, torch.tensor(values)):
        first, second = (initializers.get(given)((2, 3)) for _ in range(2))
        assert torch.equal(first, torch.tensor(values, dtype=torch.float32))
        assert first.data_ptr() != second.data_ptr()
        with pytest.raises(ValueError, match=r"has shape \(2, 3\).* Received: shape=\(3, 2\)"):
            initializers.get(given)((3, 2))


def test_a_seed_generator_gives_other_values_each_time_and_travels():
    theirs = keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(7, name="mine"))
    config = keras.initializers.serialize(theirs)
    first, second = initializers.get(config), initializers.get(config)
    draws = [first((4,)) for _ in range(2)]
    assert not torch.equal(*draws)
    assert torch.equal(second((4,)), draws[0])
    assert initializers.serialize(first) == config


def test_deserialize_takes_custom_objects():
    class Sevens(initializers.Initializer):
        def __call__(self, shape, dtype=torch.float32):
            return torch.full(tuple(shape), 7, dtype=dtype)

    config = initializers.serialize(Sevens())
    assert initializers.deserialize(config, {"Sevens": Sevens})((1,)).item() == 7
    with pytest.raises(ValueError, match="Unknown initializer: 'Sevens'"):
        initializers.deserialize(config)


def test_settings_are_kept_in_the_config():
    scaled = initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=3)
    again = initializers.get(initializers.serialize(scaled))
    assert again.get_config() == scaled.get_config()
    assert torch.equal(again((3, 3)), scaled((3, 3)))


def test_objects_classes_and_functions_are_taken():
    ones = initializers.Ones()
    assert initializers.get(ones) is ones
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    assert initializers.get(None) is None
    assert initializers.serialize(None) is None

    def counting(shape, dtype=torch.float32):
        return torch.arange(math.prod(shape), dtype=dtype).reshape(shape)

    assert initializers.get(counting) is counting
    with custom_object_scope({"counting": counting}):
        assert initializers.get(initializers.serialize(counting)) is counting


def test_a_class_of_one_s_own_is_found_again_when_registered():
    @register_keras_serializable(package="tests_initializers")
    class Steps(initializers.Initializer):
        def __init__(self, by=1):
            self.by = by

        def __call__(self, shape, dtype=torch.float32):
            return torch.arange(0, self.by * shape[0], self.by, dtype=dtype)

        def get_config(self):
            return {"by": self.by}

    again = initializers.get(initializers.serialize(Steps(2)))
    assert again((3,)).tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: initializers.get("glorot"), ValueError, "Did you mean 'glorot_"),
        (lambda: initializers.get(3), TypeError, "Received: 3"),
        (lambda: initializers.VarianceScaling(0), ValueError, "Received: scale=0"),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "Received: mode='fan'"),
        (lambda: initializers.VarianceScaling(distribution="x"), ValueError, "distribution='x'"),
        (lambda: initializers.Identity()((3,)), ValueError, r"Received: shape=\(3,\)"),
        (lambda: initializers.Orthogonal()((3,)), ValueError, r"Received: shape=\(3,\)"),
        (lambda: initializers.STFT("left"), ValueError, "side='left'"),
        (lambda: initializers.STFT(scaling="x"), ValueError, "scaling='x'"),
        (lambda: initializers.STFT(window="han"), ValueError, "window: 'han'. Did you mean 'hann'"),
        (lambda: initializers.STFT(window=[1.0])((4, 1, 3)), ValueError, r"shape \(1,\)"),
        (lambda: initializers.STFT()((4, 3)), ValueError, r"Received: shape=\(4, 3\)"),
        (lambda: initializers.HeNormal(seed="x"), TypeError, "HeNormal: .*Received: seed='x'"),
        (lambda: initializers.Initializer()((3,)), TypeError, "must define __call__"),
    ],
)
def test_what_is_wrong_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize("bad", ["a", None, [1.0]])
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("Constant", "value"), ("Identity", "gain"), ("Orthogonal", "gain"),
        ("RandomNormal", "mean"), ("RandomNormal", "stddev"), ("TruncatedNormal", "stddev"),
        ("RandomUniform", "minval"), ("RandomUniform", "maxval"), ("VarianceScaling", "scale"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(name, argument, bad):
    with pytest.raises(TypeError, match=rf"{name}: `{argument}` must be a number.*{argument}="):
        getattr(initializers, name)(**{argument: bad})


def test_numbers_of_numpy_and_torch_are_numbers():
    for one in (2, np.float32(2), np.array(2.0), torch.tensor(2.0), True):
        assert initializers.Constant(one)((3,)).tolist() == [float(one)] * 3
