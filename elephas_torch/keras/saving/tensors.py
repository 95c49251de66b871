"""Weights as safetensors: numbered by their order in the model.

The names of layers that nobody named change (dense, dense_1), so what belongs where is told by
the order, and checked by shapes.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from elephas_torch.errors import ModelFileError

OPTIMIZER = "optimizer/"
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip


def written(model: nn.Module) -> bytes:
    """A model's weights as the bytes of a file."""
    file = io.BytesIO()
    write(model, file)
    return file.getvalue()


def write(model: nn.Module, file: BinaryIO) -> None:
    """Writes a model's weights into an open file, one by one: no copy of them all is made."""
    named = {
        f"{number:05d}.{name}": tensor.detach().as_subclass(Tensor)
        for number, (name, tensor) in enumerate(model.state_dict().items())
    }
    # Large elements first, so that each tensor lies at a multiple of its elements' size.
    order = sorted(named, key=lambda name: (-named[name].element_size(), name))
    header: dict[str, Any] = {}
    end = 0
    for name in order:
        start, end = end, end + named[name].nbytes
        header[name] = {
            "dtype": _DTYPES[named[name].dtype],
            "shape": list(named[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for name in order:
        if named[name].nbytes:
            file.write(named[name].cpu().reshape(-1).view(torch.uint8).numpy().data)


def parsed(content: bytes, path: Any) -> dict[str, Tensor]:
    """The tensors of a file's bytes.

    Raises:
        ModelFileError: they aren't safetensors.
    """
    with _readable(path):
        return safetensors.torch.load(content)


def read(file: Any, path: Any) -> dict[str, Tensor]:
    """The tensors of a local file, which must stay where it is as long as they are used.

    Args:
        path: what the messages call it.

    Raises:
        ModelFileError: they aren't safetensors.
    """
    with _readable(path):
        return safetensors.torch.load_file(file)


@contextmanager
def _readable(path: Any) -> Iterator[None]:
    try:
        yield
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelFileError(
            f"{str(path)!r} holds no weights in safetensors' form, or is cut off ({error})."
        ) from None


def take(model: nn.Module, tensors: Mapping[str, Tensor], path: Any) -> None:
    """Gives a built model its weights.

    Raises:
        ModelFileError: they don't fit; nothing is taken then.
    """
    theirs = [(k, tensors[k]) for k in sorted(tensors) if not k.startswith(OPTIMIZER)]
    mine = list(model.state_dict().items())
    if len(theirs) != len(mine):
        raise ModelFileError(
            f"{str(path)!r} doesn't fit the model: it has {len(theirs)} weights, "
            f"the model has {len(mine)}."
        )
    for (name, tensor), (_, stored) in zip(mine, theirs, strict=True):
        if tensor.shape != stored.shape:
            raise ModelFileError(
                f"{str(path)!r} doesn't fit the model: {name!r} has shape "
                f"{tuple(tensor.shape)} in the model and {tuple(stored.shape)} in the file."
            )
    with torch.no_grad():
        for (_, tensor), (_, stored) in zip(mine, theirs, strict=True):
            tensor.copy_(stored)


def take_optimizer(optimizer: Any, tensors: Mapping[str, Tensor], path: Any) -> None:
    """Gives an optimizer the state that a file of the older form has.

    Raises:
        ModelFileError: something of it is missing.
    """
    state = {k.removeprefix(OPTIMIZER): v for k, v in tensors.items() if k.startswith(OPTIMIZER)}
    try:
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise ModelFileError(f"{str(path)!r}: the optimizer's state is damaged: {error}") from None
