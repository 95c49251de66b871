"""Rows that are passed over without being unpickled."""

import io
import itertools
import pickle

import pytest
from pyspark import serializers
from pyspark.serializers import write_int

from elephas_torch.skipping import RowsCut, Skippable, SkippableRows, drain, is_framed

AFTER = b"what comes behind the rows"


class Counted(serializers.CPickleSerializer):
    """Counts what it unpickles; a frame of b"broken" can't be."""

    def __init__(self):
        self.loaded = 0

    def loads(self, data, encoding="bytes"):
        self.loaded += 1
        return super().loads(data)


def stream(serializer, rows):
    file = io.BytesIO()
    serializer.dump_stream(rows, file)
    write_int(serializers.SpecialLengths.END_OF_DATA_SECTION, file)
    file.write(AFTER)
    file.seek(0)
    return file


KINDS = {
    "batched": lambda one: serializers.BatchedSerializer(one, 4),
    "auto": serializers.AutoBatchedSerializer,
    "single": lambda one: one,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("taken", [0, 1, 4, 5, 9, 10, None])
def test_what_is_left_is_skipped_in_any_state(kind, taken):
    counted = Counted()
    serializer = KINDS[kind](counted)
    file = stream(serializer, range(10))
    rows = Skippable(serializer).load_stream(file)
    before = list(itertools.islice(iter(rows), taken))
    assert before == list(range(10))[:taken]
    loaded = counted.loaded
    for _ in range(2):
        rows.skip()
        assert list(rows) == [] and counted.loaded == loaded
    assert file.read() == AFTER


def test_rows_of_pairs_are_the_second_ones():
    file = stream(serializers.CPickleSerializer(), [(0, "a"), (0, "b"), (0, "c")])
    rows = Skippable(serializers.CPickleSerializer(), values=True).load_stream(file)
    assert next(iter(rows)) == "a" and list(rows) == ["b", "c"] and file.read() == AFTER


def test_behind_a_row_that_cannot_be_read_the_rest_is_skipped():
    file = io.BytesIO()
    for frame in (b"\x80\x04K\x01.", b"broken", bytes(200_000)):
        serializers.write_with_length(frame, file)
    write_int(serializers.SpecialLengths.NULL, file)
    write_int(serializers.SpecialLengths.END_OF_DATA_SECTION, file)
    file.write(AFTER)
    file.seek(0)
    rows = SkippableRows(file, serializers.CPickleSerializer())
    found = iter(rows)
    assert next(found) == 1
    with pytest.raises(pickle.UnpicklingError):
        next(found)
    drain(rows)
    assert file.read() == AFTER


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 12, 15, 20, None])
def test_a_stream_that_is_cut_off_is_no_end_of_rows(cut):
    """Also between two frames, where what is there looks whole."""
    serializer = serializers.CPickleSerializer()
    whole = stream(serializer, ["one", "two"]).read()[: -len(AFTER)]
    for go in (SkippableRows.skip, list):
        rows = SkippableRows(io.BytesIO(whole[:-cut] if cut else b""), serializer)
        with pytest.raises(RowsCut, match="missing"):
            go(rows)
        drain(rows)
        assert list(rows) == []


def test_only_frames_can_be_skipped():
    pickled = serializers.CPickleSerializer()
    for framed in (pickled, *(kind(pickled) for kind in KINDS.values())):
        assert is_framed(framed)
    assert is_framed(serializers.CompressedSerializer(pickled))
    batched = serializers.BatchedSerializer(pickled, 4)
    for other in (
        serializers.UTF8Deserializer(),
        serializers.CartesianDeserializer(batched, batched),
        serializers.PairDeserializer(batched, batched),
        serializers.FlattenedValuesSerializer(pickled),
        serializers.BatchedSerializer(serializers.UTF8Deserializer(), 4),
        serializers.BatchedSerializer(batched, 4),
    ):
        assert not is_framed(other)
