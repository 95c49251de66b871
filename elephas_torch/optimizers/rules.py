"""The update rules: short functions that change flat vectors in place.

Each has its equation above it: w weights, g gradient, lr learning rate, t steps done including
this one.
"""

from __future__ import annotations

import math
from typing import Any

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
# AdamW: first w <- (1 - lr decay) w
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
    decay: float = 0.0,
) -> None:
    root = math.sqrt(1 - beta_2**t)
    if _FUSED_ADAM is not None and _alike(w, g, m, s):
        # One pass in place of four. torch adds its epsilon after the correction, so it's
        # divided by what the correction multiplies it with.
        fused = _FUSED_ADAMW if decay else _FUSED_ADAM
        fused(
            [w], [g], [m], [s], [] if largest is None else [largest],
            [torch.full((), float(t), device=w.device)],
            lr=lr, beta1=beta_1, beta2=beta_2, weight_decay=decay, eps=epsilon / root,
            amsgrad=largest is not None, maximize=False,
        )  # fmt: skip
        return
    if decay:
        w.mul_(1 - lr * decay)
    m.lerp_(g, 1 - beta_1)
    s.mul_(beta_2).addcmul_(g, g, value=1 - beta_2)
    if largest is not None:
        s = torch.maximum(largest, s, out=largest)
    w.addcdiv_(m, s.sqrt().add_(epsilon), value=-lr * root / (1 - beta_1**t))


# m <- b1 m + (1 - b1) g;  u <- max(b2 u, |g|);  w <- w - lr / (1 - b1^t)  m / (u + eps)
def adamax(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    u: Tensor,
    t: int,
    lr: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    m.lerp_(g, 1 - beta_1)
    torch.maximum(u.mul_(beta_2), g.abs(), out=u)
    w.addcdiv_(m, u + epsilon, value=-lr / (1 - beta_1**t))


# m, s as Adam's;  b(t) = b1 (1 - 0.96^t / 2);  p = b(1) b(2) … b(t)
# w <- w - lr (b(t+1) m / (1 - p b(t+1)) + (1 - b(t)) g / (1 - p)) / (sqrt(s / (1 - b2^t)) + eps)
def nadam(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    s: Tensor,
    t: int,
    product: float,
    lr: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    now, later = nadam_beta(t, beta_1), nadam_beta(t + 1, beta_1)
    m.lerp_(g, 1 - beta_1)
    s.mul_(beta_2).addcmul_(g, g, value=1 - beta_2)
    scale = s.div(1 - beta_2**t).sqrt_().add_(epsilon)
    w.addcdiv_(m, scale, value=-lr * later / (1 - product * later))
    w.addcdiv_(g, scale, value=-lr * (1 - now) / (1 - product))


def nadam_beta(t: int, beta_1: float) -> float:
    return beta_1 * (1 - 0.5 * 0.96**t)


# w <- w - lr sign(b1 m + (1 - b1) g);  m <- b2 m + (1 - b2) g
def lion(w: Tensor, g: Tensor, m: Tensor, lr: float, beta_1: float, beta_2: float) -> None:
    w.add_(m.mul(beta_1).add_(g, alpha=1 - beta_1).sign_(), alpha=-lr)
    m.mul_(beta_2).add_(g, alpha=1 - beta_2)


# n = s + g^2;  z <- z + g + 2 shrinkage w - (n^-p - s^-p) / lr  w;  s <- n
# w <- (clip(z, -l1, l1) - z) / (n^-p / lr + 2 l2 + beta / lr)
def ftrl(
    w: Tensor,
    g: Tensor,
    s: Tensor,
    z: Tensor,
    lr: float,
    power: float,
    l1: float,
    l2: float,
    shrinkage: float,
    beta: float,
) -> None:
    before = s.pow(-power)
    after = s.addcmul_(g, g).pow(-power)
    z.add_(g).add_(w, alpha=2 * shrinkage)
    z.addcmul_(after - before, w, value=-1 / lr)
    scale = after.div_(lr).add_(2 * l2 + beta / lr)
    torch.div(z.clamp(-l1, l1).sub_(z), scale, out=w)


# s <- b2 s + (1 - b2) g^2;  z' = z - lr g / (sqrt(s / (1 - b2^t)) + eps)
# x = (w - (1 - b1) z) / b1;  x <- x + (z' - x) / t;  w <- (1 - b1) z' + b1 x
def schedule_free(
    w: Tensor,
    g: Tensor,
    z: Tensor,
    s: Tensor,
    t: int,
    lr: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    s.mul_(beta_2).addcmul_(g, g, value=1 - beta_2)
    x = w.sub(z, alpha=1 - beta_1).div_(beta_1)
    z.addcdiv_(g, s.div(1 - beta_2**t).sqrt_().add_(epsilon), value=-lr)
    x.lerp_(z, 1 / t)
    torch.lerp(z, x, beta_1, out=w)


# What torch.optim.Adam(fused=True) calls; some builds of torch lack it.
_FUSED_ADAM: Any = getattr(torch, "_fused_adam_", None)
_FUSED_ADAMW: Any = getattr(torch, "_fused_adamw_", None)


def _alike(*vectors: Tensor) -> bool:
    dtype = vectors[0].dtype
    return all(one.dtype is dtype and one.is_contiguous() for one in vectors)
