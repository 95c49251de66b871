"""Pictures out of folders and data frames, against Keras 3's copy of Keras 2's."""

import sys

import numpy as np
import pandas as pd
import pytest
from keras.src.legacy.preprocessing import image as theirs
from PIL import Image

from elephas_torch.keras.preprocessing.image import ImageDataGenerator

#: What Keras's copy itself warns of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Please import .affine_transform:DeprecationWarning",
    "ignore:This ImageDataGenerator specifies:UserWarning",
)

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("pictures")
    for name, count in (("dog", 3), ("cat", 5)):
        (top / name / "below").mkdir(parents=True)
        for number in range(count):
            where = top / name / ("below" if number == 2 else "")
            shape = (6 + number, 9 - number, 3)
            Image.fromarray(RANDOM.integers(0, 256, shape, np.uint8)).save(where / f"{number}.png")
        (top / name / "notes.txt").write_text("no picture")
    return top


@pytest.fixture(scope="module")
def frame():
    names = [*(f"cat/{n}.png" for n in (0, 1, 3, 4)), "dog/0.png", "dog/1.png"]
    return pd.DataFrame({
        "filename": names,
        "class": ["cat"] * 4 + ["dog"] * 2,
        "tags": [["a"], ["a", "b"], ["c"], ["b"], ["c", "a"], ["b"]],
        "size": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
        "age": [1, 2, 3, 4, 5, 6],
        "weight": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0],
    })  # fmt: skip


def same(ours, other, batches=4):
    assert ours.filenames == other.filenames
    assert ours.filepaths == other.filepaths
    assert (len(ours), ours.samples) == (len(other), other.samples)
    for _ in range(batches):
        mine, expected = next(ours), next(other)
        mine = mine if isinstance(mine, tuple) else (mine,)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for part, other_part in zip(mine, expected, strict=True):
            several = isinstance(part, list)
            for one, other_one in zip(
                part if several else [part], other_part if several else [other_part], strict=True
            ):
                assert one.dtype == other_one.dtype
                np.testing.assert_allclose(one, other_one, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", "input", None])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"color_mode": "grayscale", "interpolation": "bilinear"},
        {"color_mode": "rgba", "keep_aspect_ratio": True, "shuffle": False},
        {"classes": ["dog", "cat"], "subset": "training"},
        {"subset": "validation"},
    ],
)
def test_folders(folder, class_mode, arguments):
    arguments = {
        "target_size": (5, 4), "batch_size": 3, "seed": 2, "class_mode": class_mode, **arguments
    }  # fmt: skip
    settings = {"rescale": 1 / 255, "horizontal_flip": True, "validation_split": 0.4}
    ours = ImageDataGenerator(**settings).flow_from_directory(str(folder), **arguments)
    other = theirs.ImageDataGenerator(**settings).flow_from_directory(str(folder), **arguments)
    same(ours, other)
    assert ours.class_indices == other.class_indices
    assert list(ours.classes) == list(other.classes) == list(ours.labels)
    assert (ours.num_classes, ours.image_shape) == (other.num_classes, other.image_shape)


def test_names_of_keras_1_and_what_is_printed(folder, capsys):
    batches = ImageDataGenerator().flow_from_directory(folder)
    assert capsys.readouterr().out == "Found 8 images belonging to 2 classes.\n"
    assert (batches.nb_sample, batches.nb_class) == (8, 2)
    assert batches[0][0].shape == (8, 256, 256, 3)


def test_channels_first(folder):
    generator = ImageDataGenerator(data_format="channels_first")
    x, _ = next(generator.flow_from_directory(folder, (5, 4), shuffle=False))
    y, _ = next(ImageDataGenerator().flow_from_directory(folder, (5, 4), shuffle=False))
    np.testing.assert_array_equal(x, y.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"class_mode": "binary"},
        {"class_mode": "sparse", "shuffle": False},
        {"class_mode": "input"},
        {"class_mode": None},
        {"class_mode": "raw", "y_col": "size"},
        {"class_mode": "raw", "y_col": ["size", "age"]},
        {"class_mode": "multi_output", "y_col": ["size", "age"]},
        {"y_col": "tags"},
        {"y_col": "tags", "classes": ["c", "a"]},
        {"classes": ["dog"]},
        {"weight_col": "weight"},
        {"weight_col": "weight", "subset": "training"},
        {"subset": "validation", "class_mode": "raw", "y_col": "age"},
    ],
)
def test_data_frames(folder, frame, arguments):
    arguments = {"target_size": (5, 4), "batch_size": 3, "seed": 2, **arguments}
    settings = {"vertical_flip": True, "validation_split": 0.34}
    ours = ImageDataGenerator(**settings).flow_from_dataframe(frame, str(folder), **arguments)
    other = theirs.ImageDataGenerator(**settings).flow_from_dataframe(
        frame, str(folder), **arguments
    )
    same(ours, other)
    if hasattr(other, "class_indices"):
        assert ours.class_indices == other.class_indices


def test_full_paths_and_files_that_are_not_there(folder, frame):
    frame = frame.assign(filename=[str(folder / name) for name in frame["filename"]])
    frame.loc[1, "filename"] = "nowhere.png"
    with pytest.warns(UserWarning, match="1 files of column 'filename' aren't there") as caught:
        batches = ImageDataGenerator().flow_from_dataframe(frame, weight_col="weight")
    assert caught[0].filename == __file__
    assert batches.samples == 5
    assert batches.sample_weight.tolist() == [0.5, 1.5, 2.0, 2.5, 3.0]


def test_the_old_name_of_raw(folder, frame):
    with pytest.warns(DeprecationWarning, match="'raw'") as caught:
        ImageDataGenerator().flow_from_dataframe(frame, folder, y_col="age", class_mode="other")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"class_mode": "onehot"}, ValueError, "Unknown class_mode: 'onehot'"),
        ({"y_col": "age"}, TypeError, "Classes in a data frame must be strings.*'raw'"),
        ({"x_col": "age"}, TypeError, "Column 'age' must hold the files' names"),
        ({"class_mode": "multi_output"}, TypeError, "needs a list. Received: y_col='class'"),
        ({"color_mode": "bgr"}, ValueError, "Unknown color_mode: 'bgr'"),
        ({"target_size": 5.5}, ValueError, "`target_size` must be"),
        ({"subset": "test"}, ValueError, "Unknown subset"),
    ],
)
def test_bad_arguments_of_data_frames_are_refused(folder, frame, arguments, error, says):
    with pytest.raises(error, match=says):
        ImageDataGenerator().flow_from_dataframe(frame, folder, **arguments)


def test_bad_arguments_of_folders_are_refused(folder):
    generator = ImageDataGenerator()
    with pytest.raises(ValueError, match="`directory` is no folder"):
        generator.flow_from_directory(folder / "nowhere")
    with pytest.raises(ValueError, match="Unknown class_mode: 'raw'"):
        generator.flow_from_directory(folder, class_mode="raw")


def test_without_pillow_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"DirectoryIterator needs Pillow.*\[image\]"):
        ImageDataGenerator().flow_from_directory(folder)
