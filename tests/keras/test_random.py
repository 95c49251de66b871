"""Random tensors: Keras's where both draw alike, else by their statistics."""

import keras
import pytest
import torch

from elephas_torch.keras import layers, random
from elephas_torch.keras.utils import set_random_seed

SAME = [
    ("normal", (3, 4), 1.0, 2.0), ("uniform", (3, 4), -1.0, 2.0), ("uniform", ()),
    ("randint", (3, 4), 2, 9), ("gamma", (3,), 2.0), ("beta", (3,), 2.0, 3.0),
    ("binomial", (3,), 10.0, 0.3), ("binomial", (2,), [5.0, 9.0], 0.5),
]  # fmt: skip
ALL = [*SAME, ("truncated_normal", (3, 4))]


@pytest.mark.parametrize("case", SAME, ids=str)
@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_keras_s_numbers(case, seed):
    name, *args = case
    ours, theirs = (getattr(m, name)(*args, seed=seed) for m in (random, keras.random))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_seeds(case):
    name, *args = case
    draw = getattr(random, name)
    assert torch.equal(draw(*args, seed=3), draw(*args, seed=3))
    one, other = random.SeedGenerator(3), random.SeedGenerator(3)
    several = [torch.as_tensor(draw(*args, seed=one)).clone() for _ in range(4)]
    assert any(not torch.equal(several[0], later) for later in several[1:])
    assert all(torch.equal(draw(*args, seed=other), before) for before in several)
    set_random_seed(5)
    first = draw(*args)
    set_random_seed(5)
    assert torch.equal(first, draw(*args))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_seed_leaves_torch_s_own_generator_alone(case):
    name, *args = case
    before = torch.get_rng_state()
    getattr(random, name)(*args, seed=3)
    assert torch.equal(before, torch.get_rng_state())


def test_seed_generators_give_keras_s_numbers():
    ours, theirs = random.SeedGenerator(42), keras.random.SeedGenerator(42)
    for _ in range(3):
        torch.testing.assert_close(
            random.normal((4,), seed=ours), keras.random.normal((4,), seed=theirs)
        )
    assert random.SeedGenerator(42, name="s").get_config() == {"seed": 42, "name": "s"}
    again = random.SeedGenerator.from_config({"seed": 42, "name": "s"})
    assert again.next().tolist() == [42, 0] and again.next().tolist() == [42, 1]
    assert random.SeedGenerator().get_config()["seed"] is None


@pytest.fixture
def at():
    yield random.at
    random.at(None)


def test_what_has_a_seed_draws_the_same_from_the_same_moment_on(at):
    layer, seeds = layers.Dropout(0.5, seed=3), random.SeedGenerator(3)

    def draws(layer, seeds):
        ones = torch.ones(50)
        return [*(layer(ones, training=True) for _ in range(2)),
                *(random.normal((50,), seed=seeds) for _ in range(2))]  # fmt: skip

    draws(layer, seeds)
    found = []
    for moment in (7, 8):
        at(moment)
        found += draws(layer, seeds)
    assert not any(torch.equal(a, b) for n, a in enumerate(found) for b in found[:n])
    other, more = layers.Dropout(0.5, seed=3), random.SeedGenerator(3)
    at(8)
    assert all(map(torch.equal, draws(other, more), found[4:]))


def test_truncated_normals_stay_within_two_deviations():
    x = random.truncated_normal((20000,), 1.0, 0.5, seed=1)
    assert x.min() >= 0 and x.max() <= 2
    assert abs(x.mean() - 1) < 0.01 and abs(x.std() - 0.44) < 0.01


def test_categorical():
    logits = torch.tensor([[0.0, 0.0], [-1e9, 0.0]])
    ours = random.categorical(logits, 5, seed=1)
    assert ours.dtype is torch.int32 and ours[1].tolist() == [1] * 5
    assert torch.equal(ours, keras.random.categorical(logits, 5, seed=1))


@pytest.mark.parametrize("noise_shape", [None, (4, 1), (None, 1)])
def test_dropout(noise_shape):
    x = torch.rand(4, 5) + 1
    ours = random.dropout(x, 0.4, noise_shape, seed=2)
    theirs = keras.random.dropout(x, 0.4, noise_shape, seed=2)
    torch.testing.assert_close(ours, theirs)
    kept = random.dropout(torch.ones(10000), 0.25)
    assert kept.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert abs(kept.mean() - 1) < 0.05
    assert torch.equal(random.dropout(x, 0), x) and not random.dropout(x, 1).any()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_shuffles_keep_the_parts_together(axis):
    x = torch.arange(24).reshape(4, 6)
    found = random.shuffle(x, axis, seed=3)
    other = 1 - axis % 2
    assert torch.equal(found.sort(axis % 2).values, x) and not torch.equal(found, x)
    steps = found.diff(dim=other)
    assert (steps == (6 if axis == 1 or axis == -1 else 1)).all()


@pytest.mark.parametrize("seed", [1.5, "a", True])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match="seed="):
        random.normal((2,), seed=seed)
    with pytest.raises(ValueError, match="seed="):
        random.SeedGenerator(seed)


def test_a_bad_rate():
    with pytest.raises(ValueError, match=r"rate=1\.5"):
        random.dropout(torch.ones(2), 1.5)
