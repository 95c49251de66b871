"""Which room imports which: see docs/architecture.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "elephas_torch"

#: From the ground up: a module uses its own floor's room and the floors below.
FLOORS = [
    ["_version", "constraints", "errors", "flat", "loglevel", "optimizers", "page"],
    ["keras", "parameter"],
    [
        "allreduce",
        "arrow",
        "cluster",
        "data",
        "device",
        "disk",
        "exchange",
        "forms",
        "heartbeat",
        "keeping",
        "meeting",
        "memory",
        "moving",
        "overlap",
        "passage",
        "pile",
        "plan",
        "preflight",
        "skipping",
        "staging",
        "stepping",
        "store",
        "tally",
        "task",
        "team",
        "worker",
    ],
    [
        "arguments",
        "checkpoints",
        "classic",
        "config",
        "connect",
        "epochs",
        "files",
        "frames",
        "gangs",
        "idle",
        "heads",
        "inference",
        "jobs",
        "journal",
        "options",
        "partitions",
        "persisted",
        "progress",
        "rates",
        "signature",
        "slots",
        "sources",
        "spark_model",
        "mllib_model",
        "monitor",
        "showing",
        "telling",
        "ml_model",
        "recovery",
        "run",
        "servers",
        "scorer",
        "scoring",
        "utils",
        "ml",
        "mllib",
    ],
    ["cli", "__main__"],
]
ROOMS = {room: number for number, floor in enumerate(FLOORS) for room in floor}
#: Rooms on one floor that must not know each other.
STRANGERS = {"keras", "parameter"}
WITHOUT_SPARK = {*FLOORS[0], *FLOORS[1], "progress"}
HTTP = {"aiohttp", "fastapi", "http", "httpx", "requests", "starlette", "urllib", "uvicorn"}
#: Web frameworks: they cost half a second, and executors don't need them.
FRAMEWORKS = {"fastapi", "starlette", "uvicorn"}
DOWNLOADS = {"keras.datasets", "keras.utils"}
#: What only the server's own process imports.
SERVER = {
    "parameter.server",
    "parameter.protocol",
    "parameter.http",
    "parameter.routes",
    "parameter.watching",
}


def is_typing_only(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree, inside=False):
    """Yields (module, whether it is imported at once) for each import below a node."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, not inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide from this test"
            yield node.module, not inside
            yield from ((f"{node.module}.{alias.name}", not inside) for alias in node.names)
        elif not is_typing_only(node):
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, inside or function)


def forbidden(module, target, at_once):
    """Why `module` (named without the package) must not import `target`; None if it may."""
    room = module.split(".")[0]
    outside = target.split(".")[0]
    if outside == "pyspark" and room in WITHOUT_SPARK:
        return "works without Spark"
    downloads = ".".join(module.split(".")[:2]) in DOWNLOADS
    if outside in HTTP and room == "keras" and not (downloads and outside in ("http", "urllib")):
        return "knows nothing of HTTP"
    inside_server = target.removeprefix("elephas_torch.") in SERVER
    if (outside in FRAMEWORKS or inside_server) and at_once and module not in SERVER:
        return "must not load a web framework when it is imported"
    if outside != "elephas_torch" or "." not in target:
        return None
    other = target.split(".")[1]
    if other not in ROOMS:
        return "is no known room: give it a floor here"
    if ROOMS[other] > ROOMS[room]:
        return "lies below it"
    if room != other and {room, other} <= STRANGERS:
        return "doesn't know it"
    return None


def violations(package):
    """Lines "module -> imported: why not" for all arrows that are wrong."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__" or len(parts) == 1)
        if module == "__init__":
            continue
        if module.split(".")[0] not in ROOMS:
            found.append(f"{module} is in no known room: give it a floor here")
            continue
        for target, at_once in imports(ast.parse(path.read_text())):
            why = forbidden(module, target, at_once)
            if why is not None:
                found.append(f"{module} -> {target}: {module} {why}")
    return found


def test_rooms_use_only_what_lies_below():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("path", "line", "wrong"),
    [
        ("keras/models.py", "import pyspark", True),
        ("keras/models.py", "from pyspark import SparkContext", True),
        ("keras/models.py", "def f():\n    from pyspark import RDD", True),
        ("parameter/state.py", "from pyspark.sql import Row", True),
        ("flat.py", "import pyspark", True),
        ("optimizers.py", "if True:\n    import pyspark", True),
        ("keras/models.py", "from elephas_torch.parameter import Client", True),
        ("keras/models.py", "from elephas_torch import parameter", True),
        ("keras/models.py", "import http.client", True),
        ("keras/models.py", "import urllib.request", True),
        ("keras/datasets/mnist.py", "def f():\n    import urllib.request", False),
        ("keras/datasets/mnist.py", "import fastapi", True),
        ("parameter/rules.py", "from elephas_torch.keras import losses", True),
        ("parameter/rules.py", "from elephas_torch import errors, spark_model", True),
        ("parameter/process.py", "import uvicorn", True),
        ("parameter/process.py", "def f():\n    import uvicorn", False),
        ("parameter/server.py", "import fastapi", False),
        ("parameter/client.py", "from elephas_torch.parameter import server", True),
        ("parameter/client.py", "from elephas_torch.parameter.server import make_app", True),
        ("parameter/server.py", "from elephas_torch.parameter import protocol", False),
        ("worker.py", "import fastapi", True),
        ("worker.py", "from elephas_torch.parameter import Client\nimport pyspark", False),
        ("worker.py", "from elephas_torch.spark_model import SparkModel", True),
        ("errors.py", "import elephas_torch.flat", False),
        ("mllib/adapter.py", "from pyspark.mllib.linalg import Vectors", False),
        ("spark_model.py", "from elephas_torch import keras, data, worker", False),
        ("spark_model.py", "from elephas_torch import nowhere", True),
        ("nowhere.py", "import os", True),
        ("keras/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING: import pyspark", False),
    ],
)
def test_wrong_arrows_are_found(tmp_path, path, line, wrong):
    planted = tmp_path / path
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(line + "\n")
    assert bool(violations(tmp_path)) is wrong


UNPICKLERS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "copyreg"}


def unpickling(package):
    """Lines of modules that could unpickle something. What Spark itself pickles is Spark's."""
    found = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                names.append(getattr(node, "module", None) or "")
                wrong = {name.split(".")[0] for name in names} & UNPICKLERS
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                allowed = any(
                    keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
                    for keyword in node.keywords
                )
                wrong = called in ("torch.load", "torch.jit.load") or allowed
            else:
                continue
            if wrong:
                found.append(f"{path.name}: {ast.unparse(node)}")
    return found


def test_nothing_unpickles():
    # Lambda layers, as Keras saves them: for `safe_mode=False` alone.
    assert unpickling(PACKAGE) == ["code.py: import marshal"]


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "def f(data):\n    import _pickle as p",
        "np.load(file, allow_pickle=True)",
        "np.lib.format.read_array(file, allow_pickle=wanted)",
        "torch.load(file, weights_only=True)",
    ],
)
def test_what_could_unpickle_is_found(tmp_path, line):
    (tmp_path / "module.py").write_text(line + "\n")
    assert len(unpickling(tmp_path)) == 1


def loaded_by(statement):
    code = f"import sys\n{statement}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_rooms_below_spark_load_neither_spark_nor_a_web_framework():
    rooms = ("keras.models", "optimizers", "flat", "parameter")
    loaded = loaded_by("import " + ", ".join(f"elephas_torch.{room}" for room in rooms))
    assert "torch" in loaded
    assert not loaded & {"pyspark", *FRAMEWORKS}


def test_workers_load_neither_a_web_framework_nor_pandas():
    loaded = loaded_by("import elephas_torch.task, elephas_torch.spark_model")
    assert "pyspark" in loaded
    assert not loaded & {"pandas", *FRAMEWORKS}


def test_the_package_alone_loads_nothing_large():
    assert not loaded_by("import elephas_torch") & {"torch", "pyspark", "numpy", *FRAMEWORKS}
