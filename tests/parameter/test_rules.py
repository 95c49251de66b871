import math

import pytest
import torch

from elephas_torch import optimizers
from elephas_torch.errors import Refused
from elephas_torch.flat import Vectors
from elephas_torch.parameter import rules


def test_mean_is_weighted_by_samples():
    updates = [torch.tensor([1.0, 0.0]), torch.tensor([4.0, 8.0])]
    assert rules.mean_(updates, [1, 3]).tolist() == [0.25 + 3.0, 6.0]


def test_mean_equals_the_gradient_of_all_rows_at_once():
    torch.manual_seed(0)
    rows, weights = torch.randn(50, 7), torch.randn(7, requires_grad=True)

    def gradient(part):
        return torch.autograd.grad((part @ weights).tanh().square().mean(), weights)[0]

    parts = rows.split([10, 25, 15])
    mean = rules.mean_([gradient(part) for part in parts], [10, 25, 15])
    torch.testing.assert_close(mean, gradient(rows), rtol=1e-6, atol=1e-7)


def test_mean_of_one_is_that_one_bit_by_bit():
    update = torch.randn(1000)
    assert rules.mean_([update.clone()], [37]).equal(update)


def test_mean_lies_in_the_memory_of_the_first():
    first = torch.ones(3)
    assert rules.mean_([first, torch.zeros(3)], [1, 1]).data_ptr() == first.data_ptr()


@pytest.mark.parametrize(("tau", "factor"), [(0, 1.0), (1, 0.5), (3, 0.25), (9, 0.1)])
def test_scale_divides_by_the_versions_missed_plus_one(tau, factor):
    scaled = rules.scale_(torch.full((2,), 8.0), tau)
    assert scaled.tolist() == pytest.approx([8.0 * factor] * 2)


@pytest.mark.parametrize("tau", [0, 1, 2, 9])
@pytest.mark.parametrize("in_place", [True, False])
def test_plain_sgd_is_scaling_and_then_a_step(tau, in_place):
    w, update = torch.randn(1000), torch.randn(1000)
    stepped, scaled = w.clone(), rules.scale_(update.clone(), tau)
    optimizers.SGD(0.3).step(stepped, scaled)
    out, before = (w if in_place else torch.empty(1000)), update.clone()
    rules.plain_sgd(w, update, 0.3, tau, out)
    torch.testing.assert_close(out, stepped, rtol=1e-6, atol=1e-7)
    assert update.equal(before) and (tau or out.equal(stepped))


@pytest.mark.parametrize("length", [1000, 2_500_000])
@pytest.mark.parametrize(
    ("spoiled", "finite"),
    [
        ([], True),
        ([math.nan], False),
        ([math.inf, -math.inf], False),
        ([-math.inf], False),
        ([3e38, 3e38, 3e38], True),  # whose sum isn't finite
    ],
)
def test_plain_sgd_that_looks_at_what_it_takes(length, spoiled, finite):
    w, update, out, known = (torch.randn(length) for _ in range(4))
    update[length - len(spoiled) :] = torch.tensor(spoiled)
    assert rules.plain_sgd_if_finite(w, update, 0.3, 2, out) is finite
    rules.plain_sgd(w, update, 0.3, 2, known)
    assert not finite or out.equal(known)


@pytest.mark.parametrize(
    ("optimizer", "plain"),
    [
        (optimizers.SGD(0.1), True),
        (optimizers.SGD(0.1, momentum=0.5), False),
        (optimizers.SGD(0.1, decay=0.5), False),
        (optimizers.SGD(0.1, weight_decay=0.5), False),
        (optimizers.SGD(0.1, use_ema=True), False),
        (optimizers.SGD(0.1, loss_scale_factor=2.0), False),
        (optimizers.SGD(0.1, gradient_accumulation_steps=2), False),
        (optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)), False),
        (optimizers.SGD(0.1, clipnorm=0.5), False),
        (optimizers.SGD(0.1, clipvalue=0.5), False),
        (optimizers.SGD(0.1, global_clipnorm=0.5), False),
        (optimizers.DiLoCo(), False),
        (optimizers.Adam(), False),
        (type("Mine", (optimizers.SGD,), {})(0.1), False),
    ],
)
def test_only_sgd_without_anything_more_is_plain(optimizer, plain):
    assert rules.is_plain_sgd(optimizer) == plain


def test_weighted_state_leaves_the_shares_alone():
    shares = [(1, torch.tensor([0.0])), (3, torch.tensor([4.0]))]
    assert rules.weighted_state(shares).tolist() == [3.0]
    assert [state.item() for _, state in shares] == [0.0, 4.0]


def test_counters_take_the_largest():
    counters = torch.tensor([5, 1])
    rules.raise_counters_(counters, [torch.tensor([2, 9]), torch.tensor([4, 3])])
    assert counters.tolist() == [5, 9]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [0, 500, 999])
def test_one_bad_element_is_found(bad, where):
    vector = torch.ones(1000)
    vector[where] = bad
    assert not rules.is_finite(vector)


def test_infinities_that_cancel_out_are_found():
    assert not rules.is_finite(torch.tensor([math.inf, -math.inf, 1.0]))


def test_large_numbers_whose_sum_overflows_are_finite():
    assert rules.is_finite(torch.full((10,), 3e38))


def test_a_refused_update_says_what_to_do():
    update = Vectors(torch.tensor([1.0, math.nan]), torch.zeros(0), torch.zeros(0).long())
    with pytest.raises(Refused, match=r"non-finite: 1 of 2 .* parameters.*learning rate"):
        rules.check_finite(update)


def test_bad_moving_statistics_are_refused_too():
    update = Vectors(torch.ones(2), torch.tensor([math.inf]), torch.zeros(0).long())
    with pytest.raises(Refused, match=r"non-finite: 1 of 1 .* state"):
        rules.check_finite(update)
