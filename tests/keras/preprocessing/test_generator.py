"""ImageDataGenerator, against Keras 3's copy of Keras 2's."""

import numpy as np
import pytest
from keras.src.legacy.preprocessing import image as theirs

from elephas_torch.keras import config, layers, models
from elephas_torch.keras.preprocessing.image import ImageDataGenerator

#: What Keras's copy itself warns of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Please import .affine_transform:DeprecationWarning",
    "ignore:This ImageDataGenerator specifies:UserWarning",
)

X = np.random.default_rng(0).integers(0, 256, (7, 6, 6, 3)).astype("f4")
Y = np.arange(7) % 2
COLOURS = [
    {"rescale": 1 / 255},
    {"horizontal_flip": True},
    {"vertical_flip": True},
    {"horizontal_flip": True, "vertical_flip": True, "channel_shift_range": 40.0},
    {"brightness_range": (0.5, 1.5)},
    {"samplewise_center": True},
    {"samplewise_std_normalization": True},
    {"preprocessing_function": lambda x: x[::-1] * 2, "rescale": 0.1},
]
MOVES = [
    {"rotation_range": 40},
    {"height_shift_range": 0.4, "width_shift_range": 0.2},
    {"height_shift_range": 3, "width_shift_range": 2.5},
    {"height_shift_range": [-2, 0.5], "width_shift_range": (1, 2)},
    {"shear_range": 20, "fill_mode": "reflect"},
    {"zoom_range": 0.4, "fill_mode": "constant", "cval": 5.0},
    {"zoom_range": [0.5, 0.9], "fill_mode": "wrap", "interpolation_order": 0},
    {"rotation_range": 30, "zoom_range": 0.2, "shear_range": 5, "width_shift_range": 0.1},
]
FITTED = [
    {"featurewise_center": True},
    {"featurewise_std_normalization": True},
    {"featurewise_center": True, "rescale": 0.01, "samplewise_center": True},
    {"zca_whitening": True, "rescale": 0.01, "zca_epsilon": 1e-3},
]


def turned(batch):
    return batch.transpose(0, 2, 1, 3)


def check(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("settings", COLOURS)
@pytest.mark.parametrize("flow", [{}, {"shuffle": False}, {"batch_size": 3}])
def test_batches_are_keras_2_s(settings, flow):
    arguments = {"seed": 4, **flow}
    ours = ImageDataGenerator(**settings).flow(X, Y, **arguments)
    other = theirs.ImageDataGenerator(**settings).flow(X, Y, **arguments)
    assert len(ours) == len(other)
    for _ in range(5):
        (x, y), (their_x, their_y) = next(ours), next(other)
        check(x, their_x)
        np.testing.assert_array_equal(y, their_y)


@pytest.mark.parametrize("settings", MOVES)
def test_moved_pictures_are_keras_2_s(settings):
    # Keras 3's copy exchanges rows and columns: turned pictures, turned back
    ours = ImageDataGenerator(**settings).flow(X, Y, 3, seed=4)
    other = theirs.ImageDataGenerator(**settings).flow(turned(X), Y, 3, seed=4)
    for _ in range(4):
        (x, y), (their_x, their_y) = next(ours), next(other)
        check(x, turned(their_x))
        np.testing.assert_array_equal(y, their_y)


@pytest.mark.parametrize("settings", FITTED)
@pytest.mark.parametrize("fit", [{}, {"augment": True, "rounds": 2, "seed": 3}])
def test_what_is_fitted_is_keras_2_s(settings, fit):
    settings = {**settings, "horizontal_flip": True}
    ours = ImageDataGenerator(**settings)
    other = theirs.ImageDataGenerator(**settings)
    ours.fit(X, **fit)
    other.fit(X, **fit)
    for name in ("mean", "std", "zca_whitening_matrix"):
        found, expected = getattr(ours, name), getattr(other, name)
        assert (found is None) == (expected is None)
        if found is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        ours.standardize(X.copy()), other.standardize(X.copy()), rtol=1e-4, atol=1e-3
    )


def test_the_height_shift_moves_up_and_down():
    generator = ImageDataGenerator(height_shift_range=[2])
    columns = np.broadcast_to(np.arange(6.0)[None, :, None], (6, 6, 1))
    np.testing.assert_allclose(generator.random_transform(columns, seed=0), columns, atol=1e-12)
    moved = generator.random_transform(columns.transpose(1, 0, 2), seed=0)[:, 0, 0]
    assert [round(row) for row in moved] in ([0, 0, 0, 1, 2, 3], [2, 3, 4, 5, 5, 5])


def test_batches_by_number():
    ours = ImageDataGenerator(horizontal_flip=True).flow(X, Y, 3, seed=4)
    other = theirs.ImageDataGenerator(horizontal_flip=True).flow(X, Y, 3, seed=4)
    for epoch in range(2):
        for number in (2, 0, 1):
            check(ours[number][0], other[number][0])
        ours.on_epoch_end()
        other.on_epoch_end()
        assert list(ours.index_array) == list(other.index_array), epoch
    with pytest.raises(IndexError, match="an epoch has 3"):
        ours[3]


def test_without_a_seed_the_global_generator_counts():
    np.random.seed(1)
    ours = next(ImageDataGenerator(rotation_range=9).flow(X, batch_size=4))
    np.random.seed(1)
    other = next(theirs.ImageDataGenerator(rotation_range=9).flow(turned(X), batch_size=4))
    check(ours, turned(other))


def test_seeds_leave_the_global_generator_alone():
    np.random.seed(1)
    expected = np.random.RandomState(1).random_sample()
    next(ImageDataGenerator(rotation_range=9).flow(X, seed=3))
    assert np.random.random_sample() == expected


def test_pictures_alone_with_weights_and_with_others():
    generator = ImageDataGenerator()
    assert next(generator.flow(X, shuffle=False, batch_size=2)).shape == (2, 6, 6, 3)
    weight = np.arange(7.0)
    _, y, w = generator.flow(X, Y, 3, False, weight)[1]
    assert (y.tolist(), w.tolist()) == ([1, 0, 1], [3, 4, 5])
    (x, other), y = generator.flow((X, weight * 2), Y, 3, False)[0]
    check(x, X[:3])
    assert (other.tolist(), y.tolist()) == ([0, 2, 4], [0, 1, 0])
    (x, first, second), _ = generator.flow((X, [weight, Y]), Y, 3, False)[2]
    assert (first.tolist(), second.tolist()) == ([6], [0])


def test_subsets():
    generator = ImageDataGenerator(validation_split=0.3)
    training = generator.flow(X, Y, 10, False, subset="training")
    validation = generator.flow(X, Y, 10, False, subset="validation")
    assert (training.n, validation.n) == (5, 2)
    check(np.concatenate([next(validation)[0], next(training)[0]]), X)
    with pytest.raises(ValueError, match="different classes: shuffle"):
        generator.flow(X, np.arange(7), subset="training")
    generator.flow(X, np.arange(7), subset="training", ignore_class_split=True)


def test_channels_first():
    first = X.transpose(0, 3, 1, 2)
    settings = {"rotation_range": 20, "horizontal_flip": True, "brightness_range": (0.5, 1)}
    expected = next(ImageDataGenerator(**settings).flow(X, seed=2))
    ours = next(ImageDataGenerator(**settings, data_format="channels_first").flow(first, seed=2))
    check(ours.transpose(0, 2, 3, 1), expected)
    config.set_image_data_format("channels_first")
    try:
        assert ImageDataGenerator().channel_axis == 1
    finally:
        config.set_image_data_format("channels_last")


@pytest.mark.parametrize(("old", "axis"), [("th", 1), ("tf", 3), ("default", 3)])
def test_keras_1_s_dim_ordering(old, axis):
    with pytest.warns(DeprecationWarning, match="old name of `data_format`") as caught:
        assert ImageDataGenerator(dim_ordering=old).channel_axis == axis
    assert caught[0].filename == __file__


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match=r"ImageDataGenerator got an argument.*'rotation'"):
        ImageDataGenerator(rotation=3)


def test_for_goes_on_without_end_and_can_be_reset():
    batches = ImageDataGenerator().flow(X, Y, 3, False)
    seen = []
    for x, _ in batches:
        seen.append(len(x))
        if len(seen) == 7:
            break
    assert seen == [3, 3, 1, 3, 3, 1, 3]
    batches.reset()
    check(batches.next()[0], X[:3])


def test_pictures_are_written(tmp_path):
    from PIL import Image

    batches = ImageDataGenerator().flow(
        X, shuffle=False, seed=1, batch_size=2, save_to_dir=tmp_path, save_prefix="a"
    )
    next(batches)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split("_")[:2] for name in names] == [["a", "0"], ["a", "1"]]
    with Image.open(tmp_path / names[0]) as image:
        assert (image.size, image.format) == ((6, 6), "PNG")


def test_standardize_leaves_its_argument_alone():
    x = X.copy()
    ImageDataGenerator(rescale=0.5, samplewise_center=True).standardize(x)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("settings", FITTED)
def test_without_fit_it_warns(settings):
    with pytest.warns(UserWarning, match=r"changes nothing before generator\.fit"):
        ImageDataGenerator(**settings).standardize(X)


def test_unusual_channels_are_warned_of():
    with pytest.warns(UserWarning, match="2 channels") as caught:
        ImageDataGenerator(featurewise_center=True).fit(np.zeros((2, 3, 3, 2)))
    assert caught[0].filename == __file__


def test_fit_takes_it():
    model = models.Sequential([layers.Flatten(input_shape=(6, 6, 3)), layers.Dense(1)])
    model.compile("sgd", "mse")
    generator = ImageDataGenerator(rescale=1 / 255, horizontal_flip=True)
    history = model.fit(generator.flow(X, Y, 3, seed=1), epochs=2, verbose=0)
    assert history.params["steps"] == 3
    assert np.isfinite(history.history["loss"]).all()
    with pytest.warns(DeprecationWarning, match="fit_generator is old"):
        old = model.fit_generator(generator.flow(X, Y, 3), steps_per_epoch=2, verbose=0)
    assert old.params["steps"] == 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ImageDataGenerator(data_format="last"), "data_format"),
        (lambda: ImageDataGenerator(fill_mode="mirror"), "Unknown fill_mode: 'mirror'"),
        (lambda: ImageDataGenerator(interpolation_order=3), "order=3"),
        (lambda: ImageDataGenerator(zoom_range=(1, 2, 3)), "`zoom_range` must be two numbers"),
        (lambda: ImageDataGenerator(brightness_range=2), "`brightness_range` must be two"),
        (lambda: ImageDataGenerator(validation_split=1), "`validation_split` must be a share"),
        (lambda: ImageDataGenerator().flow(X[0]), r"4 dimensions. Received: \(6, 6, 3\)"),
        (lambda: ImageDataGenerator().flow(X, Y[:3]), "`x` has 7 pictures, `y` 3 rows"),
        (lambda: ImageDataGenerator().flow((X, Y[:3])), r"`x\[1\]\[0\]` 3 rows"),
        (lambda: ImageDataGenerator().flow(X, sample_weight=[1]), "`sample_weight` 1 rows"),
        (lambda: ImageDataGenerator().flow(X, batch_size=0), "`batch_size` must be"),
        (lambda: ImageDataGenerator().flow(X, subset="test"), "Unknown subset: 'test'"),
        (lambda: ImageDataGenerator().fit(X[0]), "fit takes pictures of 4 dimensions"),
        (lambda: ImageDataGenerator().fit(X, rounds=0), "`rounds` must be"),
    ],
)
def test_bad_arguments_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
