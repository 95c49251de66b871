"""Fashion-MNIST out of small files of the same form."""

import gzip
import hashlib
import re
import struct

import numpy as np
import pytest

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import fashion_mnist, files


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def arrays(train=3, test=2):
    shapes = [(train, 28, 28), (train,), (test, 28, 28), (test,)]
    return [np.random.default_rng(n).integers(0, 10, s, "u1") for n, s in enumerate(shapes)]


@pytest.fixture
def publish_all(monkeypatch, tmp_path):
    def publish_all(contents):
        folder = tmp_path / "published"
        folder.mkdir()
        monkeypatch.setattr(files, "KERAS", folder.as_uri() + "/")
        for name, array in zip(list(fashion_mnist.FILES), contents, strict=True):
            content = idx_bytes(array)
            (folder / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            monkeypatch.setitem(fashion_mnist.FILES, name, digest)

    return publish_all


def test_four_files_are_kept_where_keras_has_them(cache, publish_all):
    contents = arrays()
    publish_all(contents)
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    for ours, array in zip((x_train, y_train, x_test, y_test), contents, strict=True):
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, array)
    kept = sorted(path.name for path in (cache / "fashion-mnist").iterdir())
    assert kept == sorted(fashion_mnist.FILES)


def test_images_and_labels_that_do_not_fit_are_refused(cache, publish_all):
    images, _, *rest = arrays()
    publish_all([images, np.zeros(5, "u1"), *rest])
    with pytest.raises(DataError, match="3 images don't fit 5 labels"):
        fashion_mnist.load_data()


def test_another_file_is_refused(cache, publish_all, monkeypatch):
    publish_all(arrays())
    monkeypatch.setitem(fashion_mnist.FILES, "t10k-labels-idx1-ubyte.gz", "0" * 64)
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz has another checksum"):
        fashion_mnist.load_data()


def test_the_checksums_are_sha256():
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in fashion_mnist.FILES.values())
