"""Random tensors. Follows https://keras.io/api/random/

`seed` is an integer (the same numbers each time), a `SeedGenerator` (other numbers each time, the
same ones in each program), or None: torch's own generator, which `keras.utils.set_random_seed`
sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elephas_torch.keras import batches, naming
from elephas_torch.keras.dtypes import tensor, torch_dtype
from elephas_torch.keras.ops.axes import one_axis

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint",
    "shuffle", "truncated_normal", "uniform",
]  # fmt: skip

_SEEDS = 2**32
_moment: int | None = None


def moment() -> int | None:
    """What `at` was told last."""
    return _moment


def at(moment: int | None) -> None:
    """From here on, what has a seed of its own draws from that seed and this number: who goes on
    from there in another process draws the same. None: it goes on with its numbers, as it does by
    itself."""
    global _moment
    _moment = moment


class SeedGenerator:
    """Gives another seed each time, in the same order in each program.

    Args:
        seed: where to begin; None takes a random one.
        name: default seed_generator, seed_generator_1 …

    Raises:
        ValueError: the seed is no integer.

    Example::

        seeds = SeedGenerator(42)
        normal((2, 3), seed=seeds)  # other numbers
        normal((2, 3), seed=seeds)  # than these
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise ValueError(f"SeedGenerator: `seed` must be an integer. Received: seed={seed!r}")
        self._initial_seed = seed
        self.name = name or naming.auto_name("seed_generator")
        self.seed = int(torch.randint(2**31, ()).item()) if seed is None else seed
        self.count = 0
        self._moment: int | None = None

    def next(self, ordered: bool = True) -> Tensor:
        """Returns the seed and how many were given before: int64 (2,).

        Args:
            ordered: taken, and of no use here.
        """
        seed = self.seed
        if _moment is not None:
            # Mixed: of neighbours one moment's second draw would be the next one's first.
            seed = batches.mix(seed, _moment) % _SEEDS
            self.count, self._moment = self.count if _moment == self._moment else 0, _moment
        state = torch.tensor([seed, self.count])
        self.count += 1
        return state

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        return cls(**config)


def _drawn(seed: Any) -> int | None:
    """The number to seed a generator with; None for torch's own."""
    if seed is None:
        return None
    if isinstance(seed, SeedGenerator):
        return int(seed.next().sum()) % _SEEDS
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(
            "`seed` must be an integer, a keras.random.SeedGenerator or None. "
            f"Received: seed={seed!r}"
        )
    return seed % _SEEDS


def _generator(seed: Any, device: Any = None) -> torch.Generator | None:
    number = _drawn(seed)
    if number is None or (device is not None and torch.device(device).type == "meta"):
        return None
    return torch.Generator(device or torch.get_default_device()).manual_seed(number)


@contextmanager
def _seeded(seed: Any) -> Iterator[None]:
    """torch's own generator seeded for a while, for what takes no other."""
    number = _drawn(seed)
    if number is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(number)
        yield


def _shape(value: Any) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(int(n) for n in value)


def normal(
    shape: Sequence[int], mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers of a normal distribution.

    Args:
        dtype: a float type; default `config.floatx()`.
    """
    found = torch.randn(_shape(shape), generator=_generator(seed), dtype=torch_dtype(dtype))
    return found * stddev + mean


def truncated_normal(
    shape: Sequence[int], mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """`normal`, where numbers further than two deviations from the mean are drawn again."""
    found = torch.empty(_shape(shape), dtype=torch_dtype(dtype))
    torch.nn.init.trunc_normal_(found, 0.0, 1.0, -2.0, 2.0, generator=_generator(seed))
    return found * stddev + mean


def uniform(
    shape: Sequence[int],
    minval: Any = 0.0,
    maxval: Any = 1.0,
    dtype: Any = None,
    seed: Any = None,
) -> Tensor:
    """Numbers from `minval` to below `maxval`, all as likely."""
    found = torch.rand(_shape(shape), generator=_generator(seed), dtype=torch_dtype(dtype))
    return found * (maxval - minval) + minval


def randint(
    shape: Sequence[int], minval: int, maxval: int, dtype: Any = "int32", seed: Any = None
) -> Tensor:
    """Whole numbers from `minval` to below `maxval`, all as likely."""
    kind = torch_dtype(dtype)
    return torch.randint(minval, maxval, _shape(shape), generator=_generator(seed), dtype=kind)


def categorical(logits: Tensor, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Classes drawn with the probabilities softmax(logits).

    Args:
        logits: (batch, classes).

    Returns:
        (batch, num_samples).
    """
    logits = tensor(logits)
    chances = torch.softmax(logits, -1)
    generator = _generator(seed, logits.device)
    return torch.multinomial(chances, num_samples, True, generator=generator).to(torch_dtype(dtype))


def dropout(
    inputs: Any, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None
) -> Tensor:
    """The inputs, each 0 with the probability `rate`, the others scaled to keep the sum.

    Args:
        noise_shape: the shape of what is drawn, which broadcasts: an axis of 1 is dropped as a
            whole; None is the inputs' length.

    Raises:
        ValueError: the rate isn't from 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout: `rate` must be a number from 0 to 1. Received: rate={rate}")
    inputs = tensor(inputs)
    if rate == 0:
        return inputs
    if rate == 1:
        return torch.zeros_like(inputs)
    if noise_shape is None and seed is None:
        return F.dropout(inputs, rate)
    lengths = noise_shape or [None] * inputs.ndim
    shape = [own if n is None else n for n, own in zip(lengths, inputs.shape, strict=True)]
    chances = torch.full(shape, 1 - rate, device=inputs.device)
    kept = torch.bernoulli(chances, generator=_generator(seed, inputs.device))
    return torch.where(kept.bool(), inputs / (1 - rate), 0.0)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """The parts along an axis in random order."""
    x = tensor(x)
    axis = one_axis(x.ndim, axis)
    generator = _generator(seed, x.device)
    order = torch.rand(x.shape[axis], generator=generator, device=x.device).argsort()
    return torch.index_select(x, axis, order)


def gamma(shape: Sequence[int], alpha: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers of a gamma distribution of shape `alpha` and scale 1."""
    kind = torch_dtype(dtype)
    alphas = tensor(alpha, kind).expand(_shape(shape))
    with _seeded(seed):
        return torch.distributions.Gamma(alphas, torch.ones_like(alphas)).sample()


def beta(
    shape: Sequence[int], alpha: Any, beta: Any, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Numbers of a beta distribution."""
    kind = torch_dtype(dtype)
    alphas, betas = (tensor(one, kind).expand(_shape(shape)) for one in (alpha, beta))
    with _seeded(seed):
        return torch.distributions.Beta(alphas, betas).sample()


def binomial(
    shape: Sequence[int], counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None
) -> Tensor:
    """How many of `counts` trials succeed, each with one of the `probabilities`."""
    kind = torch_dtype(dtype)
    trials, chances = (tensor(one, kind).expand(_shape(shape)) for one in (counts, probabilities))
    with _seeded(seed):
        return torch.distributions.Binomial(trials, chances).sample()
