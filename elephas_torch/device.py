"""The device that a worker computes on: which one it takes, and what torch does for it there.

All that is torch's for CUDA goes through the `cuda` that a `Device` holds, which is `torch.cuda`
itself. On the CPU none of it is asked.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elephas_torch.errors import WorkerError
from elephas_torch.keras.forward import forget_graphs

logger = logging.getLogger(__name__)

AUTO = "auto"
HELP = (
    "`device` must be 'auto' (the GPU that Spark assigns, else one of those that a task sees, else "
    "the CPU), 'cpu', 'cuda', 'cuda:N' or 'mps'."
)
_MB = 1 << 20
#: What torch asks for where algorithms must be deterministic. It looks once, at a process's first
#: product on a GPU: Spark's may be of a fit before the one that asks.
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


def checked(device: Any) -> str:
    """Returns the argument `device` as text; raises ValueError for another."""
    text = str(device) if isinstance(device, torch.device) else device
    if isinstance(text, str) and re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        return text
    raise ValueError(f"{HELP} Received: device={device!r}")


def checked_share(share: Any) -> float | None:
    """Returns the argument `gpus_per_task`; raises ValueError for what Spark can't give."""
    number = isinstance(share, int | float) and not isinstance(share, bool)
    if share is None or (number and 0 < share <= 1):
        return None if share is None else float(share)
    raise ValueError(
        "`gpus_per_task` must be 1, or a fraction of a GPU that several tasks share, such as 0.5: "
        f"a worker computes on one GPU. Received: gpus_per_task={share!r}"
    )


@dataclass(frozen=True)
class Device:
    """What a worker computes on.

    Attributes:
        where: torch's name for it.
        cuda: torch.cuda, or what plays it; None where the device has no streams, nor pinned memory.
        assigned: whether Spark has given this task the device, and so knows who shares it.
        pins: whether host memory can be pinned for it.
    """

    where: torch.device
    cuda: Any = None
    assigned: bool = False
    pins: bool = True

    @property
    def is_host(self) -> bool:
        """Whether it is the CPU, where nothing has to be moved."""
        return self.where.type == "cpu" and self.cuda is None

    @property
    def info(self) -> dict[str, Any]:
        """What the worker tells the server of it."""
        if self.is_host:
            return {"device": "cpu"}
        told = {"device": str(self.where), "assigned": self.assigned}
        if self.cuda is None:
            return told
        found = self.cuda.get_device_properties(self.where)
        # Executors may see different GPUs under one number; what has no uuid is told by its host.
        gpu = str(getattr(found, "uuid", "") or f"{socket.gethostname()}/{self.where}")
        return {**told, "name": str(found.name), "gpu": gpu, "nccl": _has_nccl()}

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Lets this thread's work go there; in the end gives back what memory is held there in
        reserve, and by CUDA graphs, as Spark keeps this process."""
        if self.cuda is not None:
            os.environ.setdefault(*_WORKSPACE)
            self.cuda.init()
            self.cuda.set_device(self.where)
            self.cuda.reset_peak_memory_stats(self.where)
        try:
            yield
        finally:
            forget_graphs()
            self.empty()

    def empty(self) -> None:
        """Gives back what memory is held there in reserve."""
        if self.cuda is not None:
            self.cuda.empty_cache()

    def host_like(self, tensor: Tensor) -> Tensor:
        """An empty host tensor like it, in pinned memory where there is such."""
        pin = self.pins and self.cuda is not None and tensor.numel() > 0
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=pin)

    def stream(self) -> Any:
        """A stream beside the one that computes; None where there are none."""
        return None if self.cuda is None else self.cuda.Stream(self.where)

    def current(self) -> Any:
        """The stream that computes; None where there are none."""
        return None if self.cuda is None else self.cuda.current_stream(self.where)

    def on(self, stream: Any) -> contextlib.AbstractContextManager[Any]:
        """A scope whose copies go to a stream."""
        return contextlib.nullcontext() if stream is None else self.cuda.stream(stream)

    def free_bytes(self) -> int:
        """What is free of its memory; 0 where nobody can tell."""
        return 0 if self.cuda is None else int(self.cuda.mem_get_info(self.where)[0])

    def seeded(self) -> Callable[[int], Any] | None:
        """What seeds the device's own random numbers; None on the CPU, which is seeded anyway."""
        if self.cuda is None:
            return None if self.is_host else torch.mps.manual_seed
        return self.cuda.default_generators[self.where.index or 0].manual_seed


CPU = Device(torch.device("cpu"))


def _has_nccl() -> bool:
    import torch.distributed as dist

    return dist.is_available() and dist.is_nccl_available()


@dataclass(frozen=True)
class Choice:
    """What a task knows of the devices that there are.

    Attributes:
        wanted: 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
        partition: the worker's number.
        addresses: of the GPUs that Spark has assigned this task; None: Spark looks after none.
        visible: CUDA_VISIBLE_DEVICES; None: it isn't set.
        cuda: torch.cuda, or what plays it.
        mps: whether torch can compute on a Mac's GPU.
    """

    wanted: str
    partition: int
    addresses: Sequence[str] | None = None
    visible: str | None = None
    cuda: Any = field(default=torch.cuda, repr=False)
    mps: bool = False

    def made(self) -> Device:
        """The device to take: the one asked for, else Spark's, else one of those visible, else
        the CPU.

        Raises:
            WorkerError: there is none such here.
        """
        wanted = self.wanted
        if wanted == "cpu":
            return CPU
        if wanted == "mps":
            if not self.mps:
                raise WorkerError("device='mps', but torch can't compute on a Mac's GPU here.")
            return Device(torch.device("mps"))
        count = self.cuda.device_count() if self.cuda.is_available() else 0
        if ":" in wanted:
            return self._number(int(wanted.partition(":")[2]), count)
        if self.addresses:
            if not count:
                raise WorkerError(
                    f"Spark assigned the GPU {self.addresses[0]} to this task, but {_why_none()}, "
                    "or set device='cpu'."
                )
            return self._on(self._index(self.addresses[0], count), assigned=True)
        if not count:
            if wanted == AUTO:
                return CPU
            raise WorkerError(f"device={wanted!r}, but {_why_none()}, or set device='auto'.")
        return self._on(self.partition % count)

    def _number(self, index: int, count: int) -> Device:
        if not count:
            raise WorkerError(f"device={self.wanted!r}, but {_why_none()}, or set device='auto'.")
        if index >= count:
            raise WorkerError(
                f"device={self.wanted!r}, but this task sees {count} GPUs, of which the last is "
                f"cuda:{count - 1} (CUDA_VISIBLE_DEVICES={self.visible!r})."
            )
        return self._on(index)

    def _on(self, index: int, assigned: bool = False) -> Device:
        return Device(torch.device("cuda", index), self.cuda, assigned)

    def _index(self, address: str, count: int) -> int:
        """The number under which torch knows a GPU of Spark's.

        An address is what CUDA_VISIBLE_DEVICES would call it, a number or a UUID: Spark's discovery
        scripts don't know of that variable. One that isn't among those visible is taken as a number
        of those: in a container they may be numbered anew.
        """
        address = address.strip()
        visible = [one.strip() for one in (self.visible or "").split(",") if one.strip()][:count]
        for index, name in enumerate(visible):
            if name == address or (not name.isdigit() and address.startswith(name)):
                return index
        if address.isdigit() and int(address) < count:
            return int(address)
        if not visible:
            bare = address.removeprefix("GPU-")
            for index in range(count):
                if str(getattr(self.cuda.get_device_properties(index), "uuid", "")) == bare:
                    return index
        raise WorkerError(
            f"Spark assigned the GPU {address} to this task, which isn't among the {count} that it "
            f"sees (CUDA_VISIBLE_DEVICES={self.visible!r}). Let the discovery script print "
            "nvidia-smi's numbers, or leave that variable unset on executors."
        )


def _why_none() -> str:
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f"the executors' torch {torch.__version__} is a build without CUDA. Install one with "
            "CUDA there (on Linux `pip install torch` without an index for the CPU; for other CUDA "
            "versions see https://pytorch.org/get-started/locally/)"
        )
    return (
        f"the executors' torch {torch.__version__} finds no GPU: look for the driver (nvidia-smi) "
        f"and at CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')!r} there"
    )


def taken(wanted: str, partition: int) -> Device:
    """The device for this task; raises WorkerError where there is none such.

    Args:
        wanted: see `checked`.
        partition: the worker's number.
    """
    if wanted == "cpu":
        return CPU
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    mps = wanted == "mps" and torch.backends.mps.is_available()
    return Choice(wanted, partition, _assigned(), visible, mps=mps).made()


def _assigned() -> list[str] | None:
    """Addresses of the GPUs that Spark has given this task."""
    from pyspark import TaskContext

    context = TaskContext.get()
    gpus = None if context is None else context.resources().get("gpu")
    return None if gpus is None else list(gpus.addresses)


#: What torch 2.9 and later has for TF32, below `torch.backends`. Where somebody has set one of
#: these, the older names raise; where somebody has set those, these say the same.
_PRECISE = ("cuda.matmul", "cudnn.conv", "cudnn.rnn")
_BACKENDS: Any = torch.backends


def backends() -> dict[str, Any]:
    """Torch's settings of how GPUs compute, as this process has them; JSON-able."""
    found = {
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
    }
    try:
        older = {
            "matmul_precision": torch.get_float32_matmul_precision(),
            "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        }
    except RuntimeError:
        return {**found, "precise": _precise()}
    return {**found, **older}


@contextlib.contextmanager
def backends_as(wanted: Mapping[str, Any]) -> Iterator[None]:
    """A scope with these settings of `backends`; Spark may use the process for others after it."""
    before, precise = backends(), _precise()
    _set_backends({**before, **wanted})
    try:
        yield
    finally:
        _set_precise(precise)  # the older names raise while the newer ones say something else
        _set_backends(before)
        _set_precise(precise)


def _set_backends(wanted: Mapping[str, Any]) -> None:
    if "precise" in wanted:
        _set_precise(wanted["precise"])
    else:
        torch.set_float32_matmul_precision(wanted["matmul_precision"])
        torch.backends.cudnn.allow_tf32 = wanted["cudnn_tf32"]
    torch.backends.cudnn.benchmark = wanted["cudnn_benchmark"]
    torch.backends.cudnn.deterministic = wanted["cudnn_deterministic"]
    if wanted["deterministic"]:
        os.environ.setdefault(*_WORKSPACE)
    torch.use_deterministic_algorithms(wanted["deterministic"], warn_only=wanted["warn_only"])


def _precise() -> dict[str, str]:
    found = ((name, _place(name)) for name in _PRECISE)
    return {name: place.fp32_precision for name, place in found if hasattr(place, "fp32_precision")}


def _set_precise(wanted: Mapping[str, str]) -> None:
    for name in _precise().keys() & wanted.keys():
        _place(name).fp32_precision = wanted[name]


def _place(name: str) -> Any:
    return functools.reduce(lambda one, part: getattr(one, part, None), name.split("."), _BACKENDS)


@torch.no_grad()
def put(module: nn.Module, device: Device) -> None:
    """Moves a module's weights, buffers and other tensors there; each stays the object it is."""
    if device.is_host:
        return
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.to(device.where)
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, Tensor):
                setattr(part, name, value.to(device.where))


class OutOfMemory(WorkerError):
    """A GPU's memory is full; says what takes it, and what to lower."""


@contextlib.contextmanager
def told_of_memory(
    device: Device, batch_size: int | None, weights: int, *, training: bool = True
) -> Iterator[None]:
    """Makes CUDA's error of memory one that helps.

    Args:
        batch_size: rows a step; None: it isn't of rows.
        weights: bytes of the model's.
        training: whether there are gradients and an optimizer besides.

    Raises:
        OutOfMemory: in place of torch's own error.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise OutOfMemory(_of_memory(device, batch_size, weights, training, error)) from None


def _of_memory(
    device: Device, batch_size: int | None, weights: int, training: bool, error: Exception
) -> str:
    room = ""
    if device.cuda is not None:
        free, total = device.cuda.mem_get_info(device.where)
        own = int(device.cuda.max_memory_allocated(device.where))
        room = (
            f" Of its {total // _MB} MB this worker took {own // _MB} at most; {free // _MB} are "
            "free now that other processes have theirs."
        )
    smaller, rows, more = "a smaller model, or shorter rows", "", ""
    if batch_size is not None:
        rows = f"batch_size={batch_size} and "
        smaller = f"batch_size={batch_size // 2}" if batch_size > 1 else smaller
    if training:
        more = (
            ", which with gradients and an optimizer such as Adam takes "
            f"{max(4 * weights // _MB, 1)} MB"
        )
    return (
        f"{device.where} is out of memory with {rows}a model of {max(weights // _MB, 1)} MB{more}."
        f"{room} Try {smaller}; mixed_precision "
        "('mixed_bfloat16') takes about half for what layers compute; and give each task a GPU of "
        f"its own where several share one.\nCUDA said: {str(error).splitlines()[0]}"
    )


class Sharing:
    """Which workers are on which GPU, as the driver hears it; warns where several share one that
    Spark didn't assign."""

    def __init__(self) -> None:
        self._on: dict[int, str] = {}
        self._told: set[str] = set()

    def joined(self, worker: int, info: dict[str, Any]) -> None:
        """Notes where a worker is."""
        gpu = info.get("gpu")
        before = self._on.pop(worker, None)
        if gpu is None:
            return
        self._on[worker] = gpu
        if before == gpu:
            return
        host, device = info.get("host"), info["device"]
        logger.info("Worker %d is on %s of %s (%s).", worker, device, host, info.get("name"))
        on_it = sorted(one for one, name in self._on.items() if name == gpu)
        if len(on_it) > 1 and not info.get("assigned") and gpu not in self._told:
            self._told.add(gpu)
            logger.warning(
                "Workers %s share %s of %s: there are more tasks than GPUs, or Spark doesn't know "
                "of the GPUs. Set spark.task.resource.gpu.amount (see docs/gpu.md), or lower "
                "num_workers.", _listed(on_it), device, host,
            )  # fmt: skip


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
