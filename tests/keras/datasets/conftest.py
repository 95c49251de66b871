"""A cache folder of its own, and small files in place of the large ones."""

import hashlib

import pytest


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache folder."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "datasets"


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Makes a module download some bytes in place of its own file: from a local file, by URL."""

    def publish(module, content, url="URL", checksum="SHA256"):
        source = tmp_path / "published" / f"{len(list(tmp_path.glob('published/*')))}"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(content)
        algorithm = "sha256" if checksum.endswith("SHA256") else "md5"
        digest = hashlib.new(algorithm, content).hexdigest()
        monkeypatch.setattr(module, url, source.as_uri())
        monkeypatch.setattr(module, checksum, digest)
        return source

    return publish
