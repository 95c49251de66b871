"""MNIST from a folder, from the cache, and over HTTP from a real server on this machine."""

import gzip
import hashlib
import io
import logging
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import files, idx, mnist
from elephas_torch.keras.utils import downloads

ROOT = Path(__file__).parents[3]


def images(rows):
    return np.arange(rows * 28 * 28, dtype=np.uint8).reshape(rows, 28, 28)


def labels(rows):
    return np.arange(rows, dtype=np.uint8) % 10


def idx_bytes(array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return header + array.tobytes()


def write_part(folder, name, rows, zipped=False):
    pack = gzip.compress if zipped else bytes
    end = ".gz" if zipped else ""
    (folder / f"{name}-images-idx3-ubyte{end}").write_bytes(pack(idx_bytes(images(rows))))
    (folder / f"{name}-labels-idx1-ubyte{end}").write_bytes(pack(idx_bytes(labels(rows))))


def npz_bytes(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture(scope="module")
def npz():
    return npz_bytes(x_train=images(6), y_train=labels(6), x_test=images(2), y_test=labels(2))


class Server(ThreadingHTTPServer):
    """Serves `content`; says that it is `length` long; counts the requests."""

    content, length, requests, status = b"", None, 0, 200


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        self.send_response(self.server.status)
        length = self.server.length or len(self.server.content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, npz):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    server.content = npz
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(monkeypatch, tmp_path, server, npz):
    """An empty cache folder, and the small file from the local server in place of MNIST."""
    monkeypatch.delenv(mnist.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(mnist, "URL", f"http://127.0.0.1:{server.server_address[1]}/mnist.npz")
    monkeypatch.setattr(mnist, "SHA256", hashlib.sha256(npz).hexdigest())
    return tmp_path / "datasets"


def contents(folder):
    return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []


def check_small(data):
    (x_train, y_train), (x_test, y_test) = data
    assert (x_train.dtype, y_train.dtype) == (np.uint8, np.uint8)
    np.testing.assert_array_equal(x_train, images(6))
    np.testing.assert_array_equal(y_train, labels(6))
    np.testing.assert_array_equal(x_test, images(2))
    np.testing.assert_array_equal(y_test, labels(2))


def test_it_is_downloaded_once_and_kept(cache, server):
    check_small(mnist.load_data())
    assert contents(cache) == ["mnist.npz"]
    check_small(mnist.load_data())
    assert server.requests == 1


def test_a_file_that_is_there_needs_no_network(cache, server, npz):
    cache.mkdir(parents=True)
    (cache / "mnist.npz").write_bytes(npz)
    check_small(mnist.load_data())
    assert server.requests == 0


def test_a_damaged_file_in_the_cache_is_downloaded_again(cache, server, npz, caplog):
    cache.mkdir(parents=True)
    (cache / "mnist.npz").write_bytes(npz[:100])
    check_small(mnist.load_data())
    assert (server.requests, "is damaged" in caplog.text) == (1, True)
    assert (cache / "mnist.npz").read_bytes() == npz


def test_a_file_elsewhere_is_never_overwritten(cache, server, tmp_path):
    mine = tmp_path / "mine.npz"
    mine.write_bytes(b"mine")
    with pytest.raises(DataError, match="its checksum differs"):
        mnist.load_data(str(mine))
    assert (mine.read_bytes(), server.requests) == (b"mine", 0)


def test_a_full_path_is_where_the_file_goes(cache, tmp_path):
    check_small(mnist.load_data(str(tmp_path / "deeper" / "m.npz")))
    assert contents(tmp_path / "deeper") == ["m.npz"]


def refused(*says):
    with pytest.raises(DataError) as caught:
        mnist.load_data()
    for words in (*says, "Offline, put mnist.npz", "ELEPHAS_TORCH_MNIST", "datasets.digits"):
        assert words in str(caught.value)


def test_another_file_than_expected_is_refused(cache, server):
    server.content = b"something else"
    refused("has another checksum than expected")
    assert contents(cache) == []


def test_a_download_that_is_cut_off_is_refused(cache, server, npz):
    server.content, server.length = npz[:200], len(npz)
    refused("can't be downloaded")
    assert contents(cache) == []


def test_an_error_of_the_server_is_shown(cache, server):
    server.status = 404
    refused("404")
    assert contents(cache) == []


def test_offline_says_what_to_do(cache, monkeypatch):
    monkeypatch.setattr(mnist, "URL", "http://127.0.0.1:9/mnist.npz")
    refused("can't be downloaded", str(cache / "mnist.npz"))


def test_a_server_that_says_nothing_is_given_up(cache, server, monkeypatch):
    monkeypatch.setenv(downloads.TIMEOUT, "soon")
    refused("ELEPHAS_TORCH_DOWNLOAD_TIMEOUT must be a number of seconds above 0")
    monkeypatch.setenv(downloads.TIMEOUT, "0.2")
    answered = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda self: answered.wait(10))
    try:
        refused("timed out", "ELEPHAS_TORCH_DOWNLOAD_TIMEOUT, which is 0.2 s")
    finally:
        answered.set()


def test_a_cache_folder_that_cannot_be_made_is_named(cache, tmp_path):
    (tmp_path / "datasets").write_text("a file where the folder should be")
    refused(str(tmp_path / "datasets"))


def test_nothing_is_unpickled(cache, server, monkeypatch):
    server.content = npz_bytes(
        x_train=np.array([{}], dtype=object), y_train=labels(1), x_test=images(1), y_test=labels(1)
    )
    monkeypatch.setattr(mnist, "SHA256", hashlib.sha256(server.content).hexdigest())
    with pytest.raises(DataError, match=r"isn't Keras's mnist\.npz.*allow_pickle"):
        mnist.load_data()


@pytest.mark.parametrize("content", [b"no zip at all", npz_bytes(other=labels(1))])
def test_a_file_of_another_kind_is_refused(cache, server, monkeypatch, content):
    server.content = content
    monkeypatch.setattr(mnist, "SHA256", hashlib.sha256(content).hexdigest())
    with pytest.raises(DataError, match=r"isn't Keras's mnist\.npz"):
        mnist.load_data()


def test_the_cache_folder_is_keras_s(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".keras" / "datasets"


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_of_idx_files(monkeypatch, tmp_path, zipped):
    write_part(tmp_path, "train", 6, zipped)
    write_part(tmp_path, "t10k", 2, zipped)
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(tmp_path))
    check_small(mnist.load_data())


def test_the_test_set_alone_is_split_and_that_is_logged(monkeypatch, tmp_path, caplog):
    write_part(tmp_path, "t10k", 20)
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(tmp_path))
    with caplog.at_level(logging.WARNING):
        (x_train, y_train), (x_test, y_test) = mnist.load_data()
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), images(20))
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), labels(20))
    assert len(x_train) == 16
    assert "first 16 images of t10k-* are to train, the last 4 to test" in caplog.text


def test_a_folder_without_the_files_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere, which ELEPHAS_TORCH_MNIST names, has no t10k"):
        mnist.load_data()


def test_images_and_labels_of_different_number_are_refused(monkeypatch, tmp_path):
    write_part(tmp_path, "t10k", 4)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels(3)))
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match="don't fit each other"):
        mnist.load_data()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "begins b''"),
        (b"PNG!whatever", "no IDX file of unsigned bytes"),
        (idx_bytes(labels(4))[:-1], "3 bytes of data for the shape"),
        (idx_bytes(labels(4)) + b"more", "5 bytes of data for the shape"),
        (idx_bytes(images(2))[:10], "cut off or damaged"),
        (gzip.compress(idx_bytes(images(2)))[:-20], "cut off or damaged"),
        (b"\x1f\x8bnonsense, not gzip", "cut off or damaged"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "cut off or damaged"),
    ],
)
def test_a_damaged_idx_file_is_refused(tmp_path, content, says):
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(DataError, match=says):
        idx.read(file)


def test_real_mnist(mnist, monkeypatch):
    from elephas_torch.keras.datasets.mnist import load_data

    folder = ROOT.parent / "shared" / "data" / "mnist"
    if folder.is_dir():
        monkeypatch.setenv("ELEPHAS_TORCH_MNIST", str(folder))
    (x_train, y_train), (x_test, y_test) = load_data()
    assert (x_train.shape, x_test.shape) == ((8000, 28, 28), (2000, 28, 28))
    np.testing.assert_array_equal(x_train.reshape(-1, 784) / np.float32(255), mnist.x_train)
    np.testing.assert_array_equal(y_train, mnist.labels_train)
    np.testing.assert_array_equal(y_test, mnist.labels_test)
