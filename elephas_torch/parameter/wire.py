"""What travels between a worker and the parameter server: plain data, and bytes.

Tensors travel raw and little-endian behind a fixed header, everything else as JSON. Nothing
is ever unpickled. The exact bytes are written down in docs/parameter.md.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elephas_torch.errors import Refused, unknown
from elephas_torch.flat import Vectors
from elephas_torch.parameter import codec, rows, slow

NAME = "elephas_torch.parameter"
PROTOCOL = 1
MAGIC = b"ELPH"
MODES = ("synchronous", "asynchronous", "hogwild")

# magic, protocol, flags, worker, attempt, seq, base version, samples, epoch, three sizes
_PUSH = struct.Struct("<4sHH6q3Q")
# magic, protocol, flags, version, learning rate, three sizes
_REPLY = struct.Struct("<4sHHqd3Q")
# descriptor in the server's process, nonce
_PLACE = struct.Struct("<q16s")
#: The epoch before what a worker has left with the server.
EPOCH = struct.Struct("<q")
PUSH_BYTES, REPLY_BYTES, PLACE_BYTES = _PUSH.size, _REPLY.size, _PLACE.size
_LAST, _STOP, _RATE = 1, 1, 2
#: Forms of a message, among its flags: the parameters are written by the run's codec; of the
#: embeddings there are rows.
BY_CODEC, BY_ROWS = 16, 32
_FORMS = BY_CODEC | BY_ROWS
#: Of an answer: its vectors lie in memory that both sides have.
PLACED = 4

#: Of a beat: how many running means it has at most, and how long their names are.
LOGS, NAME_LENGTH = 64, 100

Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class Settings:
    """How a parameter server is to work.

    Args:
        mode: "synchronous", "asynchronous" or "hogwild".
        sizes: lengths of parameters (float32), state (float32) and counters (int64).
        optimizer: the rule that the server steps with, as `optimizers.serialize` gives it.
        weight_sizes: numbers of elements of the single weights; `clipnorm` needs them.
        workers: how many are expected to join. Default 1.
        staleness: "scale" divides an update by (versions since its pull + 1); None takes it
            as it is. For asynchronous and hogwild, and for synchronous with a quorum below 1.
            Default "scale".
        join_timeout: seconds that the first round waits for all to join. Default 120.
        round_timeout: seconds that a push waits for its round or epoch, and a gated report
            for its release. Default 600.
        lease: seconds of silence after which a worker is left out. Default 60.
        gated: reports are answered only when the driver has released their epoch.
        server_rate: the optimizer is the compiled one, so `control(learning_rate=…)` sets its
            rate; otherwise the rate only is passed on to the workers.
        constraints: what weights are brought back to after each step, as
            `elephas_torch.constraints.spec` gives it. Default none.
        compression: "bf16", "int8", "topk" or ("topk", share): how parameters travel between
            workers and server. Default None: as float32.
        quorum: the share of the workers whose pushes close a synchronous round; those that come
            later go into the next one. Default 1.0: all.
        staleness_bound: how many exchanges a worker may be ahead of the slowest in asynchronous
            and hogwild mode; the answer to a push that is further waits. Default None: any.
        embeddings: the parts of the parameters of whose gradients only the rows that aren't
            zero are sent, where that is shorter: (first element, rows, width) of each. Default
            none.
        checkpoint_every: after so many epochs that all workers have done, a snapshot is made for
            the driver. Default 0: none are.

    Raises:
        ValueError: a mode, staleness or compression that doesn't exist, or a number out of its
            range.
    """

    mode: str
    sizes: Sizes
    optimizer: dict[str, Any]
    weight_sizes: list[int] | None = None
    workers: int = 1
    staleness: str | None = "scale"
    join_timeout: float = 120.0
    round_timeout: float = 600.0
    lease: float = 60.0
    gated: bool = False
    server_rate: bool = False
    constraints: list[dict[str, Any]] = field(default_factory=list)
    compression: codec.Spec = None
    embeddings: list[rows.Span] = field(default_factory=list)
    checkpoint_every: int = 0
    quorum: float = 1.0
    staleness_bound: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("mode", self.mode, MODES)
        if self.staleness not in (None, "scale"):
            raise ValueError(
                "`staleness` must be 'scale' (divide by versions missed + 1) or None (take "
                f"updates as they are). Received: staleness={self.staleness!r}"
            )
        object.__setattr__(self, "quorum", slow.checked_quorum(self.quorum))
        object.__setattr__(self, "staleness_bound", slow.checked_bound(self.staleness_bound))
        slow.check(self.mode, self.quorum, self.staleness_bound)
        object.__setattr__(self, "sizes", _sizes(self.sizes))
        object.__setattr__(self, "compression", codec.checked(self.compression))
        object.__setattr__(self, "embeddings", rows.checked(self.embeddings, self.sizes[0]))
        if isinstance(self.compression, tuple) and self.sizes[0] >= 2**31:
            raise ValueError(
                "compression='topk' is for fewer than 2,147,483,648 parameters: use 'int8'. "
                f"Received: {self.sizes[0]} parameters"
            )
        if not isinstance(self.workers, int) or self.workers < 1:
            raise ValueError(f"`workers` must be 1 or more. Received: workers={self.workers!r}")
        for name in ("join_timeout", "round_timeout", "lease"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"`{name}` must be seconds above 0. Received: {name}={getattr(self, name)!r}"
                )


class Push(NamedTuple):
    """The header of a push.

    Attributes:
        worker: its number, 0 or more (on Spark the partition index).
        attempt: which run of that worker this is; a larger one fences off smaller ones.
        seq: counts the worker's pushes over all its attempts, from 0.
        base_version: the version that the update was computed at.
        samples: how many rows it was computed from, 1 or more.
        epoch: the worker's epoch, from 0.
        last: whether this is the worker's last push in that epoch.
    """

    worker: int
    attempt: int
    seq: int
    base_version: int
    samples: int
    epoch: int
    last: bool


class Reply(NamedTuple):
    """What the server answers: its version, whether to stop, and the rate that the driver set."""

    version: int
    stop: bool
    learning_rate: float | None = None


class Joined(NamedTuple):
    """Where a worker goes on from: the next seq to use, its epoch, and how many pushes of that
    epoch were applied already; version, stop and learning_rate as in `Reply`."""

    seq: int
    epoch: int
    batch: int
    version: int
    stop: bool
    learning_rate: float | None = None


class Answer(NamedTuple):
    """A reply with the vectors of its version, as read-only memory in the wire's order."""

    reply: Reply
    body: memoryview


@dataclass(frozen=True)
class Body:
    """A buffer that a whole push is received into, with the vectors as views into it."""

    buffer: memoryview
    vectors: Vectors
    arrays: Any = field(repr=False, default=None)


def _sizes(sizes: Sequence[int]) -> Sizes:
    if len(sizes) != 3 or any(not isinstance(n, int) or n < 0 for n in sizes):
        raise ValueError(
            "`sizes` must be three lengths, 0 or more: parameters, state, counters. "
            f"Received: sizes={sizes!r}"
        )
    return sizes[0], sizes[1], sizes[2]


def vector_bytes(sizes: Sizes) -> int:
    """Returns how many bytes vectors of these lengths take on the wire."""
    return 4 * sizes[0] + 4 * sizes[1] + 8 * sizes[2]


def allocate(sizes: Sizes, head: int = 0) -> Body:
    """Returns an empty buffer for `head` bytes and the vectors behind it, in the wire's order."""
    return within(torch.empty(head + vector_bytes(sizes), dtype=torch.uint8), sizes, head)


def within(whole: Tensor, sizes: Sizes, head: int = 0) -> Body:
    """Returns the same in memory that is there: uint8, 1-D, of the right length."""
    parameters, _, counters = sizes
    first = head + 8 * counters
    second = first + 4 * parameters
    vectors = Vectors(
        whole[first:second].view(torch.float32),
        whole[second:].view(torch.float32),
        whole[head:first].view(torch.int64),
    )
    return Body(memoryview(whole.numpy()), vectors, whole)  # type: ignore[arg-type]


def buffers(vectors: Vectors) -> list[memoryview]:
    """Returns the memory under the vectors, in the wire's order: counters, parameters, state.

    Counters come first so that every vector lies at a multiple of its element's size.
    """
    ordered = (vectors.counters, vectors.parameters, vectors.state)
    return [memoryview(one.detach().numpy()).cast("B") for one in ordered if one.numel()]  # type: ignore[arg-type]


def check_vectors(vectors: Vectors, sizes: Sizes | None, name: str) -> None:
    """Raises unless these are contiguous CPU vectors of the right types (and lengths).

    Raises:
        TypeError: a wrong dtype, device or layout.
        ValueError: a wrong length.
    """
    kinds = (torch.float32, torch.float32, torch.int64)
    for field_name, one, kind in zip(Vectors._fields, vectors, kinds, strict=True):
        if (
            not isinstance(one, Tensor)
            or one.dtype != kind
            or one.dim() != 1
            or one.device.type != "cpu"
            or not one.is_contiguous()
        ):
            raise TypeError(
                f"`{name}.{field_name}` must be a contiguous 1-D {kind} tensor on the CPU. "
                f"Received: {_described(one)}"
            )
    if sizes is not None and vectors.sizes != tuple(sizes):
        raise ValueError(
            f"`{name}` must have the lengths (parameters, state, counters) {tuple(sizes)}, as "
            f"the server's vectors have. Received: {vectors.sizes}"
        )


def _described(one: object) -> str:
    if isinstance(one, Tensor):
        return f"{tuple(one.shape)}, {one.dtype}, on {one.device}, strides {one.stride()}"
    return f"{one!r} (of type {type(one).__name__})"


def pack_push(push: Push, sizes: Sizes, form: int = 0) -> bytes:
    """Returns the header of a push; the vectors follow it, in the form that the flags say."""
    return _PUSH.pack(MAGIC, PROTOCOL, form | bool(push.last), *push[:6], *sizes)


def form(buffer: bytes | memoryview) -> int:
    """Returns the form that the flags of a message's header say; 0: plain."""
    return int.from_bytes(buffer[6:8], "little") & _FORMS


def unpack_push(buffer: bytes | memoryview, sizes: Sizes) -> Push:
    """Reads the header at the start of `buffer`.

    Raises:
        Refused: it isn't one, is of another protocol, or of vectors of other lengths.
    """
    if len(buffer) < PUSH_BYTES:
        raise Refused(f"A push has at least {PUSH_BYTES} bytes. Received: {len(buffer)}")
    magic, protocol, flags, *numbers = _PUSH.unpack_from(buffer)
    _check_head(magic, protocol, numbers[6:], sizes)
    worker, attempt, seq, base, samples, epoch = numbers[:6]
    if flags & ~_FORMS not in (0, _LAST):
        raise Refused(f"A push has flags that protocol {PROTOCOL} doesn't know: {flags}")
    if min(worker, attempt, seq, base, epoch) < 0 or samples < 1:
        raise Refused(
            "A push needs worker, attempt, seq, base_version and epoch of 0 or more, and "
            f"samples of 1 or more. Received: {numbers[:6]}"
        )
    return Push(worker, attempt, seq, base, samples, epoch, bool(flags & _LAST))


def pack_reply(reply: Reply, sizes: Sizes, form: int = 0) -> bytes:
    """Returns the header of an answer; the vectors follow it, in the form that the flags say."""
    rate = reply.learning_rate
    flags = form | (_STOP if reply.stop else 0) | (_RATE if rate is not None else 0)
    return _REPLY.pack(MAGIC, PROTOCOL, flags, reply.version, rate or 0.0, *sizes)


def unpack_reply(buffer: bytes | memoryview, sizes: Sizes) -> Reply:
    """Reads the header at the start of `buffer`; raises Refused as `unpack_push` does."""
    if len(buffer) < REPLY_BYTES:
        raise Refused(f"An answer has at least {REPLY_BYTES} bytes. Received: {len(buffer)}")
    magic, protocol, flags, version, rate, *lengths = _REPLY.unpack_from(buffer)
    _check_head(magic, protocol, lengths, sizes)
    return Reply(version, bool(flags & _STOP), rate if flags & _RATE else None)


def is_placed(buffer: bytes | memoryview) -> bool:
    """Whether what follows an answer's header is a place in memory."""
    return bool(int.from_bytes(buffer[6:8], "little") & PLACED)


def pack_place(descriptor: int, nonce: bytes) -> bytes:
    """Returns what stands for the vectors of an answer, where the client shares memory."""
    return _PLACE.pack(descriptor, nonce)


def unpack_place(buffer: bytes | memoryview) -> tuple[int, bytes]:
    """Reads descriptor and nonce."""
    descriptor, nonce = _PLACE.unpack(buffer)
    return descriptor, nonce


def _check_head(magic: bytes, protocol: int, lengths: Sequence[int], sizes: Sizes) -> None:
    if magic != MAGIC:
        raise Refused(f"Not a message of {NAME}: it starts with {magic!r}, not {MAGIC!r}.")
    if protocol != PROTOCOL:
        raise Refused(
            f"The message is of protocol {protocol}; this side speaks {PROTOCOL}. Install the "
            "same version of elephas_torch on the driver and on all workers."
        )
    if tuple(lengths) != tuple(sizes):
        raise Refused(
            f"The message is of vectors of lengths {tuple(lengths)}; this side has "
            f"{tuple(sizes)} (parameters, state, counters)."
        )


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """Returns the settings as JSON-able data."""
    return dataclasses.asdict(settings)


def settings_from_json(data: dict[str, Any]) -> Settings:
    """Takes what `settings_to_json` gave, through JSON or not."""
    return Settings(**{**data, "sizes": tuple(data["sizes"])})


def dumps(data: Any) -> bytes:
    """Returns JSON as Python writes it: NaN and Infinity stay (a loss can be NaN)."""
    return json.dumps(data, default=_plain, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    item: Callable[[], Any] | None = getattr(value, "item", None)
    if item is None:
        raise TypeError(
            f"Only numbers, strings, lists and dicts travel as JSON. Received: {value!r} "
            f"(of type {type(value).__name__})"
        )
    return item()
