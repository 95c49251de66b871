"""How updates enter the server's vector. Each rule is a short function on flat tensors.

u the update that the optimizer is stepped with, n a worker's samples, t the server's version,
b the version that an update was computed at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.optimizers import SGD, Optimizer

#: Elements of which three vectors stay in a processor's cache.
_CACHED = 1 << 20


# u = sum(n_i u_i) / sum(n_i)
def mean_(updates: Sequence[Tensor], samples: Sequence[float]) -> Tensor:
    """Returns the mean weighted by samples, in the first update's memory.

    The sum goes in the order given, so that equal updates in equal order give equal bits;
    the mean of a single update is that update, bit by bit.
    """
    total, mean = sum(samples), updates[0]
    if len(updates) > 1:
        mean.mul_(samples[0] / total)
    for update, n in zip(updates[1:], samples[1:], strict=True):
        mean.add_(update, alpha=n / total)
    return mean


# u <- u / (tau + 1),  tau = t - b
def scale_(update: Tensor, tau: int) -> Tensor:
    """Divides an update by the versions that it missed plus one (DynSGD, Jiang et al., 2017)."""
    return update.mul_(1 / (tau + 1)) if tau else update


# u = sum(n_i u_i / (tau_i + 1)) / sum(n_i)
def late_mean_(updates: Sequence[Tensor], samples: Sequence[int], taus: Sequence[int]) -> Tensor:
    """Returns the mean weighted by samples of updates that are scaled first.

    A late one is smaller for it, and the others' shares are what they are without that.
    """
    return mean_([scale_(u, tau) for u, tau in zip(updates, taus, strict=True)], samples)


# s = sum(n_i s_i / (tau_i + 1)) / sum(n_i / (tau_i + 1))
def late_state_(states: Sequence[Tensor], samples: Sequence[int], taus: Sequence[int]) -> Tensor:
    """Returns a mean of moving statistics in which late ones have less weight."""
    return mean_(states, [n / (tau + 1) for n, tau in zip(samples, taus, strict=True)])


# w' = w - lr u / (tau + 1)
def plain_sgd(w: Tensor, update: Tensor, lr: float, tau: int, out: Tensor) -> None:
    """Scales an update and steps with it, in one pass; `out` may be `w`."""
    torch.add(w, update, alpha=-lr / (tau + 1), out=out)


def plain_sgd_if_finite(w: Tensor, update: Tensor, lr: float, tau: int, out: Tensor) -> bool:
    """The same, with a look at the update while it is in the processor's cache; `out` isn't `w`.

    Returns:
        Whether the update was finite; where it wasn't, `out` has nothing of worth.
    """
    if len(w) <= _CACHED:
        plain_sgd(w, update, lr, tau, out)
        return is_finite(update)
    total = 0.0
    for first in range(0, len(w), _CACHED):
        piece = slice(first, first + _CACHED)
        total += float(update[piece].sum())
        plain_sgd(w[piece], update[piece], lr, tau, out[piece])
    return math.isfinite(total) or is_finite(update)


def is_plain_sgd(optimizer: Optimizer) -> bool:
    """Whether a step of the optimizer is w <- w - lr u, and nothing is kept between steps."""
    return type(optimizer) is SGD and not (
        optimizer.momentum
        or optimizer.has_options
        or optimizer.decay
        or optimizer.clipnorm
        or optimizer.clipvalue
        or optimizer.global_clipnorm
    )


# s = sum(n_i s_i) / sum(n_i)
def weighted_state(shares: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Returns the mean of moving statistics, weighted by samples, as a tensor of its own."""
    states = [shares[0][1].clone(), *(state for _, state in shares[1:])]
    return mean_(states, [n for n, _ in shares])


# c = max_i(c_i)
def raise_counters_(counters: Tensor, others: Sequence[Tensor]) -> None:
    """Raises each counter to the largest that any worker has."""
    if counters.numel():
        for other in others:
            torch.maximum(counters, other, out=counters)


def is_finite(vector: Tensor) -> bool:
    """Whether no element is NaN or infinite. The sum says so, unless it overflows itself."""
    if math.isfinite(float(vector.sum())):
        return True
    return bool(torch.isfinite(vector).all())


def check_finite(update: Vectors) -> None:
    """Raises Refused where the update has a NaN or an infinite number."""
    for name, vector in (("parameters", update.parameters), ("state", update.state)):
        if vector.numel() and not is_finite(vector):
            raise non_finite(name, vector)


def non_finite(name: str, vector: Tensor) -> Refused:
    """The error that says so."""
    bad = int((~torch.isfinite(vector)).sum())
    return Refused(
        f"The update is non-finite: {bad} of {vector.numel()} elements of its {name} are NaN or "
        "infinite, so nothing was applied. Training has most likely diverged: lower the learning "
        "rate, clip gradients (clipnorm=1.0), or look for NaN in the data."
    )
