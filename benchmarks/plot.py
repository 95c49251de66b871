"""Groups as a picture: bars of medians with their spread. Needs matplotlib."""

from __future__ import annotations

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
    """The first column's medians, each bar with its ratio to the peer behind it."""
    column = group["columns"][0]
    scale, figure = column["scale"], column["figure"]
    names = [name for name, taken in group["medians"].items() if figure in taken]
    taken = [group["medians"][name][figure] for name in names]
    middle = [one["median"] * scale for one in taken]
    spread = [
        [(one["median"] - one["min"]) * scale for one in taken],
        [(one["max"] - one["median"]) * scale for one in taken],
    ]
    colours = ["tab:grey" if name == group["against"] else "tab:blue" for name in names]
    bars = place.barh(names, middle, xerr=spread, color=colours, ecolor="black", capsize=2)
    ratios = [group["of_peer"].get(name) for name in names]
    labels = ["" if one is None else f" {one['median']:.2f}" for one in ratios]
    place.bar_label(bars, labels, fontsize=7)
    place.invert_yaxis()
    place.set_title(group["title"], fontsize=9, loc="left")
    place.set_xlabel(column["heading"], fontsize=8)
    place.tick_params(labelsize=7)


def _caption(results: dict[str, Any]) -> str:
    machine, versions = results["machine"], results["versions"]
    return (
        f"{' '.join(results['command'])}\n{machine['processor']}, {machine['cores']} cores, "
        f"torch {versions.get('torch', '?')}, {results['when']}"
    )
