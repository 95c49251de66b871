"""Writes docs/legacy.md: python scripts/legacy_page.py. A test holds the page to the tables."""

import re
from collections import defaultdict
from pathlib import Path

from elephas_torch.keras.legacy import calls
from elephas_torch.keras.legacy.adding import TODAY
from elephas_torch.keras.legacy.arguments import JOINED, SINGLE
from elephas_torch.keras.legacy.layers import _GONE
from elephas_torch.keras.legacy.modules import MODULES
from elephas_torch.keras.legacy.names import CLASSES, MERGES, STILL_THERE

PAGE = Path(__file__).parent.parent / "docs" / "legacy.md"

HEAD = """\
# Old spellings

Scripts that were written for Keras 1 and 2 (2015 to 2020) run with their imports changed to
`elephas_torch.keras`. Each call in an old spelling warns once, with a `DeprecationWarning` at its
own line that says what to write today. Configs in old files are read by the same tables, without
warnings. This page is made from the tables by `scripts/legacy_page.py`.

Python shows a `DeprecationWarning` only where it comes from the script itself; to see all of
them: `python -W always::DeprecationWarning script.py`.

Spellings change here, not numbers: a layer's defaults are those of Keras 3. Where they differ from
those of Keras 1, say what you need: `GRU(reset_after=False)`; `"hard_sigmoid"`, which LSTM and
GRU no longer have by default, rises by 1/6 today and rose by 0.2.

## Arguments of layers

Arguments without names in Keras 1's order are understood where nothing else can be meant:
`Convolution2D(32, 3, 3)`, `Dense(10, "uniform")`, `Dense(784, 128)` of 2015, `Convolution3D(8, 3,
3, 3)`, `Reshape(1, 28, 28)`. **`Conv2D(32, 3, 3)` is read as Keras 3 does**, with a kernel of 3 and
strides of 3, and a `UserWarning` says so: Keras 1 and 2.0 took it for a kernel of 3 by 3. It is
read as they did where another argument of the call is old (`border_mode`, `init` …).
"""


def row(*cells):
    return f"| {' | '.join(cells)} |"


def table(*names):
    return ["", row(*names), row(*("---" for _ in names))]


def code(text):
    return f"`{text}`" if text else ""


def shortened(layers):
    """Names of layers; those that differ in their number of axes as one: `Conv1D`, `2D`."""
    parts = []
    for number, layer in enumerate(layers):
        before = layers[number - 1] if number else ""
        same = re.sub(r"\dD", "", layer) == re.sub(r"\dD", "", before) and layer != before
        parts.append(code(re.search(r"\dD", layer)[0] if same else layer))
    return ", ".join(parts)


def argument_rows():
    found = defaultdict(list)
    for layer, rules in SINGLE.items():
        for old, rule in rules.items():
            today = rule.written or ", ".join(rule.new)
            found[code(old), code(today) or "(nothing)", rule.note].append(layer)
    for layer, several in JOINED.items():
        for one in several:
            old = ", ".join(map(code, one.old))
            found[old, code(one.new), ""].append(layer)
    for (old, new, note), layers in sorted(found.items()):
        yield row(old, new, shortened(layers), note)


def sections():
    yield from table("old", "today", "layers", "")
    yield from argument_rows()
    yield from ("", "## Classes")
    yield from table("old", "today", "")
    for old, new in sorted(CLASSES.items()):
        yield row(code(old), code(new), "Keras 3 has both names" if old in STILL_THERE else "")
    for mode, new in MERGES.items():
        yield row(code(f"Merge([a, b], mode={mode!r})"), code(new), f"also `merge(…, {mode!r})`")
    yield from ("", "These aren't there; calling one says what to take:", "")
    yield from (f"- `{name}`: {instead}." for name, instead in sorted(_GONE.items()))
    yield from ("", "## Methods and their arguments")
    yield from table("old", "today")
    for owner, names in calls.ARGUMENTS.items():
        yield from (row(code(f"{owner}({old}=…)"), code(new)) for old, new in names.items())
    yield from (row(code(f"compile({old}=…)"), "(nothing)") for old in calls.IGNORED_BY_COMPILE)
    for old, new in calls.OF_OPTIMIZERS.items():
        yield row(code(f"SGD({old}=…)") + " and the other optimizers", code(new) or "(nothing)")
    yield from (row(code(f"model.{old}(x)"), code(new)) for old, new in calls.METHODS.items())
    for old, new in calls.GONE.items():
        yield row(code(old), f"isn't there: {code(new)}")
    yield row(code("layer.add_weight('W', shape)") + " and metrics'", code(TODAY))
    yield from ("", "## Modules")
    yield from table("old module", "names", "today")
    for module, names in sorted(MODULES.items()):
        yield from module_rows(module, names)


def module_rows(module, names):
    moved = defaultdict(list)
    for name, home in names.items():
        where, _, today = (home.shown or home.path).partition("(")[0].rpartition(".")
        new = f"keras.{home.shown or home.path}" if today != name else f"keras.{where}"
        moved[new].append(code(name))
    yield from (row(code(f"keras.{module}"), ", ".join(m), code(n)) for n, m in moved.items())


def page():
    return HEAD + "\n".join(sections()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
