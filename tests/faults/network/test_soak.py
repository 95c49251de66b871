"""Training for a long time, while its workers are killed again and again."""

import os

import pytest


@pytest.mark.slow
def test_a_worker_is_killed_every_20_seconds(script, long):
    given = os.environ.get("ELEPHAS_TORCH_SOAK_SECONDS")
    seconds = float(given or (1800 if long else 60))
    driver = script("soak.py", seconds, 20, "asynchronous")
    undisturbed, found = driver.answer()
    assert driver.end() == []
    assert undisturbed["left"] == found["left"] == []
    assert found["kills"] >= seconds // 20 - 2
    early, late = found["sizes"][len(found["sizes"]) // 5], found["sizes"][-1]
    print(seconds, undisturbed, {name: found[name] for name in ("accuracy", "epochs", "kills")})
    for what, one, other in zip(("driver", "server"), early, late, strict=True):
        print(f"{what}: {one / 2**20:.1f} MB at 20 %, {other / 2**20:.1f} MB at the end")
        assert other < max(1.1 * one, one + (8 << 20)), what
    assert undisturbed["accuracy"] > 0.9
    assert found["accuracy"] > undisturbed["accuracy"] - 0.03
