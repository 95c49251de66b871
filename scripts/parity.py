"""Writes the tables of docs/parity.md: runs the tests that hold us beside Keras, and looks on.

    python scripts/parity.py [PAGE] [FAMILY ...]

It needs the `test` extra. Whatever a test compares with Keras is counted under the name of what is
compared, with the arguments that Keras's was made with. The part of the page above the mark stays.
Ends with 1 where a test fails.
"""

import functools
import inspect
import os
import sys
from collections import defaultdict
from pathlib import Path
from types import FunctionType

os.environ["KERAS_BACKEND"] = "torch"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hypothesis
import numpy as np
import pytest
import torch

from elephas_torch.keras import layers

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "keras"
PAGE = ROOT / "docs" / "parity.md"
MARK = "<!-- What follows is written by scripts/parity.py. -->\n"
#: Family -> its tests, and what is true of all of them.
FAMILIES = {
    "Layers": ("layers", "Outputs, gradients of inputs and weights, and weights after training."),
    "Losses": (
        "losses/test_parity.py",
        "Values and gradients, with each reduction, with and without sample weights and masks.",
    ),
    "Metrics": (
        "metrics/test_parity.py",
        "Over several batches, with and without weights, and merged from workers' states.",
    ),
    "Optimizers": (
        "optimizers/test_optimizers.py",
        "Weights after 50 steps from the same ones.",
    ),
    "Schedules": ("optimizers/test_schedules.py", "Rates at 19 steps up to the thousandth."),
    "Activations": ("test_activations.py", "Values and gradients."),
    "Initializers": (
        "test_initializers.py",
        "What is drawn at random is compared by its bounds, mean and deviation: no error then.",
    ),
    "Regularizers": ("test_regularizers.py", "Values and gradients."),
    "Constraints": ("test_constraints.py", "Values."),
    "Operations": ("ops", "Functions of `keras.ops`: values in float32, and gradients."),
}
#: Tests that don't carry the name of what they test.
NAMES = {
    "test_fifty_steps_of_schedule_free_adam_are_the_paper_s": "ScheduleFreeAdamW",
    "test_a_loss_scale_optimizer_steps_as_keras_s": "LossScaleOptimizer",
    "test_sparsemax_is_the_nearest_point_of_probabilities": "sparsemax",
    "test_orthogonal_has_orthonormal_rows_or_columns": "Orthogonal",
}
#: Families whose tests are parametrized by name; what they call the arguments.
NAMED_BY_TESTS = {
    "Optimizers", "Schedules", "Activations", "Initializers", "Regularizers", "Constraints",
}  # fmt: skip
OPTIONS = {"options", "settings", "common"}
#: Values of an argument that are shown.
SHOWN = 4


class Row:
    """What is known of one name: the largest error if any, and each argument's values."""

    def __init__(self):
        self.error, self.arguments = None, defaultdict(dict)

    def count(self, error, arguments):
        if error is not None:
            self.error = max(self.error or 0.0, float(error))
        for argument, value in arguments.items():
            if argument != "name":
                self.arguments[argument][shown(value)] = None

    def cells(self):
        parts = []
        for argument, values in self.arguments.items():
            few = ", ".join(list(values)[:SHOWN]) + (", …" if len(values) > SHOWN else "")
            parts.append(f"{argument}: {few}".replace("|", "\\|"))
        error = (
            "drawn" if self.error is None else "0" if self.error < 1e-10 else f"{self.error:.0e}"
        )
        return "; ".join(parts), error


def shown(value):
    if isinstance(value, bool | int | float | str | None):
        return f"{value:.4g}" if type(value) is float else str(value)
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(shown, value)) + ")"
    if isinstance(value, FunctionType):
        return "a function"
    return type(value).__name__


def array(x):
    x = x.detach().cpu() if isinstance(x, torch.Tensor) else x
    return np.asarray(x.float() if getattr(x, "dtype", None) is torch.bfloat16 else x)


def relative_error(ours, theirs):
    """The largest difference over the largest value, or over 0.1; None for other than float32."""
    if isinstance(theirs, list | tuple):
        errors = [relative_error(*both) for both in zip(ours, theirs, strict=True)]
        return max((error for error in errors if error is not None), default=None)
    ours, theirs = array(ours), array(theirs)
    if theirs.dtype.kind != "f" or theirs.dtype.itemsize < 4:
        return 0.0 if np.array_equal(ours, theirs) else None
    finite = np.isfinite(theirs)
    if not finite.any():
        return 0.0
    ours, theirs = ours[finite], theirs[finite]
    return np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 0.1)


def arguments_of(name, given):
    """The arguments of a test's parameters."""
    found = {}
    if "arguments" in given:
        import keras

        names = inspect.signature(getattr(keras.optimizers.schedules, name)).parameters
        found.update(zip(names, given["arguments"], strict=False))
    for one in sorted(OPTIONS & set(given)):
        found.update(given[one])
    return found


def family_of(path):
    for family, (tests, _) in FAMILIES.items():
        if path == TESTS / tests or TESTS / tests in path.parents:
            return family
    return None


class Onlooker:
    """A plugin of pytest. `rows`: family -> name -> row."""

    def __init__(self):
        self.rows = {family: defaultdict(Row) for family in FAMILIES}
        self.failed, self.family, self.test = [], None, None
        #: Layers that the running test made, or the operation that it calls: (name, arguments).
        self.subjects = []
        self.watch_layers()
        for module, name in ((torch.testing, "assert_close"), (np.testing, "assert_allclose")):
            setattr(module, name, self.watched_assertion(getattr(module, name)))

    def watch_layers(self):
        from keras.src.ops.operation import Operation

        make = Operation.__new__

        def made(cls, *args, **kwargs):
            frame = sys._getframe(1)
            while frame.f_code.co_name in ("__new__", "__call__"):
                frame = frame.f_back
            if self.family == "Layers" and frame.f_code.co_filename.startswith(str(TESTS)):
                names = list(inspect.signature(cls.__init__).parameters)[1:]
                given = {**dict(zip(names, args, strict=False)), **kwargs}
                self.subjects.append((cls.__name__, given))
            return make(cls, *args, **kwargs)

        Operation.__new__ = staticmethod(made)

    def watched_assertion(self, function):
        @functools.wraps(function)
        def compare(ours, theirs, *args, **kwargs):
            function(ours, theirs, *args, **kwargs)
            # What is compared in half precision is compared more coarsely.
            if self.beside_keras() and kwargs.get("rtol", 0) <= 1e-5:
                self.count(relative_error(ours, theirs))

        return compare

    def beside_keras(self):
        return self.family == "Operations" or "keras_s" in self.test or self.test in NAMES

    def watched_error(self, function):
        """`close` of the layers' tests: what it returns is counted."""

        @functools.wraps(function)
        def close(*args, **kwargs):
            error = function(*args, **kwargs)
            self.count(error)
            return error

        return close

    def watched_comparison(self, function):
        """`compare(name, options, …)` of losses' and metrics' tests."""

        @functools.wraps(function)
        def compare(name, options, *args, **kwargs):
            error = function(name, options, *args, **kwargs)
            self.rows[self.family][name].count(error, options)
            return error

        return compare

    def watched_operation(self, check):
        """`same(name, …)` of operations' tests."""

        @functools.wraps(check)
        def same(name, *args, **kwargs):
            self.subjects = [(name, {})]
            check(name, *args, **kwargs)

        return same

    def count(self, error):
        for name, arguments in self.subjects:
            self.rows[self.family][name].count(error, arguments)

    def pytest_collection_finish(self, session):
        watch = {"close": self.watched_error, "compare": self.watched_comparison}
        folders = {"close": ("layers",), "compare": ("losses", "metrics")}
        plugins = session.config.pluginmanager.get_plugins()
        modules = {item.module for item in session.items} | {*filter(inspect.ismodule, plugins)}
        for module in modules:
            folder = Path(getattr(module, "__file__", None) or "").parent
            for name, wrapped in watch.items():
                function = vars(module).get(name)
                watched = [TESTS / one for one in folders[name]]
                if isinstance(function, FunctionType) and folder in watched:
                    setattr(module, name, wrapped(function))

    def pytest_runtest_setup(self, item):
        self.family, self.test, self.subjects = family_of(item.path), item.originalname, []
        given = item.callspec.params if hasattr(item, "callspec") else {}
        name = NAMES.get(self.test) or given.get("name")
        if self.family in NAMED_BY_TESTS and isinstance(name, str):
            arguments = arguments_of(name, given)
            self.subjects = [(name, arguments)]
            if "keras_s" in self.test and OPTIONS & set(given):
                self.count(None)

    def pytest_fixture_setup(self, fixturedef, request):
        """`same` of the operations' tests says which operation is compared."""
        if fixturedef.argname == "same" and family_of(request.path) == "Operations":
            check = self.watched_operation(fixturedef.func())
            fixturedef.cached_result = (check, fixturedef.cache_key(request), None)
            return check
        return None

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtest_teardown(self):
        self.subjects = []


def table(family, rows):
    if family == "Layers":  # and not models, or classes of a test's own
        rows = {name: row for name, row in rows.items() if name in layers.__all__}
    lines = [f"### {family}", "", FAMILIES[family][1], ""]
    if family == "Operations":  # too many for a line each
        exact = [name for name in sorted(rows) if rows[name].cells()[1] == "0"]
        rows = {name: row for name, row in rows.items() if name not in exact}
        lines += ["No difference at all: " + ", ".join(f"`{name}`" for name in exact) + ".", ""]
    lines += ["| name | arguments covered | largest error |", "| --- | --- | --- |"]
    lines += ["| `{}` | {} | {} |".format(name, *rows[name].cells()) for name in sorted(rows)]
    return "\n".join(lines) + "\n"


def main(page=PAGE, *families):
    # The same examples each time, whatever was found before.
    hypothesis.settings.register_profile("page", derandomize=True, database=None)
    hypothesis.settings.load_profile("page")
    torch.set_num_threads(1)
    onlooker, families = Onlooker(), families or tuple(FAMILIES)
    paths = [str(TESTS / FAMILIES[family][0]) for family in families]
    pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", "--tb=no", *paths], [onlooker])
    page = Path(page)
    above, _, _ = (page.read_text() if page.exists() else "").partition(MARK)
    tables = [table(family, onlooker.rows[family]) for family in families]
    page.write_text(above + MARK + "\n" + "\n".join(tables))
    print(*onlooker.failed, sep="\n")
    return 1 if onlooker.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
