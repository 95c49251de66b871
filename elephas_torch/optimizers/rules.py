"""The update rules: short functions that change flat vectors in place.

Each has its equation above it: w weights, g gradient, lr learning rate, t steps done including
this one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


# w <- w - lr g
def sgd(w: Tensor, g: Tensor, lr: float) -> None:
    w.add_(g, alpha=-lr)


# v <- m v - lr g;  w <- w + v,  or with Nesterov  w <- w + m v - lr g
def momentum_sgd(
    w: Tensor, g: Tensor, v: Tensor, lr: float, momentum: float, nesterov: bool
) -> None:
    v.mul_(momentum).add_(g, alpha=-lr)
    if nesterov:
        w.add_(v, alpha=momentum).add_(g, alpha=-lr)
    else:
        w.add_(v)


# s <- rho s + (1 - rho) g^2;  w <- w - lr g / sqrt(s - [centered] a^2 + eps)
def rmsprop(
    w: Tensor,
    g: Tensor,
    s: Tensor,
    lr: float,
    rho: float,
    epsilon: float,
    momentum: float = 0.0,
    v: Tensor | None = None,
    a: Tensor | None = None,
) -> None:
    s.mul_(rho).addcmul_(g, g, value=1 - rho)
    if a is not None:
        a.mul_(rho).add_(g, alpha=1 - rho)
        scale = s.addcmul(a, a, value=-1).add_(epsilon).rsqrt_()
    else:
        scale = s.add(epsilon).rsqrt_()
    if v is not None:
        v.mul_(momentum).addcmul_(g, scale, value=lr)
        w.sub_(v)
    else:
        w.addcmul_(g, scale, value=-lr)


# s <- s + g^2;  w <- w - lr g / sqrt(s + eps)
def adagrad(w: Tensor, g: Tensor, s: Tensor, lr: float, epsilon: float) -> None:
    s.addcmul_(g, g)
    w.addcmul_(g, s.add(epsilon).rsqrt_(), value=-lr)


# s <- rho s + (1 - rho) g^2;  d = g sqrt(u + eps) / sqrt(s + eps)
# u <- rho u + (1 - rho) d^2;  w <- w - lr d
def adadelta(
    w: Tensor, g: Tensor, s: Tensor, u: Tensor, lr: float, rho: float, epsilon: float
) -> None:
    s.mul_(rho).addcmul_(g, g, value=1 - rho)
    d = s.add(epsilon).div_(u.add(epsilon)).rsqrt_().mul_(g)
    u.mul_(rho).addcmul_(d, d, value=1 - rho)
    w.add_(d, alpha=-lr)


# m <- b1 m + (1 - b1) g;  s <- b2 s + (1 - b2) g^2
# w <- w - lr sqrt(1 - b2^t) / (1 - b1^t)  m / (sqrt(s) + eps),  AMSGrad: with the largest s so far
def adam(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    s: Tensor,
    t: int,
    lr: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    largest: Tensor | None = None,
) -> None:
    root = math.sqrt(1 - beta_2**t)
    if _FUSED_ADAM is not None and _alike(w, g, m, s):
        # One pass in place of four. torch adds its epsilon after the correction, so it's
        # divided by what the correction multiplies it with.
        _FUSED_ADAM(
            [w], [g], [m], [s], [] if largest is None else [largest],
            [torch.full((), float(t), device=w.device)],
            lr=lr, beta1=beta_1, beta2=beta_2, weight_decay=0.0, eps=epsilon / root,
            amsgrad=largest is not None, maximize=False,
        )  # fmt: skip
        return
    m.lerp_(g, 1 - beta_1)
    s.mul_(beta_2).addcmul_(g, g, value=1 - beta_2)
    if largest is not None:
        s = torch.maximum(largest, s, out=largest)
    w.addcdiv_(m, s.sqrt().add_(epsilon), value=-lr * root / (1 - beta_1**t))


# What torch.optim.Adam(fused=True) calls; some builds of torch lack it.
_FUSED_ADAM = getattr(torch, "_fused_adam_", None)


def _alike(*vectors: Tensor) -> bool:
    dtype = vectors[0].dtype
    return all(one.dtype is dtype and one.is_contiguous() for one in vectors)
