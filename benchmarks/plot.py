"""Groups as a picture: bars of medians with their spread. Needs matplotlib."""

from __future__ import annotations

import textwrap
from typing import Any


class Missing(Exception):
    """matplotlib isn't installed."""


def check() -> None:
    """Raises Missing where nothing can be drawn: better before than after an hour's measuring."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise Missing(
            "--plot needs matplotlib: pip install matplotlib (it is in this project's extra "
            "`benchmarks`). The figures can be written with --json meanwhile."
        ) from None


def draw(results: dict[str, Any], file: str) -> None:
    """Draws all groups.

    Args:
        results: what `--json` writes.
        file: its ending says the format: .png, .svg, .pdf.

    Raises:
        Missing: matplotlib isn't installed.
    """
    check()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = [one for suite in results["suites"].values() for one in suite if one["medians"]]
    if not groups:
        raise ValueError("There is nothing to draw: nothing was measured.")
    heights = [1.2 + 0.35 * len(one["medians"]) for one in groups]
    figure = Figure(figsize=(9, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for place, group in zip(places, groups, strict=True):
        _bars(place, group)
    figure.suptitle(_caption(results), fontsize=8)
    figure.savefig(file, dpi=120)


def _bars(place: Any, group: dict[str, Any]) -> None:
    """Medians, each bar with its ratio to the peer behind it, and its spread.

    The first column is drawn; all of them, side by side, where they have the same unit.
    """
    columns = group["columns"]
    if len({column["heading"].split()[-1] for column in columns}) > 1:
        columns = columns[:1]
    names = [name for name, taken in group["medians"].items() if _any(taken, columns)]
    height = 0.8 / len(columns)
    for number, column in enumerate(columns):
        taken = [group["medians"][name].get(column["figure"]) for name in names]
        rows = [row + height * number for row in range(len(names))]
        colours = ["tab:grey" if name == group["against"] else f"C{number}" for name in names]
        bars = _one(place, rows, taken, column, height, colours)
        if number == 0:
            ratios = [group["of_peer"].get(name) for name in names]
            labels = ["" if one is None else f" {one['median']:.2f}" for one in ratios]
            place.bar_label(bars, labels, fontsize=7)
    place.set_yticks(range(len(names)), names)
    place.invert_yaxis()
    place.set_title(group["title"], fontsize=9, loc="left")
    place.set_xlabel(columns[0]["heading"], fontsize=8)
    place.tick_params(labelsize=7)
    if len(columns) > 1:
        place.legend(fontsize=7)


def _any(taken: dict[str, Any], columns: list[dict[str, Any]]) -> bool:
    return any(column["figure"] in taken for column in columns)


def _one(
    place: Any, rows: list[float], taken: list[Any], column: dict[str, Any], height: float,
    colours: list[str],
) -> Any:  # fmt: skip
    scale = column["scale"]
    found = [one or {"median": 0.0, "min": 0.0, "max": 0.0} for one in taken]
    spread = [
        [(one["median"] - one["min"]) * scale for one in found],
        [(one["max"] - one["median"]) * scale for one in found],
    ]
    middle = [one["median"] * scale for one in found]
    return place.barh(
        rows, middle, height, xerr=spread, color=colours, ecolor="black", capsize=2,
        label=column["heading"],
    )  # fmt: skip


def _caption(results: dict[str, Any]) -> str:
    machine, versions = results["machine"], results["versions"]
    command = textwrap.fill(" ".join(results["command"]), 110)
    return (
        f"{command}\n{machine['processor']}, {machine['cores']} cores, "
        f"torch {versions.get('torch', '?')}, {results['when']}"
    )
