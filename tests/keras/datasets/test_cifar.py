"""CIFAR-10 and CIFAR-100 out of small archives of the same form."""

import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from elephas_torch.errors import DataError
from elephas_torch.keras import config
from elephas_torch.keras.datasets import cifar10, cifar100

BATCHES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


def batch(number, rows=2, **labels):
    data = np.random.default_rng(number).integers(0, 256, (rows, 3072), np.uint8)
    return {b"data": data, **{key.encode(): value for key, value in labels.items()}}


def archive(folder, members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, value in members.items():
            content = value if isinstance(value, bytes) else pickle.dumps(value, 3)
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def ten(**changes):
    members = {name: batch(n, labels=[n, n + 1]) for n, name in enumerate(BATCHES)}
    return archive("cifar-10-batches-py", {"batches.meta": b"other", **members, **changes})


def images(*numbers):
    parts = [batch(n)[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) for n in numbers]
    return np.concatenate(parts)


def test_cifar10(cache, publish):
    publish(cifar10, ten())
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    np.testing.assert_array_equal(x_train, images(0, 1, 2, 3, 4))
    np.testing.assert_array_equal(x_test, images(5))
    assert y_train.tolist() == [[0], [1], [1], [2], [2], [3], [3], [4], [4], [5]]
    assert y_test.tolist() == [[5], [6]]
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert [file.name for file in cache.iterdir()] == ["cifar-10-batches-py-target_archive"]


def test_channels_first(cache, publish):
    publish(cifar10, ten())
    config.set_image_data_format("channels_first")
    try:
        (x_train, _), _ = cifar10.load_data()
    finally:
        config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(x_train, images(0, 1, 2, 3, 4).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("mode", "labels"), [("fine", [[9], [99]]), ("coarse", [[1], [19]])])
def test_cifar100(cache, publish, mode, labels):
    parts = {
        name: batch(n, fine_labels=[9, 99], coarse_labels=[1, 19])
        for n, name in enumerate(("train", "test"))
    }
    publish(cifar100, archive("cifar-100-python", parts))
    (x_train, y_train), (x_test, y_test) = cifar100.load_data(mode)
    np.testing.assert_array_equal(x_train, images(0))
    np.testing.assert_array_equal(x_test, images(1))
    assert y_train.tolist() == y_test.tolist() == labels


def test_keras_2_s_archive_is_used(cache, publish):
    source = publish(cifar10, ten())
    cache.mkdir(parents=True)
    source.rename(cache / "cifar-10-batches-py.tar.gz")
    assert cifar10.load_data()[0][0].shape == (10, 32, 32, 3)


def test_an_unknown_label_mode_is_refused():
    with pytest.raises(ValueError, match=r"Unknown label_mode: 'fin'\. Did you mean 'fine'"):
        cifar100.load_data("fin")


class Runs:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_a_hostile_archive_is_refused_and_not_run(cache, publish, tmp_path):
    mark = tmp_path / "ran"
    publish(cifar10, ten(data_batch_3={b"data": Runs(mark), b"labels": [1]}))
    with pytest.raises(DataError, match=r"data_batch_3 in .*it names \w+\.system"):
        cifar10.load_data()
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no archive", "is damaged"),
        (ten()[:2000], "is damaged"),
        (archive("other", {"file": b""}), "isn't the archive of cifar-10-batches-py: it has no"),
        (ten(data_batch_1={b"data": 5}), "isn't a batch of CIFAR"),
        (ten(data_batch_1=[]), "isn't a batch of CIFAR"),
        (ten(data_batch_1=batch(0, rows=3, labels=[1])), "isn't a batch of CIFAR"),
    ],
)
def test_damaged_archives_are_refused(cache, publish, content, says):
    publish(cifar10, content)
    with pytest.raises(DataError, match=says):
        cifar10.load_data()
