"""Layers, losses and optimizers where weights and batches are on a device that isn't the CPU.

The device is made up: its tensors have shapes and dtypes, no elements, and torch refuses to mix
them with the CPU's. So what makes a tensor and doesn't say where is found, without a GPU.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

HERE = Path(__file__).parent


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch can't make devices up",
)
def test_nothing_is_made_on_the_cpu():
    done = subprocess.run(
        [sys.executable, HERE / "on_device.py"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name: error for name, error in found.items() if error} == {}
    assert len(found) > 40
