import pytest

from elephas_torch.progress.view import Window, amount, rows_of, seen


def worker(state="active", samples=100, **progress):
    return {
        "state": state,
        "alive": state == "active",
        "samples": samples,
        "progress": progress,
    }


def status(*workers, loading=(), expected=2, staleness=None, version=0):
    return {
        "workers": {str(number): one for number, one in enumerate(workers)},
        "loading": {str(number): one for number, one in enumerate(loading)},
        "expected": expected,
        "staleness": staleness or {},
        "version": version,
    }


def at(found, rate=None, epoch=0, epochs=4):
    return seen(found, rate, epoch, epochs, 10)


def test_before_training_it_says_what_is_done():
    assert at(status()).text == "Starting 2 workers (0 of 2 there)"
    assert at(status(worker())).text == "Starting 2 workers (1 of 2 there)"
    loads = [{"rows": 1_000_000, "bytes": 1_400_000_000}, {"rows": 500_000, "bytes": 700_000_000}]
    assert at(status(loading=loads)).text == (
        "Moving rows to tensors: 2.1 GB, 1,500,000 rows (0 of 2 there)"
    )
    assert not at(status(worker(epoch=0, batch=1))).text
    assert not at(status(worker(), version=1)).text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (2.1e9, "2.1 GB"),
        (3.2e13, "32000.0 GB"),
    ],
)
def test_bytes_for_people(size, text):
    assert amount(size) == text


def test_batches_count_over_workers_that_are_at_different_epochs():
    found = status(
        worker(samples=95, epoch=1, batch=4),
        worker(samples=100, epoch=2, batch=3),  # ahead: it has done all of epoch 1
        worker(samples=50, epoch=0, batch=5),  # behind
        worker("left", samples=20, epoch=1, batch=1),
        expected=4,
    )
    view = at(found, epoch=1)
    assert (view.done, view.total) == (4 + 10 + 0 + 2, 10 + 10 + 5 + 2)
    assert (view.alive, view.workers) == (4, 4)


def test_workers_that_are_lost_are_not_counted_as_alive():
    states = ("active", "expired", "failed", "left", "empty")
    view = at(status(*(worker(one, epoch=0, batch=1) for one in states), expected=5))
    assert (view.alive, view.workers) == (3, 5)


def test_times_follow_from_the_rate():
    view = at(status(worker(epoch=1, batch=5), worker(epoch=1, batch=5)), 50.0, epoch=1)
    assert view.epoch_left == pytest.approx(2.0)  # 100 of 200 rows at 50/s
    assert view.fit_left == pytest.approx(2.0 + 2 * 4.0)
    assert at(status(worker(epoch=1))).epoch_left is None


def test_means_are_weighted_by_batches_and_of_this_epoch_alone():
    view = at(
        status(
            worker(epoch=0, batch=1, logs={"loss": 1.0, "accuracy": 0.0}),
            worker(epoch=0, batch=3, logs={"loss": 2.0}),
            worker(epoch=1, batch=9, logs={"loss": 99.0}),
        )
    )
    assert view.logs == {"loss": pytest.approx(1.75), "accuracy": 0.0}


def test_validation_begins_when_all_batches_are_done():
    one, other = worker(epoch=0, batch=10, phase="validating"), worker(epoch=0, batch=9)
    assert not at(status(one, other)).validating
    other["progress"]["batch"] = 10
    assert at(status(one, other)).validating


def test_staleness_is_the_mean_over_updates():
    found = status(worker(epoch=0, batch=1), staleness={"0": 3, "2": 1})
    assert at(found).staleness == pytest.approx(0.5)
    assert at(status(worker(epoch=0, batch=1))).staleness is None


def test_the_rate_is_that_of_the_last_seconds():
    window = Window(10)
    window.add(0, {"0": 0})
    assert window.rate() is None
    window.add(1, {"0": 1000})
    assert window.rate() == 1000
    for second in range(2, 30):
        window.add(second, {"0": 1000 + 10 * second, "1": 5 * second})
    assert window.rate() == pytest.approx(15)


def test_an_attempt_that_begins_anew_never_counts_backwards():
    window = Window()
    window.add(0, {"0": 5000})
    window.add(1, {"0": 100})
    assert window.rate() == 100
    window.add(2, {})
    assert window.rate() == 50
    assert rows_of(status(worker(rows=7), worker())) == {"0": 7, "1": 0}
