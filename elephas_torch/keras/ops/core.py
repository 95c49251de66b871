"""Tensors and control flow. Follows https://keras.io/api/ops/core/"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elephas_torch.keras import dtypes, symbolic, trees
from elephas_torch.keras.dtypes import tensor, torch_dtype
from elephas_torch.keras.operations import op

__all__ = [
    "associative_scan", "cast", "cond", "convert_to_numpy", "convert_to_tensor", "dtype",
    "fori_loop", "is_tensor", "jvp", "map", "ndim", "saturate_cast", "scan", "shape", "size",
    "stop_gradient", "switch", "vectorize", "vectorized_map", "view", "while_loop",
]  # fmt: skip


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    """A torch tensor of numbers, lists or arrays.

    Args:
        dtype: None keeps a tensor's and an array's; Python's floats become `config.floatx()`.
        sparse, ragged: None or False: there are no others here.

    Raises:
        ValueError: `sparse` or `ragged` is true.
    """
    if sparse or ragged:
        raise ValueError(
            "convert_to_tensor: there are only dense tensors. "
            f"Received: sparse={sparse}, ragged={ragged}"
        )
    if symbolic.is_symbolic(x):
        return x if dtype is None else cast(x, dtype)
    return tensor(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """A NumPy array of a tensor, or of a list of them; without its gradient."""
    if isinstance(x, list | tuple):
        return np.array([convert_to_numpy(one) for one in x])
    if not isinstance(x, Tensor):
        return np.array(x)
    plain = x.detach().cpu().resolve_conj()
    # NumPy has no bfloat16.
    return np.array((plain.float() if plain.dtype is torch.bfloat16 else plain).numpy())


def is_tensor(x: Any) -> bool:
    """Whether it is a torch tensor; a symbolic one isn't."""
    return isinstance(x, Tensor)


def shape(x: Any) -> tuple[Any, ...]:
    """The lengths of the axes; None in a symbolic tensor's where they aren't known."""
    return tuple(x.shape) if hasattr(x, "shape") else tuple(tensor(x).shape)


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(shape(x))


@op
def size(x: Tensor) -> Tensor:
    """The number of elements, as an int32 tensor of shape ()."""
    return torch.full((), x.numel(), dtype=torch.int32)


def dtype(x: Any) -> str:
    """The name of a tensor's dtype."""
    return dtypes.name(x.dtype if hasattr(x, "dtype") else tensor(x).dtype)


@op
def cast(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype."""
    return x.to(torch_dtype(dtype))


@op
def saturate_cast(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype, cut to what that can hold."""
    kind = torch_dtype(dtype)
    if kind is torch.bool:
        return x > 0
    limits = torch.finfo(kind) if kind.is_floating_point else torch.iinfo(kind)
    if x.dtype is torch.bool:
        return x.to(kind)
    own = torch.finfo(x.dtype) if x.dtype.is_floating_point else torch.iinfo(x.dtype)
    low, high = builtins.max(limits.min, own.min), builtins.min(limits.max, own.max)
    return torch.clamp(x, low, high).to(kind)


@op
def view(x: Tensor, dtype: Any = None) -> Tensor:
    """The same bytes read as another dtype."""
    return x.view(torch_dtype(dtype))


@op
def stop_gradient(variable: Tensor) -> Tensor:
    """The same values, through which no gradient flows."""
    return variable.detach()


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """`fun(*primals)`, and its derivative in the direction of `tangents`.

    Args:
        has_aux: fun gives (outputs, what is handed back as a third result).
    """
    first, along = trees.map_leaves(tensor, primals), trees.map_leaves(tensor, tangents)
    return torch.func.jvp(fun, tuple(first), tuple(along), has_aux=has_aux)


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """true_fn() or false_fn(): only one of them is called.

    Raises:
        TypeError: `pred` is symbolic: put the choice into the `call` of a Layer.
    """
    return true_fn() if pred else false_fn()


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """branches[index](*operands); an index beyond the ends takes the branch there."""
    return branches[builtins.min(builtins.max(int(index), 0), len(branches) - 1)](*operands)


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """The variables after `loop_vars = body(*loop_vars)` as long as `cond(*loop_vars)`.

    Args:
        loop_vars: a list or tuple, or one variable.
        maximum_iterations: where it ends at the latest.
    """
    several = isinstance(loop_vars, list | tuple)
    values = tuple(trees.map_leaves(tensor, loop_vars)) if several else (tensor(loop_vars),)
    done = 0
    while (maximum_iterations is None or done < maximum_iterations) and cond(*values):
        found = body(*values)
        values = tuple(found) if isinstance(found, list | tuple) else (found,)
        done += 1
    return values if several else values[0]


def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """The value after `value = body_fun(i, value)` for i from `lower` to before `upper`."""
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> tuple[Any, Any]:
    """`carry, y = f(carry, x)` for each x along the first axis of xs.

    Args:
        init: the first carry: a tensor or a tree of them.
        xs: a tensor or a tree of them; None goes `length` times with x None.
        reverse: begin with the last.
        unroll: taken, and of no use here.

    Returns:
        the last carry, and the stacked ys in the order of xs.

    Raises:
        TypeError: `f` can't be called.
        ValueError: neither `xs` nor `length` is given.
    """
    _check_function("scan", f)
    if xs is None and length is None:
        raise ValueError("scan: give `xs`, or how often to go by `length`.")
    xs = None if xs is None else trees.map_leaves(tensor, xs)
    count = len(trees.leaves(xs)[0]) if length is None else int(length)
    carry, found = trees.map_leaves(tensor, init), []
    for i in reversed(range(count)) if reverse else range(count):
        carry, y = f(carry, None if xs is None else trees.map_leaves(lambda x, i=i: x[i], xs))
        found.append(trees.map_leaves(torch.zeros_like, carry) if y is None else y)
    return carry, _stacked(found[::-1] if reverse else found)


def _check_function(owner: str, f: Any) -> None:
    if not callable(f):
        raise TypeError(f"{owner}: `f` must be a function. Received: f={f!r}")


def _stacked(found: list[Any]) -> Any:
    return trees.map_leaves(lambda *ys: torch.stack(ys), found[0], *found[1:]) if found else ()


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """f of each x along the first axis of xs (a tensor or a tree of them), stacked."""
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


def associative_scan(
    f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """x0, f(x0, x1), f(f(x0, x1), x2) … along an axis, for an associative f.

    Args:
        f: of two trees of tensors like `elems`, with any length along the axis.
        reverse: begin with the last.

    Raises:
        TypeError: `f` can't be called.
        ValueError: the tensors differ in their length.
    """
    _check_function("associative_scan", f)
    elems = trees.map_leaves(tensor, elems)
    lengths = {x.shape[axis] for x in trees.leaves(elems)}
    if len(lengths) != 1:
        raise ValueError(
            f"associative_scan: all must have one length along axis {axis}. "
            f"Received: {sorted(lengths)}"
        )
    turned = trees.map_leaves(lambda x: x.flip(axis), elems) if reverse else elems
    found = _prefixes(f, turned, lengths.pop(), axis)
    return trees.map_leaves(lambda x: x.flip(axis), found) if reverse else found


def _prefixes(f: Callable[[Any, Any], Any], elems: Any, length: int, axis: int) -> Any:
    """Doubles how far each result reaches back, until it is the start."""
    reach = 1
    while reach < length:
        earlier = trees.map_leaves(lambda x, n=length - reach: x.narrow(axis, 0, n), elems)
        later = trees.map_leaves(lambda x, n=length - reach, r=reach: x.narrow(axis, r, n), elems)
        joined = f(earlier, later)
        elems = trees.map_leaves(
            lambda x, y, r=reach: torch.cat([x.narrow(axis, 0, r), y], axis), elems, joined
        )
        reach *= 2
    return elems


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`function` of each element along the first axis, computed for all at once."""
    return torch.vmap(function)(trees.map_leaves(tensor, elements))


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    """A function that goes over its arguments' elements, broadcast, as `numpy.vectorize` does.

    Args:
        pyfunc: of tensors of shape ().
        excluded: positions and names of arguments that are handed on as they are.
        signature: None: other signatures aren't there.

    Raises:
        ValueError: a signature.
    """
    if signature is not None:
        raise ValueError(f"vectorize: use vectorized_map. Received: signature={signature!r}")
    left_out = set(excluded or ())

    def vectorized(*args: Any, **kwargs: Any) -> Any:
        given = dict(enumerate(args)) | kwargs
        moving = {key: tensor(value) for key, value in given.items() if key not in left_out}
        parts = torch.broadcast_tensors(*moving.values())
        names, count = list(moving), len(args)

        def single(*values: Any) -> Any:
            now = given | dict(zip(names, values, strict=True))
            return pyfunc(
                *(now[i] for i in range(count)),
                **{key: value for key, value in now.items() if isinstance(key, str)},
            )

        flat = torch.vmap(single)(*(part.reshape(-1) for part in parts))
        return trees.map_leaves(lambda x: x.reshape(parts[0].shape), flat)

    return vectorized
