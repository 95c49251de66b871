"""Certificates and keys as text, and as files."""

import os
import stat
from pathlib import Path

import pytest

from elephas_torch.parameter import pem, tls


def test_each_certificate_by_itself():
    several = [tls.made(["a"]).certificate for _ in range(2)]
    text = "who it is\n" + "and who has signed it\n".join(several) + tls.made(["b"]).key
    assert pem.certificates(text) == several
    assert pem.certificates("no certificate") == []


def test_what_cannot_be_read_is_named_by_its_argument(tmp_path):
    (tmp_path / "some.pem").write_bytes(b"\xe4 text")
    assert pem.read("ssl_cafile", tmp_path / "some.pem") == "\xe4 text"
    with pytest.raises(FileNotFoundError, match=r"`ssl_cafile` can't be read: No such file"):
        pem.read("ssl_cafile", tmp_path / "none.pem")


def test_openssl_reads_memory():
    with pem.as_file("secret") as path:
        assert Path(path).read_text() == "secret"
        assert not os.stat(path).st_nlink
    assert not os.path.exists(path)


def test_or_files_that_are_gone_at_once(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pem.as_file("secret") as path:
        assert Path(path).read_text() == "secret"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    tls.server_context(tls.made(["x"]))
    assert not list(tmp_path.iterdir())
