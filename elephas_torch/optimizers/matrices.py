"""Update rules that look at single weights: their norms, or their rows and columns.

Each has its equation above it: w weights, g gradient, lr learning rate, t steps done including
this one; |.| is a weight's norm and rms its root mean square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


# m <- b1 m + (1 - b1) g;  s <- b2 s + (1 - b2) g^2
# d = m / (1 - b1^t) / (sqrt(s / (1 - b2^t)) + eps);  w <- w - lr |w| / |d| d, weight by weight
def lamb(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    s: Tensor,
    t: int,
    lr: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    sizes: Sequence[int],
) -> None:
    m.lerp_(g, 1 - beta_1)
    s.mul_(beta_2).addcmul_(g, g, value=1 - beta_2)
    d = s.div(1 - beta_2**t).sqrt_().add_(epsilon).reciprocal_().mul_(m).div_(1 - beta_1**t)
    parts = list(d.split(list(sizes)))
    mine = torch.stack(torch._foreach_norm(list(w.split(list(sizes)))))
    theirs = torch.stack(torch._foreach_norm(parts))
    ratios = torch.where((mine > 0) & (theirs > 0), mine / theirs, torch.ones_like(mine))
    torch._foreach_mul_(parts, list(ratios.unbind()))
    w.add_(d, alpha=-lr)


# b = 1 - t^decay;  rho = min(lr, 1 / sqrt(t));  q = g^2 + eps1
# vectors: v <- b v + (1 - b) q
# matrices: r <- b r + (1 - b) rows' mean of q;  c the same of columns;  v = r c / mean(r)
# d = g / sqrt(v);  w <- w - rho max(eps2, rms(w)) d / max(1, rms(d) / threshold)
def adafactor(
    w: Tensor,
    g: Tensor,
    v: Tensor,
    r: Tensor | None,
    c: Tensor | None,
    t: int,
    lr: float,
    decay: float,
    epsilon_1: float,
    epsilon_2: float,
    threshold: float,
) -> None:
    kept = 1 - t**decay
    q = g.square().add_(epsilon_1)
    if r is None or c is None:
        v.mul_(kept).add_(q, alpha=1 - kept)
    else:
        r.mul_(kept).add_(q.mean(-1), alpha=1 - kept)
        c.mul_(kept).add_(q.mean(-2), alpha=1 - kept)
        rows = r / r.mean(-1, keepdim=True)
        torch.mul(rows.unsqueeze(-1), c.unsqueeze(-2), out=v)
    d = g * v.rsqrt()
    limit = _rms(d).div_(threshold).clamp_(min=1)
    size = _rms(w).clamp_(min=epsilon_2).mul_(min(lr, 1 / math.sqrt(t)))
    w.sub_(d.mul_(size / limit))


def _rms(x: Tensor) -> Tensor:
    return x.square().mean().sqrt_()


# m <- momentum m + g;  d = orthogonal(m, Nesterov: g + momentum m)
# w <- w - lr rate sqrt(max(rows, columns)) d
def muon(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    lr: float,
    momentum: float,
    nesterov: bool,
    steps: int,
    coefficients: tuple[float, float, float],
    rate: float | None,
) -> None:
    m.mul_(momentum).add_(g)
    d = orthogonal(g.add(m, alpha=momentum) if nesterov else m, steps, coefficients)
    scale = 1.0 if rate is None else rate * math.sqrt(max(w.shape))
    w.add_(d, alpha=-lr * scale)


# x <- x / |x|;  steps times: y = x x';  x <- a x + (b y + c y y) x
def orthogonal(x: Tensor, steps: int, coefficients: tuple[float, float, float]) -> Tensor:
    """Returns a matrix with x's singular vectors and singular values of about 1 (Newton-Schulz)."""
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (torch.linalg.matrix_norm(x) + 1e-7)
    for _ in range(steps):
        y = x @ x.T
        x = a * x + (b * y + c * y @ y) @ x
    return x.T if tall else x
