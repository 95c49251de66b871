"""Pickles of arrays are read; whatever else they name is refused, and not run."""

import contextlib
import io
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elephas_torch.errors import DataError
from elephas_torch.keras.datasets import safe_pickle


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        {"labels": [1, 2, 300], "name": "batch", "raw": b"\x00\xff", 5: (None, True, 1.5)},
        [[1], [2, 3]],
        [0, 255, 256, 65535, 65536, -1, -(1 << 31), 1 << 31, -(1 << 40), 1 << 2000],
        [list(range(-5, 70_000))],
        ["Ω and ' and \"", "", "two\nlines", "x" * 300, "y" * 70_000, b"z" * 70_000],
        (True, False, None, 1.5, -0.0, float("inf"), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        [{}, [], {"a": {"b": [{}]}}],
        "text",
    ],
)
def test_plain_values_are_read(value, protocol):
    assert safe_pickle.loads(pickle.dumps(value, protocol), "here") == value


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.arange(4, dtype=">i4"),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.array([True, False]),
        np.zeros((0, 3)),
        np.array(7, dtype=np.int64),
    ],
)
def test_arrays_are_read(array, protocol):
    data = pickle.dumps({"data": array}, protocol)
    again = safe_pickle.loads(data, "here")["data"]
    assert type(again) is np.ndarray
    assert again.dtype == pickle.loads(data)["data"].dtype
    np.testing.assert_array_equal(again, array)


def test_python_2_s_pickles_are_read():
    # what Python 2 wrote for {"data": numpy.array([1, 2], "uint8"), "labels": [3, 4]}
    python_2 = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray"
        b"\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87R"
        b"q\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x02tb"
        b"U\x06labelsq\x08]q\t(K\x03K\x04eu."
    )
    batch = safe_pickle.loads(python_2, "here", encoding="bytes")
    assert batch[b"data"].tolist() == [1, 2]
    assert batch[b"data"].dtype == np.uint8
    assert batch[b"labels"] == [3, 4]


def lists(*items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def npz(tmp_path, **arrays):
    path = tmp_path / "arrays.npz"
    np.savez(path, **arrays)
    return path


def test_arrays_of_lists_are_read(tmp_path):
    path = npz(tmp_path, x=lists([1, 2], [3], []), y=np.array([1, 0, 1]), f=np.ones((2, 2)))
    arrays = safe_pickle.load_npz(path)
    assert arrays["x"].tolist() == [[1, 2], [3], []]
    assert (type(arrays["x"]), arrays["x"].dtype) == (np.ndarray, object)
    np.testing.assert_array_equal(arrays["y"], [1, 0, 1])
    np.testing.assert_array_equal(arrays["f"], np.ones((2, 2)))


class Runs:
    """A pickle that makes a file when it is unpickled the common way."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


def hostile(mark):
    command = f"open({str(mark)!r}, 'w')"
    return {
        "os.system": Runs(os.system, f"touch {mark}"),
        "eval": Runs(eval, command),
        "exec in a list": [1, [Runs(exec, command)]],
        "getattr": Runs(getattr, "a", "upper"),
        "open": {"labels": Runs(open, str(mark), "w")},
        "numpy.load": Runs(np.load, str(mark)),
        "numpy.frombuffer": Runs(np.frombuffer, b"1"),
        "bytearray": bytearray(b"1"),
        "an array of objects": lists(Runs(os.system, f"touch {mark}")),
    }


@pytest.mark.parametrize("name", hostile("x"))
def test_hostile_pickles_are_refused_and_not_run(tmp_path, name):
    mark = tmp_path / "ran"
    data = pickle.dumps(hostile(mark)[name], 3)
    with pytest.raises(DataError, match=r"somewhere isn't read: .*it names"):
        safe_pickle.loads(data, "somewhere")
    assert not mark.exists()


def test_the_same_pickle_does_run_when_it_is_unpickled_the_common_way(tmp_path):
    mark = tmp_path / "ran"
    pickle.loads(pickle.dumps(hostile(mark)["os.system"]))
    assert mark.exists()


def test_a_hostile_array_of_lists_is_refused(tmp_path):
    mark = tmp_path / "ran"
    path = npz(tmp_path, x=lists([1], Runs(os.system, f"touch {mark}")))
    with pytest.raises(DataError, match=r"arrays\.npz isn't read"):
        safe_pickle.load_npz(path)
    assert not mark.exists()


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
BYTES = b"(I1\n(I8\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it ends too early"),
        (pickle.dumps([1, 2])[:-3], "damaged"),
        (b"nonsense", "damaged"),
        (b"cnumpy\nndarray\n(I9\ntR.", "can't be called"),
        (b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.", "dtype"),
        (b"cnumpy\ndtype\n(S'M8[ns]'\nI0\nI1\ntR.", "dtype"),
        (b"cnumpy\ndtype\n((lS'u1'\natR.", "a text"),
        (b"cnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'!'\ntb.", "byte order"),
        # what would change the stand-ins themselves
        (b"cnumpy\ndtype\n(dS'__call__'\nI1\nsb.", "damaged"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(N(dS'__call__'\nI1\nstb.", "damaged"),
        # arrays whose parts don't fit each other
        (ARRAY + BYTES + b"S'1234'\ntb.", "an array's size"),
        (ARRAY + BYTES + b"(lI1\natb.", "an array's size"),
        (ARRAY + b"I5\nb.", "damaged"),
        (ARRAY + b"(I1\n(I1\ntS'O'\nI00\nS'8bytes..'\ntb.", "an array's state"),
        (ARRAY + BYTES.replace(b"u1", b"O8") + b"S'12345678'\ntb.", "an array's size"),
        (ARRAY + BYTES.replace(b"I8", b"I-1") + b"(ltb.", "an array's size"),
    ],
)
def test_damaged_and_twisted_pickles_are_refused(data, says):
    with pytest.raises(DataError, match=says):
        safe_pickle.loads(data, "somewhere", encoding="bytes")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02\x96\x01\x00\x00\x00\x00\x00\x00\x00a.",  # a bytearray
        b"(ios\nsystem\n.",  # an instance, in the oldest way
        b"(cos\nsystem\no.",
        b"cnumpy\ndtype\n)\x81.",  # an object made without its function
        b"Pname\n.",  # what another file holds
        b"\x82\x01.",  # of the extensions' registry
        b"\x97.",  # of a buffer beside the pickle
        b"\x8f.",  # a set
        b"N2.",
    ],
)
def test_other_opcodes_are_refused(data):
    with pytest.raises(DataError, match=r"opcode b|it names"):
        safe_pickle.loads(data, "somewhere")


@pytest.mark.parametrize(
    "data",
    [
        b".", b"a.", b"(.", b"(e.", b"K", b"M\x01.", b"q\x00.", b"h\x07.", b"]K\x01s.", b"}K\x01a.",
        b"}(K\x01u.", b"}]K\x01s.", b"(K\x01d.", b"t.", b"S'open\n.", b"Sopen\n.", b"S'a', 'b'\n.",
        b"I\n.", b"Ix\n.", b"I1", b"X\x09\x00\x00\x00short.", b"X\xff\xff\xff\xff.", b"\x8a\x09.",
        b"c_codecs\nencode\n(K\x01X\x06\x00\x00\x00latin1tR.", b"c_codecs\nencode\nR.",
        b"c_codecs\nencode\n.", b"c__builtin__\nbytes\n(K\x01tR.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", b"K\x01K\x02\x87.", b"(K\x01K\x02\x86(ta.",
    ],
)  # fmt: skip
def test_opcodes_that_find_nothing_are_refused(data):
    with pytest.raises(DataError, match="damaged"):
        safe_pickle.loads(data, "somewhere")


SOUND = [
    ARRAY + BYTES + b"S'12345678'\ntb.",
    *(pickle.dumps({"x": np.arange(3), "y": [1, 2, "a", 2.5]}, protocol) for protocol in (0, 2, 4)),
]


@given(st.sampled_from(SOUND), st.data())
def test_whatever_is_done_to_a_pickle_it_gives_data_or_one_error(data, chance):
    changed = bytearray(data)
    for _ in range(chance.draw(st.integers(1, 6))):
        place = chance.draw(st.integers(0, len(changed) - 1))
        changed[place : place + chance.draw(st.integers(0, 3))] = chance.draw(st.binary(max_size=3))
    with contextlib.suppress(DataError):
        safe_pickle.loads(bytes(changed), "somewhere", encoding="bytes")


PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()
    ),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


@given(PLAIN, st.sampled_from([0, 2, 3, 4, 5]))
def test_any_plain_value_is_read_as_python_reads_it(value, protocol):
    assert safe_pickle.loads(pickle.dumps(value, protocol), "here") == value


def doubled(count):
    """A tuple of itself twice, of that twice, and so on: small, and endless for who walks it."""
    steps = (b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(count))
    return b")q\x00" + b"".join(steps) + b"h%c" % count


DTYPE = BYTES[BYTES.index(b"cnumpy") : BYTES.index(b"I00")]
COSTLY = {
    "deep keys": b"})" + b"\x85" * 300_000 + b"Ns.",
    "deep names": b")" + b"\x85" * 300_000 + b"C\x01a\x93.",
    "deep text": b"cnumpy\ndtype\n(" + b"]" * 200_000 + b"a" * 199_999 + b"tR.",
    "a key of many": b"}" + doubled(60) + b"Ns.",
    "a name of many": doubled(60) + b"C\x01a\x93.",
    "a text of many": b"cnumpy\ndtype\n(" + doubled(60) + b"tR.",
    "a size that is bytes": ARRAY + b"(I1\n(C\x01aL4000000000L\nt" + DTYPE + b"I00\nC\x01atb.",
    "a size that is a list": ARRAY + b"(I1\n(](K\x01eL4000000000L\nt" + DTYPE + b"I00\nC\x01atb.",
    "a size of huge numbers": ARRAY + b"(I1\n(\x8a\xfe" + b"\x7f" * 254 + b"q\x05"
    + b"h\x05" * 200_000 + b"t" + DTYPE + b"I00\nC\x01atb.",
    "an array of many sizes": ARRAY + b"(I1\n(" + b"K\x01" * 33 + b"t" + DTYPE + b"I00\nC\x01atb.",
    "keys of one hash": b"}(" + b"".join(
        b"\x8a\x0a" + (((1 << 61) - 1) * n).to_bytes(10, "little") + b"N" for n in range(1, 60_000)
    ) + b"u.",
    "places of one hash": b"N" + b"".join(
        b"p%d\n" % (((1 << 61) - 1) * n) for n in range(1, 60_000)
    ) + b".",
    "much of little": b"c_codecs\nencode\nq\x00X\x20\xa1\x07\x00" + b"a" * 500_000
    + b"X\x06\0\0\0latin1\x86q\x01](" + b"h\x00h\x01R" * 10_000 + b"e.",
}  # fmt: skip


def test_small_pickles_that_would_cost_much_are_refused_at_once(tmp_path):
    """In a process of its own, as some would end it; with little memory."""
    for name, data in COSTLY.items():
        (tmp_path / name).write_bytes(data)
    code = (
        "import resource, sys, time\n"
        "from pathlib import Path\n"
        "from elephas_torch.errors import DataError\n"
        "from elephas_torch.keras.datasets import safe_pickle\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (700 << 20),) * 2)\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    data, began = path.read_bytes(), time.process_time()\n"
        "    try:\n"
        "        safe_pickle.loads(data, 'somewhere', encoding='bytes')\n"
        "    except DataError as error:\n"
        "        seconds = time.process_time() - began\n"
        "        print(path.name, len(str(error)), seconds, sep=',', flush=True)\n"
    )
    command = [sys.executable, "-c", code, *(str(tmp_path / name) for name in COSTLY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    found = [line.split(",") for line in done.stdout.splitlines()]
    assert [name for name, _, _ in found] == list(COSTLY), done.stderr[-500:]
    assert all(int(length) < 400 and float(seconds) < 15 for _, length, seconds in found), found


@pytest.mark.parametrize(
    "data",
    [
        b"](cnumpy\nndarray\ne.",
        b"](cnumpy\ndtype\n(C\x02u1tRe.",
        b"]cnumpy\nndarray\na.",
        b"}K\x01cnumpy\nndarray\ns.",
        b"](cnumpy\nndarray\n\x85e.",
        ARRAY + b".",
    ],
)
def test_parts_of_arrays_do_not_come_out(data):
    with pytest.raises(DataError, match="a part of an array"):
        safe_pickle.loads(data, "somewhere", encoding="bytes")


def test_a_list_in_itself_is_read():
    found = safe_pickle.loads(b"]q\x00h\x00a.", "here")
    assert found[0] is found


def test_the_array_that_those_are_twisted_from_is_read():
    data = ARRAY + BYTES + b"S'12345678'\ntb."
    assert safe_pickle.loads(data, "here", encoding="bytes").tolist() == list(b"12345678")


def test_an_object_that_is_no_array_is_refused(tmp_path):
    path = npz(tmp_path, x=lists([1]))
    with zipfile.ZipFile(path) as archive:
        content = archive.read("x.npy")
    header = content[: content.index(b"\n") + 1]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header + pickle.dumps({"a": 1}, 3))
    with pytest.raises(DataError, match="holds a dict, not an array"):
        safe_pickle.load_npz(path)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04cut"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is no \.npz file"):
        safe_pickle.load_npz(path)


def npz_of(path, content, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", content)
    return path


def header(shape):
    file = io.BytesIO()
    found = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, found)
    return file.getvalue()


def test_odd_npz_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    good = npz_of(path, header((2,)) + b"\x00" * 16).read_bytes()
    central = good.index(b"PK\x01\x02")

    def changed(place, value):
        content = bytearray(good)
        content[place] = content[central + place + 2] = value
        path.write_bytes(content)
        return path

    monkeypatch.setattr(safe_pickle, "PART", 100_000)
    for odd in (
        lambda: npz_of(path, header((10**13,))),
        lambda: npz_of(path, b"\x93NUMPY\x01\x00\x10\x00{'a':(((((((((  \n"),
        lambda: changed(6, 1),  # encrypted
        lambda: changed(8, 99),  # packed by an unknown method
        lambda: npz_of(path, header((10**6,)) + bytes(8 * 10**6), zipfile.ZIP_DEFLATED),
    ):
        with pytest.raises(DataError, match=r"is no \.npz file, or is damaged"):
            safe_pickle.load_npz(odd())
    path.write_bytes(good)
    assert safe_pickle.load_npz(path)["x"].tolist() == [0.0, 0.0]


def test_a_damaged_array_is_refused(tmp_path):
    path = npz(tmp_path, x=np.arange(9))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00nonsense")
    with pytest.raises(DataError, match=r"is no \.npz file, or is damaged"):
        safe_pickle.load_npz(path)
