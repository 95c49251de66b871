"""What is logged, and where: on the driver, on executors, and in the server's process."""

import logging
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

from elephas_torch import loglevel, optimizers
from elephas_torch.flat import Vectors
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential
from elephas_torch.parameter import ServerProcess, Settings
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "elephas_torch"


def level(y_true, y_pred):
    """A metric that tells the level of logging on a worker."""
    return torch.tensor(float(logging.getLogger("elephas_torch").level))


def network():
    model = Sequential([Dense(1, input_dim=3)])
    model.compile("sgd", "mse", metrics=[level])
    return model


@pytest.fixture(scope="module")
def rdd(spark_context):
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    return to_simple_rdd(spark_context, x, x.sum(1, keepdims=True), 2)


def told(caplog):
    return [one.getMessage() for one in caplog.records if one.name.startswith("elephas_torch.")]


@pytest.mark.spark
def test_a_fit_is_told_at_info(rdd, caplog, tmp_path):
    caplog.set_level("INFO", "elephas_torch")
    spark_model = SparkModel(network(), mode="synchronous", num_workers=2, batch_size=5)
    history = spark_model.fit(rdd, epochs=2, verbose=0, checkpoint_dir=tmp_path / "kept").history
    assert history["level"] == [logging.INFO] * 2  # on the workers, too
    lines = told(caplog)
    patterns = [
        r"Fit begins: 2 workers, synchronous, weights each epoch, batches of 5 rows, "
        r"epochs 1 to 2; server at http://127\.0\.0\.1:\d+\.",
        r"Worker [01] joined with 20 rows, on \S+\.",
        r"Epoch 1 of 2 ended after \d+\.\d s: level 20, loss [\d.]+\.",
        r"Epoch 2 of 2 ended after \d+\.\d s: level 20, loss [\d.]+\.",
        r"Worker [01] is done\.",
        r"Checkpoint \d+ is written to .*kept\.",
        r"Fit ended after \d+\.\d s and epoch 2\.",
    ]
    places = {
        one: [i for i, text in enumerate(lines) if re.fullmatch(one, text)] for one in patterns
    }
    assert all(places.values()), (places, lines)
    assert [len(places[one]) for one in (patterns[1], patterns[4])] == [2, 2]
    first, _, epoch, later, *_, end = [places[one][0] for one in patterns]
    assert first == 0 < epoch < later < end == len(lines) - 1


@pytest.mark.spark
def test_a_fit_is_silent_by_default(rdd, caplog):
    spark_model = SparkModel(network(), num_workers=2, batch_size=5)
    assert spark_model.fit(rdd, verbose=0).history["level"] == [logging.WARNING]
    assert told(caplog) == []


def test_the_server_s_process_logs_by_the_driver(caplog):
    initial = Vectors(torch.zeros(3), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    rule = optimizers.serialize(optimizers.SGD(0.1))
    with ServerProcess(Settings("asynchronous", initial.sizes, rule), initial) as server:
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{server.url}/status", timeout=10)
        end = time.monotonic() + 10
        while not told(caplog) and time.monotonic() < end:
            time.sleep(0.05)
    [line] = [one for one in caplog.records if one.name == "elephas_torch.parameter"]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("1 request without this run's token")


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr


CODE = """
import logging
from elephas_torch import loglevel
{before}
for _ in range(2):
    loglevel.to_stderr(logging.INFO)
logging.getLogger("elephas_torch.worker").info("here")
logging.getLogger("elephas_torch.worker").debug("not here")
logging.getLogger("other").info("not here")
assert {root} == len(logging.getLogger().handlers)
"""


def test_a_process_of_the_package_s_own_logs_to_standard_error():
    line = run(CODE.format(before="", root=0))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:,]+ INFO elephas_torch\.worker: here\n", line)


def test_handlers_of_a_process_stay():
    configured = "logging.basicConfig(format='mine: %(message)s')"
    assert run(CODE.format(before=configured, root=1)) == "mine: here\n"


def test_importing_sets_no_handler_and_no_level():
    code = (
        "import logging, elephas_torch.spark_model, elephas_torch.parameter, elephas_torch.keras\n"
        "found = [logging.getLogger(), *(logging.getLogger(n) for n in logging.root.manager."
        "loggerDict if n.startswith('elephas_torch'))]\n"
        "assert len(found) > 10\n"
        "assert not any(one.handlers for one in found), found\n"
        "assert not any(one.level for one in found[1:]), found\n"
        "logging.getLogger('elephas_torch.run').warning('is seen')"
    )
    assert run(code) == "is seen\n"


def loggers():
    """The names of the loggers in the source."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "getLogger(__name__)" in text:
            found.add(".".join(parts).removesuffix(".__init__"))
        found.update(re.findall(r'getLogger\("(elephas_torch[.\w]*)"\)', text))
    return found


def test_the_page_has_every_logger():
    page = (ROOT / "docs" / "integrations.md").read_text()
    table = page.partition("| logger |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"^\| `(elephas_torch[.\w]*)`", table, re.M))
    assert documented == loggers() | {"elephas_torch"}


def test_the_page_shows_the_form_that_executors_have():
    page = (ROOT / "docs" / "integrations.md").read_text()
    assert f'logging.basicConfig(format="{loglevel.WORKER_FORMAT}")' in page
    sample = page.partition("```\n2026")[2].partition("```")[0]
    pattern = r"(2026)?-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO elephas_torch\.\w+: \S.*"
    lines = sample.splitlines()
    assert len(lines) == 4 and all(re.fullmatch(pattern, line) for line in lines)


def test_nothing_prints_but_what_shows_progress():
    speakers = {"cli", "keras/callbacks", "keras/preprocessing", "keras/utils", "progress"}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        if re.search(r"^\s*print\(", path.read_text(), re.M):
            allowed = any(place.startswith(f"{one}/") for one in speakers)
            assert allowed or place in ("keras/progress.py", "monitor.py"), place
