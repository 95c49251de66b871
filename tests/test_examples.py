"""Each example runs in a process of its own, and reaches what it is there to show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
#: Accuracy that each must reach: on MNIST's 8,000 images, and on scikit-learn's digits.
FLOORS = {
    "lstm_spark": (0.9, 0.8),
    "mllib_mlp": (0.9, 0.85),
    "mnist_cnn_spark": (0.95, 0.9),
    "mnist_mlp_spark": (0.9, 0.85),
    "mnist_mlp_spark_asynchronous": (0.85, 0.8),
    "mnist_mlp_spark_hogwild": (0.85, 0.8),
    "mnist_mlp_spark_synchronous": (0.85, 0.8),
    "parameter_server_alone": (0.9, 0.9),
}
HELPERS = {"images"}
ACCURACY = re.compile(
    r"^(?:\w+: )?accuracy:? (\d\.\d+)|^(?:a?synchronous|hogwild) +(\d\.\d+)", re.MULTILINE
)


@pytest.fixture
def environment(mnist_folder):
    found = {} if mnist_folder is None else {"ELEPHAS_TORCH_MNIST": str(mnist_folder)}
    return {
        **os.environ,
        **found,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }


def reached(command, folder, environment):
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = [float(plain or table) for plain, table in ACCURACY.findall(done.stdout)]
    assert found, f"no accuracy in: {done.stdout}"
    return found


def test_every_example_is_known():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*FLOORS, *HELPERS}


@pytest.mark.spark
@pytest.mark.parametrize("name", FLOORS)
def test_example(name, tmp_path, environment, mnist_folder):
    data = ["--digits"] if mnist_folder is None and name != "parameter_server_alone" else []
    command = [sys.executable, EXAMPLES / f"{name}.py", *data]
    found = reached(command, tmp_path, environment)
    assert len(found) == (3 if name == "mnist_mlp_spark" else 1)
    assert min(found) >= FLOORS[name][bool(data)]


@pytest.mark.spark
def test_example_by_spark_submit_on_the_small_data(tmp_path, environment):
    submit = Path(sys.executable).parent / "spark-submit"
    script = EXAMPLES / "mnist_mlp_spark_hogwild.py"
    command = [submit, "--driver-memory", "1G", script, "--digits"]
    environment = environment | {"PYSPARK_PYTHON": sys.executable}
    found = reached(command, tmp_path, environment)
    assert min(found) >= FLOORS["mnist_mlp_spark_hogwild"][1]
