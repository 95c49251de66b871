"""Files of data sets in the cache folder."""

import hashlib

import pytest

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import files

CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def url(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    return source.as_uri()


@pytest.mark.parametrize("checksum", [SHA256, MD5, SHA256.upper()])
def test_a_file_comes_with_either_checksum(cache, url, checksum):
    path = files.cached(cache / "deep" / "file", url, checksum)
    assert (path, path.read_bytes()) == (cache / "deep" / "file", CONTENT)


def test_a_file_that_is_there_is_used(cache):
    cache.mkdir(parents=True)
    (cache / "file").write_bytes(CONTENT)
    assert files.cached(cache / "file", "http://127.0.0.1:9/file", SHA256) == cache / "file"


def test_a_wrong_file_leaves_nothing_behind(cache, url):
    with pytest.raises(DataError, match=f"another checksum than expected: {SHA256} instead of 00"):
        files.cached(cache / "file", url, "0" * 64)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(("checksum", "name"), [(SHA256, "sha256"), (MD5, "md5")])
def test_without_a_network_the_message_says_what_to_do(cache, checksum, name):
    with pytest.raises(DataError) as caught:
        files.cached(cache / "file", "http://127.0.0.1:9/file", checksum)
    for words in ("http://127.0.0.1:9/file", str(cache / "file"), f"its {name} is {checksum}"):
        assert words in str(caught.value)


@pytest.mark.parametrize("checksum", ["", "0" * 40])
def test_what_is_no_checksum_is_refused(cache, url, checksum):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        files.cached(cache / "file", url, checksum)
