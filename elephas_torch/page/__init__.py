"""The page that shows a fit: while it runs, and as one file when it is over.

A page is one HTML text with its style and its script inside, which may run nothing else and load
nothing. What it shows is a *story*, JSON-able data: the parameter server sends it bit by bit to
whoever watches; a file has it inside.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from elephas_torch.page.series import Series

__all__ = ["Series", "document", "headers", "plain"]

_SCRIPTS = ("values.js", "chart.js", "charts.js", "tables.js", "stream.js", "page.js")
#: Characters of a text, and levels of nesting, that are shown.
_LONGEST, _DEEPEST = 100_000, 12
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_NUMBERS = {math.inf: "Infinity", -math.inf: "-Infinity"}


def document(story: dict[str, Any] | None = None) -> str:
    """Returns the page.

    Args:
        story: what it shows. Default None: it asks the server that it came from.
    """
    style, script = _assets()
    parts = {
        "title": _escaped(str((story or {}).get("about", {}).get("title", "elephas_torch"))),
        "policy": "" if story is None else _meta(),
        "style": style,
        "story": "" if story is None else _data(story),
        "script": script,
    }
    # In one go: a title may have such names in it as well.
    return _PLACE.sub(lambda found: parts[found[1]], _read("page.html"))


def headers() -> list[tuple[str, str]]:
    """Returns the headers that the page is served with."""
    return [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", _policy("'self'")),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ]


def plain(value: Any, depth: int = 0) -> Any:
    """Returns data as any JSON parser reads it: NaN and infinite numbers become texts, and what is
    no data its `str`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)[:40]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _NUMBERS.get(value, "NaN")
    if isinstance(value, str):
        return value[:_LONGEST]
    if depth < _DEEPEST and isinstance(value, dict):
        return {str(key)[:_LONGEST]: plain(one, depth + 1) for key, one in value.items()}
    if depth < _DEEPEST and isinstance(value, Sequence | set | frozenset | range):
        return [plain(one, depth + 1) for one in value]
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", None) == 1:  # NumPy's numbers
        return plain(item(), depth + 1)
    return str(value)[:_LONGEST]


def _read(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _assets() -> tuple[str, str]:
    script = "\n".join(_read(name) for name in _SCRIPTS)
    return _read("page.css"), f'"use strict";\n{script}'


def _policy(connects: str) -> str:
    style, script = (_hash(text) for text in _assets())
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src {connects}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _meta() -> str:
    nowhere = _policy("'none'")
    return f'<meta http-equiv="Content-Security-Policy" content="{nowhere}">'


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data(story: dict[str, Any]) -> str:
    """A story as JSON that can't end the element that it is in."""
    text = json.dumps(plain(story), allow_nan=False, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f'<script type="application/json" id="story">{text}</script>'


def _escaped(text: str) -> str:
    for mark, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot")):
        text = text.replace(mark, f"&{name};")
    return text
