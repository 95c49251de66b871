"""Files that somebody made to do harm: they are refused, and nothing of them runs."""

import faulthandler
import io
import json
import random
import resource
import struct
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest
import torch

from elephas_torch.errors import ModelFileError
from elephas_torch.keras import Sequential
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import load_model, model_from_json
from elephas_torch.keras.saving import archive, hdf5, heaps

MEGABYTE = 2**20


def model():
    made = Sequential([Dense(3, input_dim=4, name="one")])
    made.compile("adam", "mse")
    return made


def rewritten(path, change):
    """Changes a .keras file: `change` gets its files by name."""
    with zipfile.ZipFile(path) as old:
        files = {name: old.read(name) for name in old.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in files.items():
            new.writestr(name, content)
    return path


def in_weights(path, change):
    """Changes the weights within a .keras file: `change` gets the open HDF5 file."""

    def edit(files):
        buffer = io.BytesIO(files["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file)
        files["model.weights.h5"] = buffer.getvalue()

    return rewritten(path, edit)


@pytest.fixture
def saved(tmp_path):
    model().save(tmp_path / "m.keras")
    return tmp_path / "m.keras"


def unpacking(name, size):
    return lambda files: files.update({name: b" " * size})


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "more.json", "model.weights.h5"])
def test_zips_that_unpack_to_far_more(name, saved, monkeypatch):
    monkeypatch.setattr(archive, "SMALL", MEGABYTE)
    rewritten(saved, unpacking(name, 20 * MEGABYTE))
    assert saved.stat().st_size < MEGABYTE // 8
    with pytest.raises(ModelFileError, match=r"would unpack to \d+ bytes, of which \d+ are stored"):
        load_model(saved)


def test_nothing_is_unpacked_to_disk(saved, tmp_path):
    rewritten(saved, lambda files: files.update({"../evil.json": b"{}", "/evil.json": b"{}"}))
    before = sorted(tmp_path.rglob("*"))
    load_model(saved)
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "evil.json").exists()


KERNEL = "layers/dense/vars/0"


def external(file, target):
    del file[KERNEL]
    file[KERNEL] = target


def shaped(shape, **options):
    def change(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, shape, "float32", **options)

    return change


HOSTILE = {
    "external link": (
        lambda file: external(file, h5py.ExternalLink("/etc/passwd", "/x")),
        "ExternalLink: links aren't followed",
    ),
    "soft link": (
        lambda file: external(file, h5py.SoftLink("/layers/dense/vars/1")),
        "SoftLink: links aren't followed",
    ),
    "external data": (
        shaped((4, 3), external=[("/etc/passwd", 0, 48)]),
        "lies outside the file",
    ),
    "a bomb": (shaped((10**6, 10**6), chunks=(10, 10)), "declares 4000000000000 bytes"),
    "too large": (shaped((400, 300)), r"\(4, 3\) in the model and \(400, 300\) in the file"),
    "too small": (shaped((4, 2)), r"\(4, 3\) in the model and \(4, 2\) in the file"),
    "another rank": (shaped((12,)), r"\(4, 3\) in the model and \(12,\) in the file"),
    "a group": (lambda file: external(file, file.create_group("g")), "is a group"),
    "text": (lambda file: external(file, np.array(b"abc")), "holds no numbers"),
    "one missing": (lambda file: file.pop(KERNEL), "2 weights in the model and 1 in the file"),
    "no layer": (lambda file: file.pop("layers"), "2 weights in the model and 0 in the file"),
    "an array for a group": (
        lambda file: (file.pop("layers"), file.create_dataset("layers", (2,), "float32")),
        "should be a group",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_weights_that_are_no_weights(kind, saved):
    change, message = HOSTILE[kind]
    in_weights(saved, change)
    with pytest.raises(ModelFileError, match=message):
        load_model(saved)
    victim = model()
    before = victim.get_weights()
    with pytest.raises(ModelFileError, match=message):
        victim.load_weights(saved)
    assert all(np.array_equal(a, b) for a, b in zip(victim.get_weights(), before, strict=True))


@pytest.mark.parametrize("kind", ["external link", "external data", "a bomb", "too large", "text"])
def test_whole_files_in_the_older_form(kind, tmp_path):
    change, _ = HOSTILE[kind]
    model().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        names = [hdf5.text(one) for one in file["model_weights/one"].attrs["weight_names"]]
        holder = file["model_weights/one"]
        holder.move(names[0], "layers/dense/vars/0")
        change(holder)
        holder.attrs["weight_names"] = [KERNEL.encode(), names[1].encode()]
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "m.h5")


def test_an_optimizer_s_state_is_read_as_carefully(saved):
    def change(file):
        del file["optimizer/vars/2"]
        file["optimizer/vars/2"] = h5py.ExternalLink("/etc/passwd", "/x")

    in_weights(saved, change)
    with pytest.raises(ModelFileError, match="links aren't followed"):
        load_model(saved)
    load_model(saved, compile=False)


def test_a_bomb_among_arrays_that_a_layer_reads_itself():
    content = hdf5.written(
        lambda file: file.create_dataset("x", (10**6, 10**6), "float32", chunks=(10, 10))
    )
    with hdf5.opened(content, "x") as file, pytest.raises(ModelFileError, match="declares"):
        hdf5.Stored(file)["x"]


HEAPS = {
    "of size 0": lambda data, at: data.__setitem__(slice(at + 16, at + 32), bytes(16)),
    "beyond all numbers": lambda data, at: data.__setitem__(
        slice(at + 24, at + 32), struct.pack("<Q", 2**64 - 16)
    ),
    "beyond its heap": lambda data, at: data.__setitem__(
        slice(at + 24, at + 32), struct.pack("<Q", 5000)
    ),
}


@pytest.mark.parametrize("kind", HEAPS)
def test_heaps_that_the_library_would_never_come_to_the_end_of(kind):
    content = hdf5.written(lambda file: file.attrs.update({"a": "text"}))
    with hdf5.opened(content, "x") as file:
        assert file.attrs["a"] == "text"
    damaged = bytearray(content)
    HEAPS[kind](damaged, content.index(b"GCOL"))
    with pytest.raises(ModelFileError, match="heap at byte"), hdf5.opened(bytes(damaged), "x"):
        pass


def test_names_that_are_neither_text_nor_numbers():
    """A text whose type was changed to a list crashes the library as it is read."""
    kind = h5py.vlen_dtype("uint8")
    lists = np.empty(1, object)
    lists[0] = np.arange(3, dtype="uint8")
    content = hdf5.written(lambda file: file.attrs.create("names", lists, dtype=kind))
    with (
        pytest.raises(ModelFileError, match="'names' of '/' is neither text nor numbers"),
        hdf5.opened(content, "x") as file,
    ):
        hdf5.names(file, "names")


MANY = {f"text {number}": "so many that they lie in a heap" for number in range(30)}


@pytest.mark.parametrize("several", [False, True], ids=["one text", "a list"])
@pytest.mark.parametrize(
    ("version", "more"), [("earliest", {}), ("earliest", MANY), ("latest", MANY)]
)
def test_a_text_that_says_it_has_gigabytes(version, more, several):
    """The library takes and clears them, before it sees that there is no such text."""
    buffer, texts = io.BytesIO(), ["one", "two"] if several else "one"
    with h5py.File(buffer, "w", libver=version) as file:
        file.attrs.update({**more, "names": texts})
    content = bytearray(buffer.getvalue())
    with hdf5.opened(bytes(content), "x") as file:
        assert hdf5.attribute(file, "names").tolist() == texts if several else "one"
        assert {name: hdf5.attribute(file, name) for name in more} == more
    at = content.index(struct.pack("<IQ", 3, content.index(b"GCOL")), content.index(b"names"))
    struct.pack_into("<I", content, at, 3_000_000_000)
    with pytest.raises(ValueError, match="'names' says"):
        heaps.refuse_too_long(bytes(content), "names", 8)
    if version == "latest":
        return  # its messages have checksums, which the library looks at before
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        pytest.raises(ModelFileError, match="'names' says that it has 3000000000 bytes"),
        hdf5.opened(bytes(content), "x") as file,
    ):
        hdf5.names(file, "names")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 100_000


def test_a_text_that_can_t_be_looked_at():
    """Behind the compression of a heap of messages."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as file:
        file.attrs.update({**MANY, "names": "one"})
    content = bytearray(buffer.getvalue())
    struct.pack_into("<H", content, content.index(b"FRHP") + 7, 20)
    for changed in (bytes(content), buffer.getvalue().replace(b"names", b"sonst")):
        with pytest.raises(ValueError, match="isn't where such a one lies"):
            heaps.refuse_too_long(changed, "names", 8)


@pytest.mark.parametrize("number", [50_000, 2**40])
def test_places_that_look_like_very_many_texts_take_no_time(number):
    """As many of them as a file can hold, each of which would be looked at anew."""
    head = struct.pack("<BBHHH", 1, 0, 6, 8, 16) + b"names\0\0\0"
    fake = head + b"\x19" + bytes(7) + struct.pack("<BBxxxxxxQ", 1, 1, number)
    junk = fake * 2000 + bytes(1_000_000)
    content = hdf5.written(lambda file: file.attrs.update({"names": "text"})) + junk
    began = time.perf_counter()
    with pytest.raises(ValueError, match="says that it has"):
        heaps.refuse_too_long(content, "names", 8)
    assert time.perf_counter() - began < 5


def test_texts_among_numbers():
    kind = np.dtype([("number", "f4"), ("text", h5py.string_dtype())])
    content = hdf5.written(lambda file: file.create_dataset("x", (3,), dtype=kind))
    with (
        pytest.raises(ModelFileError, match="holds no numbers"),
        hdf5.opened(content, "x") as file,
    ):
        hdf5.dataset(file, "x")


def test_heaps_in_heaps_take_no_time():
    """Each of them is whole, and as long as half of the file."""
    count = 2**15
    heap = b"GCOL\x01\0\0\0" + struct.pack("<QQQ", 16 + 32 * (count // 2), 1, 16)
    content = hdf5.written(lambda file: file.create_group("g")) + heap * count
    began = time.perf_counter()
    with pytest.raises(ModelFileError, match="heap at byte"), hdf5.opened(content, "x"):
        pass
    assert time.perf_counter() - began < 5


def lambdas(path):
    """A Keras file with a lambda in it that writes a file."""
    inputs = keras.Input((4,))
    outputs = keras.layers.Activation("relu")(inputs)
    theirs = keras.Model(inputs, outputs)
    theirs.save(path)
    evil = keras.saving.serialize_keras_object(lambda x: exec("evil"))

    def change(files):
        config = json.loads(files["config.json"])
        config["config"]["layers"][1]["config"]["activation"] = evil
        files["config.json"] = json.dumps(config).encode()

    return rewritten(path, change)


def test_code_is_refused_wherever_it_is(tmp_path, recwarn):
    path = lambdas(tmp_path / "m.keras")
    with pytest.raises((ValueError, TypeError), match="lambda"):
        load_model(path)


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "config",
    [
        DEEP,
        '{"class_name": "Sequential", "config": ' + DEEP + "}",
        '{"class_name": "Sequential", "config": {"layers": [null]}}',
        '{"class_name": "Sequential", "config": {"layers": {}}}',
        '{"class_name": "Sequential", "config": 3}',
        '{"class_name": "Functional", "config": {"layers": [], "input_layers": [["x", 0, 0]], '
        '"output_layers": []}}',
        '{"class_name": "Dense", "config": {"units": -1}}',
        '{"class_name": ["Dense"], "config": {}}',
    ],
)
def test_configs_that_are_none(config, saved):
    rewritten(saved, lambda files: files.update({"config.json": config.encode()}))
    with pytest.raises(ValueError):
        load_model(saved)
    with pytest.raises((ValueError, TypeError, KeyError)):
        model_from_json(config)


@pytest.mark.parametrize("units", [10**8, 10**12, 2**63])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_configs_of_weights_that_are_not_there_take_no_memory(units, ending, tmp_path):
    path = tmp_path / f"m.{ending}"
    model().save(path)
    if ending == "keras":
        rewritten(path, lambda files: files.update(
            {"config.json": files["config.json"].replace(b'"units": 3', b'"units": %d' % units)}
        ))  # fmt: skip
    else:
        with h5py.File(path, "r+") as file:
            config = hdf5.text(file.attrs["model_config"])
            file.attrs["model_config"] = config.replace('"units": 3', f'"units": {units}')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelFileError, match=r"far more than the file has|makes no model"):
        load_model(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 100_000


def mangled(draw, data):
    """Bytes cut, flipped, set, stuffed or taken out."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 30))):
        at = draw.randrange(len(found) + 1)
        kind = draw.randrange(6)
        if kind == 0 and draw.random() < 0.3:
            del found[at:]
        elif kind == 1 and at < len(found):
            found[at] ^= 1 << draw.randrange(8)
        elif kind == 2 and at < len(found):
            found[at] = draw.choice((0, 1, 127, 128, 255))
        elif kind == 3:
            found[at : at + 8] = draw.choice((b"\xff" * 8, bytes(8), struct.pack("<q", 2**40)))
        elif kind == 4:
            del found[at : at + draw.choice((1, 2, 8, 50))]
        else:
            found[at:at] = draw.randbytes(draw.choice((1, 4, 8)))
    return bytes(found)


@pytest.mark.parametrize(
    "number", [pytest.param(200, id="few"), pytest.param(20_000, id="many", marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_are_a_model_or_are_refused(number, saved, tmp_path):
    """The archive itself, the files in it (with right checksums), and the older form."""
    torch.manual_seed(5)
    for name in ("m.h5", saved.name):
        model().save(tmp_path / name)
    whole, old = saved.read_bytes(), (tmp_path / "m.h5").read_bytes()
    draw, outcomes, longest = random.Random(5), {}, 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for one in range(number):
        path = tmp_path / ("x.h5" if one % 4 == 3 else "x.keras")
        path.write_bytes(mangled(draw, old if one % 4 == 3 else whole))
        if one % 4 in (1, 2):
            path.write_bytes(whole)
            name = ("config.json", "model.weights.h5")[one % 4 - 1]
            rewritten(path, lambda files, at=name: files.update({at: mangled(draw, files[at])}))
        began = time.perf_counter()
        # In the HDF5 library no signal ends a loop, and no exception a crash.
        faulthandler.dump_traceback_later(120, exit=True)
        try:
            load_model(path)
            found = "a model"
        except (ValueError, TypeError) as error:  # documented; ModelFileError is a ValueError
            found = type(error).__name__
        faulthandler.cancel_dump_traceback_later()
        longest = max(longest, time.perf_counter() - began)
        outcomes[found] = outcomes.get(found, 0) + 1
    assert longest < 20 and outcomes["ModelFileError"] > number / 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 500_000
    print(f"\n{number} inputs of model files: {outcomes}; the slowest took {longest:.2f} s")
