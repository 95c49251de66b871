"""Each example runs, and reaches what it is there to show."""

import json
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
#: These start Spark or processes in a way of their own; others do it only in the slow tests.
ALONE = ["mnist_mlp_spark", "parameter_server_alone"]
#: Accuracy or r2 of those that run in one process, one behind the other, on small data.
TOGETHER = {
    **{f"{name}.py": floor for name, (_, floor) in FLOORS.items() if name not in ALONE},
    "ml_mlp_classification.py": 0.85,
    "ml_mlp_regression.py": 0.3,
    "ml_pipeline.py": 0.9,
    "ml_cross_validation.py": 0.9,
    "streaming_scoring.py": 0.8,
    "Getting_Started.ipynb": 0.85,
    "Monitoring.ipynb": 0.85,
    "Spark_ML_Pipeline.ipynb": 0.85,  # stops Spark in the end
}
HELPERS = {"images"}
ACCURACY = re.compile(
    r"^(?:\w+: )?(?:accuracy|r2):? (\d\.\d+)|^(?:a?synchronous|hogwild) +(\d\.\d+)", re.MULTILINE
)
#: Runs scripts and notebooks as Python and Jupyter do, but for one session of Spark for all.
RUNNER = """
import json, runpy, sys, traceback
from pathlib import Path

folder, paths, sys.argv[1:] = sys.argv[1], sys.argv[2].split(), sys.argv[3:]
sys.path.insert(0, folder)
for path in paths:
    print(f"== {path}", flush=True)
    try:
        if path.endswith(".py"):
            runpy.run_path(f"{folder}/{path}", run_name="__main__")
            continue
        names = {"__name__": "__main__"}
        for cell in json.loads(Path(folder, path).read_text())["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
"""


@pytest.fixture(scope="module")
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
    scripts = {f"{name}.py" for name in (*FLOORS, *HELPERS)}
    assert {path.name for path in EXAMPLES.glob("*.*")} == {*scripts, *TOGETHER}


def test_notebooks_are_kept_without_outputs():
    for path in EXAMPLES.glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.spark
@pytest.mark.parametrize(
    "name",
    [*ALONE, *(pytest.param(one, marks=pytest.mark.slow) for one in FLOORS if one not in ALONE)],
)
def test_example(name, tmp_path, environment, mnist_folder):
    data = ["--digits"] if mnist_folder is None and name != "parameter_server_alone" else []
    command = [sys.executable, EXAMPLES / f"{name}.py", *data]
    found = reached(command, tmp_path, environment)
    assert len(found) == (3 if name == "mnist_mlp_spark" else 1)
    assert min(found) >= FLOORS[name][bool(data)]


@pytest.fixture(scope="module")
def printed(environment, tmp_path_factory):
    """Name -> what each of TOGETHER printed, and its traceback where it failed."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-c", RUNNER, str(EXAMPLES), " ".join(TOGETHER), "--digits"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not list(folder.iterdir()), "examples leave nothing behind"
    _, *parts = re.split(r"^== (.+)\n", done.stdout, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.spark
@pytest.mark.parametrize("name", TOGETHER)
def test_example_in_one_process(name, printed):
    found = [float(plain or table) for plain, table in ACCURACY.findall(printed[name])]
    assert len(found) == 1, printed[name]
    assert found[0] >= TOGETHER[name]


@pytest.mark.spark
def test_example_by_spark_submit_on_the_small_data(tmp_path, environment):
    submit = Path(sys.executable).parent / "spark-submit"
    script = EXAMPLES / "mnist_mlp_spark_hogwild.py"
    command = [submit, "--driver-memory", "1G", script, "--digits"]
    environment = environment | {"PYSPARK_PYTHON": sys.executable}
    found = reached(command, tmp_path, environment)
    assert min(found) >= FLOORS["mnist_mlp_spark_hogwild"][1]
