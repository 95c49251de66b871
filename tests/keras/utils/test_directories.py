"""Datasets out of folders, against the parts of Keras 3's that need no TensorFlow."""

import numpy as np
import pytest
import torch
from keras.src.utils import dataset_utils, image_dataset_utils
from PIL import Image

from elephas_torch.keras.utils import image_dataset_from_directory, text_dataset_from_directory

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Three classes of 4, 2 and 5 texts, one of them in a folder below, and other files."""
    top = tmp_path_factory.mktemp("texts")
    for name, count in (("c", 5), ("a", 4), ("b", 2)):
        folder = top / name
        (folder / "below").mkdir(parents=True)
        for number in range(count):
            where = folder / "below" if number == 1 else folder
            (where / f"{number}.TXT").write_text(f"{name}{number} äöü")
        (folder / "notes.md").write_text("no text")
    (top / ".hidden").mkdir()
    (top / ".hidden" / "x.txt").write_text("x")
    (top / "alone.txt").write_text("alone")
    return top


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes of 5 and 3 pictures of different sizes."""
    top = tmp_path_factory.mktemp("pictures")
    for name, count in (("cat", 5), ("dog", 3)):
        (top / name).mkdir()
        for number in range(count):
            shape = (4 + number, 9 - number, 3)
            Image.fromarray(RANDOM.integers(0, 256, shape, np.uint8)).save(
                top / name / f"{number}.{'png' if number % 2 else 'bmp'}"
            )
    return top


def text_dataset(directory, **arguments):
    return text_dataset_from_directory(directory, **{"verbose": False, **arguments})


def pairs(dataset):
    return [(text, y.tolist()) for x, labels in dataset for text, y in zip(x, labels, strict=True)]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(
    "arguments",
    [
        {"labels": "inferred"},
        {"labels": "inferred", "class_names": ["c", "a"]},
        {"labels": None},
        {"labels": [number % 3 for number in range(13)]},
    ],
)
def test_files_labels_and_classes_are_keras_s(texts, shuffle, seed, arguments):
    ours = text_dataset(texts, shuffle=shuffle, seed=seed, batch_size=None, **arguments)
    given = arguments["labels"]
    copied = {**arguments, "labels": list(given) if isinstance(given, list) else given}
    paths, labels, names = dataset_utils.index_directory(
        str(texts), formats=(".txt",), shuffle=shuffle, seed=seed, verbose=False, **copied
    )
    assert ours.file_paths == paths
    assert ours.class_names == names
    if labels is not None and not shuffle:
        assert [y.item() for _, y in ours] == list(labels)


@pytest.mark.parametrize("split", [0.3, 0.5])
@pytest.mark.parametrize("subset", ["training", "validation"])
def test_the_split_is_keras_s(texts, split, subset):
    arguments = {"validation_split": split, "subset": subset, "seed": 3}
    ours = text_dataset(texts, **arguments)
    files = dataset_utils.index_directory(
        str(texts), "inferred", (".txt",), shuffle=True, seed=3, verbose=False
    )
    paths, _ = dataset_utils.get_training_or_validation_split(*files[:2], split, subset)
    assert ours.file_paths == paths
    both = text_dataset(texts, **{**arguments, "subset": "both"})
    assert both[subset == "validation"].file_paths == paths
    assert not {*both[0].file_paths} & {*both[1].file_paths}


def test_texts_come_with_their_labels(texts):
    plain = text_dataset(texts, shuffle=False, batch_size=4)
    assert [len(x) for x, _ in plain] == [4, 4, 3]
    assert pairs(plain)[:4] == [("a0 äöü", 0), ("a2 äöü", 0), ("a3 äöü", 0), ("a1 äöü", 0)]
    shuffled = text_dataset(texts, seed=1)
    first, second = pairs(shuffled), pairs(shuffled)
    assert first != second
    assert sorted(first) == sorted(second) == sorted(pairs(plain))
    assert pairs(text_dataset(texts, seed=1)) == first
    assert {text[0] for text, label in first if label == 2} == {"c"}


@pytest.mark.parametrize(
    ("mode", "names", "expected"),
    [
        ("int", None, torch.tensor([0, 1, 2], dtype=torch.int32)),
        ("categorical", None, torch.eye(3)),
        ("binary", ["c", "b"], torch.tensor([[0.0], [1.0]])),
    ],
)
def test_label_modes(texts, mode, names, expected):
    dataset = text_dataset(texts, label_mode=mode, class_names=names, shuffle=False)
    labels = torch.cat([y for _, y in dataset])
    assert labels.dtype == expected.dtype
    counts = [5, 2] if names else [4, 2, 5]
    assert torch.equal(labels, expected.repeat_interleave(torch.tensor(counts), 0))


@pytest.mark.parametrize("arguments", [{"labels": None}, {"label_mode": None}])
def test_without_labels_there_are_texts_alone(texts, arguments):
    dataset = text_dataset(texts, batch_size=2, max_length=2, **arguments)
    batch = next(iter(dataset))
    assert [type(text) for text in batch] == [str, str]
    assert {len(text) for batch in dataset for text in batch} <= {1, 2}
    assert dataset.class_names is None


def test_links_are_followed_when_asked_to(tmp_path, texts):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to(texts)
    with pytest.raises(ValueError, match=r"has no files that end with \.txt"):
        text_dataset(tmp_path)
    assert len(text_dataset(tmp_path, follow_links=True).file_paths) == 13


def test_what_was_found_is_printed(texts, capsys):
    text_dataset_from_directory(texts, validation_split=0.4, subset="both", seed=0)
    assert capsys.readouterr().out == (
        "Found 11 files belonging to 3 classes.\n"
        "Using 7 files for training.\nUsing 4 files for validation.\n"
    )
    text_dataset_from_directory(texts, label_mode=None, verbose=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"directory": "nowhere"}, "`directory` is no folder. Received: directory='nowhere'"),
        ({"labels": 5}, "`labels` must be 'inferred'"),
        ({"labels": "infered"}, "`labels` must be 'inferred'.*labels='infered'"),
        ({"labels": [1, 2]}, "has 13 files. Received: 2 labels"),
        ({"label_mode": "integer"}, "Unknown label_mode: 'integer'. Did you mean 'int'"),
        ({"label_mode": "binary"}, "needs two classes. Received: class_names=.'a', 'b', 'c'"),
        ({"class_names": ["a", "x"]}, "Unknown class name .*: 'x'"),
        ({"class_names": ["a"], "labels": None}, "goes with labels='inferred' alone"),
        ({"subset": "test", "validation_split": 0.2}, "Unknown subset: 'test'"),
        ({"subset": "both"}, "go together"),
        ({"validation_split": 0.2}, "go together"),
        ({"validation_split": 1.5, "subset": "both"}, "`validation_split` must be a share"),
        ({"validation_split": 0.2, "subset": "both"}, "needs a `seed`"),
        ({"validation_split": 0.01, "subset": "both", "seed": 1}, "no files for validation that"),
        ({"batch_size": 0}, "`batch_size` must be"),
        ({"shuffle": "no"}, "`shuffle` must be True or False"),
        ({"max_length": 0}, "`max_length` must be"),
    ],
)
def test_bad_arguments_are_refused(texts, changes, says):
    with pytest.raises(ValueError, match=says):
        text_dataset(**{"directory": texts, **changes})


def image_dataset(directory, **arguments):
    return image_dataset_from_directory(
        directory, **{"verbose": False, "image_size": (5, 6), "shuffle": False, **arguments}
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("fit", [{}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}])
def test_pictures_are_keras_s(pictures, interpolation, color_mode, data_format, fit):
    dataset = image_dataset(
        pictures, interpolation=interpolation, color_mode=color_mode, data_format=data_format, **fit
    )
    batch, labels = next(iter(dataset))
    assert (batch.dtype, labels.tolist()) == (torch.float32, [0] * 5 + [1] * 3)
    assert len(dataset.file_paths) == len(batch) == 8
    channels = {"rgb": 3, "rgba": 4, "grayscale": 1}[color_mode]
    for path, image in zip(dataset.file_paths, batch, strict=True):
        theirs = image_dataset_utils._load_image_grain(
            path, (5, 6), channels, interpolation, data_format, **fit
        )
        np.testing.assert_allclose(image.numpy(), theirs.cpu().numpy(), rtol=1e-5, atol=1e-5)


def test_batches_of_pictures(pictures):
    dataset = image_dataset(pictures, batch_size=3, shuffle=True, seed=1)
    assert [tuple(x.shape) for x, _ in dataset] == [(3, 5, 6, 3), (3, 5, 6, 3), (2, 5, 6, 3)]
    assert (len(dataset), dataset.class_names) == (3, ["cat", "dog"])
    alone, label = next(iter(image_dataset(pictures, batch_size=None, image_size=4)))
    assert (tuple(alone.shape), label.item()) == ((4, 4, 3), 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"color_mode": "bgr"}, "Unknown color_mode: 'bgr'"),
        ({"image_size": (5,)}, "`image_size` must be"),
        ({"interpolation": "lanczos3"}, "Unknown interpolation: 'lanczos3'"),
        ({"data_format": "last"}, "Unknown data_format"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "Only one of"),
    ],
)
def test_bad_arguments_of_pictures_are_refused(pictures, changes, says):
    with pytest.raises(ValueError, match=says):
        image_dataset(pictures, **changes)


def test_fit_takes_the_datasets(pictures):
    from elephas_torch.keras import layers, models

    model = models.Sequential([layers.Flatten(input_shape=(5, 6, 3)), layers.Dense(2)])
    model.compile("sgd", "mse")
    train, test = image_dataset(
        pictures, label_mode="categorical", batch_size=3, validation_split=0.4, subset="both",
        seed=1, shuffle=True,
    )  # fmt: skip
    train, test = (part.map(lambda x, y: (x / 255, y)) for part in (train, test))
    history = model.fit(train, validation_data=test, epochs=2, verbose=0)
    assert history.params["steps"] == 2
    assert len(history.history["val_loss"]) == 2
    assert model.predict(test.map(lambda x, y: x), verbose=0).shape == (3, 2)
