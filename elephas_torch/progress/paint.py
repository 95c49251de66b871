"""A view as text of a given width, or as HTML."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Mapping

from elephas_torch.keras.progress import line
from elephas_torch.progress.view import Tasks, View

#: Widths of the bar itself.
WIDEST, NARROWEST = 24, 8
#: Done, half done, not done; and what parts are separated by.
FINE, PLAIN = ("━", "╸", "─", "·"), ("=", ">", "-", "|")


def text(view: View | Tasks, width: int, fine: bool = True) -> str:
    """One line, cut where it is too wide.

    Args:
        width: columns.
        fine: whether the terminal can show more than ASCII.
    """
    if isinstance(view, View) and view.text:
        return cut(view.text if fine else _ascii(view.text), width)
    signs = FINE if fine else PLAIN
    parts = facts(view)
    room = width - sum(columns(part) + 3 for part in parts) + 2
    bar = drawn(view.done, view.total, max(NARROWEST, min(WIDEST, room)), signs)
    whole = f" {signs[3]} ".join([f"{parts[0]} {bar}", *parts[1:]])
    return cut(whole if fine else _ascii(whole), width)


def facts(view: View | Tasks) -> list[str]:
    """What a bar says, the most important first."""
    if isinstance(view, Tasks):
        parts = [f"{view.title} {view.done}/{view.total} tasks", duration(view.seconds)]
        if view.rows is not None:
            parts += [f"{view.rows:,} rows", f"{view.rows / max(view.seconds, 1e-9):,.0f} rows/s"]
        return parts
    parts = [f"Epoch {view.epoch + 1}/{view.epochs} {view.done}/{view.total}"]
    if view.validating:
        parts.append("validating")
    elif view.epoch_left is not None and view.fit_left is not None:
        parts.append(f"{duration(view.epoch_left)} of {duration(view.fit_left)} left")
    if view.rate is not None:
        parts.append(f"{view.rate:,.0f} samples/s")
    if view.logs:
        parts.append(line(printable(view.logs)))
    parts.append(f"{view.alive}/{view.workers} workers")
    if view.staleness is not None:
        parts.append(f"staleness {view.staleness:.1f}")
    return parts


def drawn(done: int, total: int, width: int, signs: tuple[str, ...] = FINE) -> str:
    """A bar of so many columns."""
    halves = 2 * width * done // total if total else 0
    full, half = divmod(min(halves, 2 * width), 2)
    return (signs[0] * full + signs[1] * half).ljust(width, signs[2])


def markup(view: View | Tasks) -> str:
    """HTML for a notebook's output."""
    style = 'style="font-family:monospace;white-space:pre-wrap"'
    if isinstance(view, View) and view.text:
        return f"<div {style}>{html.escape(view.text)}</div>"
    first, *rest = facts(view)
    bar = f'<progress value="{view.done}" max="{max(view.total, 1)}"></progress>'
    said = " · ".join(html.escape(part) for part in rest)
    return f"<div {style}>{html.escape(first)} {bar} {said}</div>"


def duration(seconds: float) -> str:
    """Seconds for people: "0:05", "12:05", "1:02:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def printable(logs: Mapping[str, float]) -> dict[str, float]:
    """The same with names that can't move a terminal's cursor."""
    return {"".join(c for c in name if c.isprintable()): one for name, one in logs.items()}


def columns(found: str) -> int:
    """How many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in found)
    return len(found) + wide - sum(map(bool, map(unicodedata.combining, found)))


def cut(found: str, width: int) -> str:
    """As much of a text as fits."""
    while columns(found) > width:
        found = found[: len(found) - max((columns(found) - width) // 2, 1)]
    return found


def _ascii(found: str) -> str:
    return found.encode("ascii", "replace").decode()
