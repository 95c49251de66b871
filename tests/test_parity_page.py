"""docs/parity.md: that all that is offered has a row, and that no row says too much.

The page is written by `python scripts/parity.py`, from the tests that hold us beside Keras.
"""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from elephas_torch.keras import (
    activations,
    constraints,
    initializers,
    layers,
    legacy,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from elephas_torch.keras.optimizers import schedules

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "parity.md"
ROW = re.compile(r"^\| `([\w.]+)` \| .* \| (\S+) \|$", re.MULTILINE)
FAMILIES = {
    "Layers": layers,
    "Losses": losses,
    "Metrics": metrics,
    "Optimizers": optimizers,
    "Schedules": schedules,
    "Initializers": initializers,
    "Regularizers": regularizers,
    "Constraints": constraints,
}
#: What keras.activations has beside activations.
TOOLS = {"deserialize", "get", "serialize"}


def classes(module):
    """The names of a family's classes, as they call themselves."""
    found = {cls for cls in vars(module).values() if inspect.isclass(cls)}
    found = {cls for cls in found if not issubclass(cls, type)}
    own = {cls.__name__ for cls in found if cls.__module__.startswith("elephas_torch.")}
    return {name for name in own if name[0] != "_" and name not in legacy.CLASSES}


def tables():
    """Family -> name -> largest error as it is written."""
    parts = re.split(r"^### (\w+)$", PAGE.read_text().partition("## Tables")[2], flags=re.M)
    return {
        family: dict(ROW.findall(part))
        for family, part in zip(parts[1::2], parts[2::2], strict=True)
    }


def excused():
    """Names of what the page says isn't in the tables."""
    above = PAGE.read_text().partition("## Tables")[2].partition("<!--")[0]
    return set(re.findall(r"`(\w+)`", above))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_has_a_row(family):
    missing = classes(FAMILIES[family]) - set(tables()[family]) - excused()
    assert not missing, f"run scripts/parity.py, after a test beside Keras for {missing}"


def test_every_activation_has_a_row():
    found = vars(activations).items()
    names = {n for n, f in found if inspect.isfunction(f) and f.__module__ == activations.__name__}
    names = {name for name in names - TOOLS if name[0] != "_"}
    assert len(names) > 30
    assert names <= set(tables()["Activations"])


def test_no_error_is_above_one_hundred_thousandth():
    found = tables()
    assert set(found) == {*FAMILIES, "Activations", "Operations"}
    errors = [error for rows in found.values() for error in rows.values() if error != "drawn"]
    assert len(errors) > 200
    assert max(map(float, errors)) <= 1e-5


def test_the_page_can_be_written_anew(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Above.\n")
    script = ROOT / "scripts" / "parity.py"
    done = subprocess.run(
        [sys.executable, script, page, "Regularizers"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    above, _, below = page.read_text().partition("<!-- What follows is written by")
    assert above == "Above.\n"
    assert set(dict(ROW.findall(below))) == set(tables()["Regularizers"])
