"""Layers, losses and optimizers where weights and batches are on a device that isn't the CPU.

The device is made up: its tensors have shapes and dtypes, no elements, and torch refuses to mix
them with the CPU's. So what makes a tensor and doesn't say where is found, without a GPU.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import backend_registration

from elephas_torch.keras import metrics
from elephas_torch.keras.compiled_metrics import Running
from elephas_torch.keras.dtypes import widest
from tests.keras.metrics import test_parity

HERE = Path(__file__).parent
#: What is never read at a batch.
MEANS = {
    name
    for name, one in vars(metrics).items()
    if isinstance(one, type) and issubclass(one, metrics.Mean)
}


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
    assert len(found) > 70


def test_every_layer_of_the_docs_is_in_a_family():
    text = (HERE.parents[1] / "docs" / "layers.md").read_text()
    families = (HERE.parent / "families.py").read_text()
    names = set(re.findall(r"^\| `([A-Z]\w+)\(", text, re.MULTILINE))
    missing = {name for name in names if not re.search(rf"layers\.{name}\b", families)}
    # Neither computes: what others extend, and a row's shape, which `Input` says too.
    assert missing == {"Wrapper", "InputLayer", "InputSpec"}


@pytest.mark.parametrize(("name", "options", "kind"), test_parity.CASES)
def test_metrics_count_where_predictions_are(name, options, kind):
    """On a device without elements: what is read, and bins, need some."""
    read = "Cannot copy out of meta|aten::bincount"
    for weight in (None, test_parity.weights(name).to("meta")):
        metric, batch = getattr(metrics, name)(**options), test_parity.data(kind)
        try:
            metric.update_state(*(one.to("meta") for one in batch), sample_weight=weight)
        except NotImplementedError as error:
            assert name not in MEANS and re.search(read, str(error))
        else:
            assert {one.device.type for one in metric.variables} == {"meta"}


def test_sums_on_macs_are_of_float32():
    assert widest(torch.device("mps")) == torch.float32
    assert widest(torch.device("cuda")) == torch.float64


def test_single_losses_are_added_up_where_they_are():
    tracker = Running("loss")
    for _ in range(2):
        tracker.add(torch.ones((), device="meta"), 4)
    assert tracker.count == 8 and tracker.total.device.type == "meta"
    tracker.reset_state()
    tracker.add(torch.tensor(3.0), 4)
    assert tracker.total == 12 and tracker.result() == 3
