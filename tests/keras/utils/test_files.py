"""get_file, against Keras 3's where it does the same."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import keras
import pytest

from elephas_torch.errors import DataError
from elephas_torch.keras.utils import get_file

CONTENT = b"content"


def tar(*members):
    """An archive of (name, content); a pair of strings makes a link, None a folder."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return file.getvalue()


def zipped(*members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


MEMBERS = (("a/one.txt", b"1"), ("a/b/two.txt", b"22"))


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Puts bytes where they can be downloaded from; returns the address."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras").mkdir()

    def publish(content=CONTENT, name="file.bin"):
        source = tmp_path / "published" / name
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(content)
        return source.as_uri()

    return publish


def files(folder):
    found = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_file_is_downloaded_once(publish, tmp_path):
    path = get_file(origin=publish())
    assert path == str(tmp_path / "keras" / "datasets" / "file.bin")
    assert Path(path).read_bytes() == CONTENT
    publish(b"newer")
    get_file(origin=publish(b"newer"))
    assert Path(path).read_bytes() == CONTENT
    get_file(origin=publish(b"newer"), force_download=True)
    assert Path(path).read_bytes() == b"newer"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"fname": "named.bin"},
        {"fname": Path("named.bin")},
        {"cache_subdir": "models"},
        {"fname": "named", "extract": True},
        {"fname": "named.tar.gz", "extract": True},
        {"extract": True},
        {"untar": True},
        {"fname": "named", "untar": True, "cache_subdir": "x"},
    ],
)
@pytest.mark.parametrize("name", ["file.tar.gz", "plain"])
def test_files_lie_where_keras_has_them(publish, tmp_path, monkeypatch, arguments, name):
    origin = publish(tar(*MEMBERS), name)
    ours = get_file(origin=origin, cache_dir=tmp_path / "ours", **arguments)
    (tmp_path / "theirs").mkdir()
    theirs = keras.utils.get_file(origin=origin, cache_dir=str(tmp_path / "theirs"), **arguments)
    assert Path(ours).relative_to(tmp_path / "ours") == Path(theirs).relative_to(
        tmp_path / "theirs"
    )
    assert files(tmp_path / "ours") == files(tmp_path / "theirs")


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_checksums(publish, algorithm):
    digest = hashlib.new(algorithm, CONTENT).hexdigest()
    path = Path(get_file(origin=publish(), file_hash=digest, hash_algorithm=algorithm))
    path.write_bytes(b"damaged")
    get_file(origin=publish(), file_hash=digest)
    assert path.read_bytes() == CONTENT
    path.unlink()
    with pytest.raises(DataError, match="another checksum than expected"):
        get_file(origin=publish(b"other"), file_hash=digest)
    assert files(path.parent) == {}
    if algorithm == "md5":
        get_file(origin=publish(), md5_hash=digest)
        assert path.read_bytes() == CONTENT


def test_a_file_that_fits_stays_when_a_download_fails(publish):
    path = Path(get_file(origin=publish()))
    with pytest.raises(DataError, match="can't be downloaded"):
        get_file("file.bin", "http://127.0.0.1:9/file.bin", force_download=True)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [tar(*MEMBERS), zipped(*MEMBERS)])
def test_archives_are_unpacked_once(publish, content):
    folder = Path(get_file("things", publish(content), extract=True))
    assert files(folder) == {"a/one.txt": b"1", "a/b/two.txt": b"22"}
    (folder / "a" / "one.txt").write_bytes(b"changed")
    get_file("things", publish(content), extract=True)
    assert files(folder)["a/one.txt"] == b"changed"
    get_file("things", publish(content), extract=True, force_download=True)
    assert files(folder)["a/one.txt"] == b"1"


def test_links_become_copies(publish):
    members = (("folder", None), ("folder/one", b"1"), ("folder/link", "one"))
    folder = Path(get_file("things", publish(tar(*members)), extract=True))
    assert files(folder) == {"folder/one": b"1", "folder/link": b"1"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (tar(("fine", b"1"), ("../outside", b"1")), "'../outside', which lies outside"),
        (tar(("a/../../outside", b"1")), "lies outside"),
        (tar(("/outside", b"1")), "'/outside', which lies outside"),
        (tar(("../outside", None)), "lies outside"),
        (zipped(("../outside", b"1")), "lies outside"),
        (zipped(("a/../../outside", b"1")), "lies outside"),
        (tar(("link", "/etc/hostname")), "is damaged"),
        (tar(("link", ".."), ("link/outside", b"1")), "is damaged"),
        (tar(("folder", None), ("link", "folder")), "neither a file nor a folder"),
        (tar(*MEMBERS)[:-30], "is damaged"),
    ],
)
def test_hostile_and_damaged_archives_are_refused(publish, tmp_path, content, says):
    origin = publish(content)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=says):
        get_file("things", origin, extract=True)
    new = {path.name for path in set(tmp_path.rglob("*")) - before}
    assert new <= {"datasets", "things_archive"}


def test_a_link_that_was_there_before_is_not_followed_out(publish, tmp_path):
    folder = tmp_path / "keras" / "datasets" / "things"
    folder.mkdir(parents=True)
    (folder / "a").symlink_to(tmp_path)
    with pytest.raises(DataError, match="lies outside"):
        get_file("things", publish(tar(*MEMBERS)), extract=True)
    assert not (tmp_path / "one.txt").exists()


def test_what_is_no_archive_is_warned_of(publish):
    with pytest.warns(UserWarning, match="is no archive of format 'auto'") as caught:
        get_file("things", publish(), extract=True)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "needs the address"),
        ({"origin": "http://127.0.0.1:9/"}, "give one as `fname`"),
        ({"origin": "x", "fname": "a/b"}, "`fname` must be a name without folders.*fname='a/b'"),
        ({"origin": "x", "fname": ".."}, "`fname` must be a name"),
        ({"origin": "x/a", "file_hash": "12"}, "64 hexadecimal digits"),
        ({"origin": "x/a", "file_hash": "0" * 64, "hash_algorithm": "md5"}, "A checksum must be"),
        ({"origin": "x/a", "file_hash": "0" * 64, "hash_algorithm": "sha1"}, "hash_algorithm"),
        ({"origin": "no address"}, "unknown url type"),
        ({"origin": "file:///nowhere/a", "extract": True}, "can't be downloaded"),
    ],
)
def test_bad_arguments_are_refused(publish, arguments, says):
    with pytest.raises(ValueError, match=says):
        get_file(**arguments)


def test_an_unknown_format_is_refused(publish):
    with pytest.raises(ValueError, match="Unknown archive_format: 'rar'"):
        get_file("things", publish(tar(*MEMBERS)), extract=True, archive_format="rar")
