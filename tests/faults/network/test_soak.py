"""Training for a long time, while its workers are killed again and again."""

import os

import pytest
from footprint import check_flat


@pytest.mark.slow
def test_a_worker_is_killed_every_20_seconds(script, long, tried):
    given = os.environ.get("ELEPHAS_TORCH_SOAK_SECONDS")
    seconds = float(given or (1800 if long else 60))
    driver = script("soak.py", seconds, 20, "asynchronous")
    undisturbed, found = driver.answer()
    assert driver.end() == []
    assert undisturbed["left"] == found["left"] == []
    assert found["kills"] >= seconds // 20 - 2
    print(seconds, undisturbed, {name: found[name] for name in ("accuracy", "epochs", "kills")})
    memory = "; ".join(
        check_flat(what, sizes, seconds, 8 << 20)
        for what, sizes in zip(("driver", "server"), zip(*found["sizes"], strict=True), strict=True)
    )
    print(memory)
    tried(f"a soak on digits, {seconds:g} s, a worker killed every 20 s", "asynchronous",
          f"accuracy {found['accuracy']:.3f}, undisturbed {undisturbed['accuracy']:.3f}; {memory}; "
          "nothing left", f"{found['kills']} kills, {found['epochs']:,} epochs")  # fmt: skip
    assert undisturbed["accuracy"] > 0.9
    assert found["accuracy"] > undisturbed["accuracy"] - 0.03
