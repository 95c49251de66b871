"""Docstrings as Markdown, for the API pages (an extension of griffe, see mkdocs.yml).

They are written to be read where they stand: `a, b: what both are`, `Args: those of …`, examples as
in a console. So they become lists, paragraphs and blocks of code, with every word that they have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from griffe import Extension, Object

HEAD = re.compile(r"([A-Z][a-z]+(?: [a-z]+)?):(?: (.+))?")
ITEM = re.compile(r"((?:[\w.*…]+(?: …)?)(?:, [\w.*…]+)*): (.+)", re.DOTALL)
SPECIAL = re.compile(r"`[^`]*`|https?://\S+|[\[\]*<>_]")


class Docstrings(Extension):
    """Rewrites the docstring of each object that a page shows."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """The docstring as Markdown."""
    paragraphs = re.split(r"\n\s*\n", docstring.strip("\n"))
    return "\n\n".join(part for text in paragraphs for part in parts(text.rstrip()))


def parts(paragraph: str) -> Iterator[str]:
    """The pieces of a paragraph: a heading, what stands below it, code, or text."""
    first, _, rest = paragraph.partition("\n")
    head = HEAD.fullmatch(first)
    if head is None:
        yield block(paragraph)
    elif head[2] is None:
        yield f"**{head[1]}**"
        if rest:
            yield listed(rest)
    else:
        yield f"**{head[1]}:** {escaped(joined(head[2] + chr(10) + rest))}"


def block(paragraph: str) -> str:
    """Code where it is indented or a console's, a list where it is one, and text otherwise."""
    lines = dedented(paragraph)
    if lines[0].startswith(">>>"):
        return "\n".join(["```pycon", *lines, "```"])
    if paragraph.startswith("    "):
        return "\n".join(["```text", *lines, "```"])
    if lines[0].startswith("- "):
        return "\n".join(escaped(line) for line in lines)
    return escaped(joined(paragraph))


def listed(rest: str) -> str:
    """What stands below "Args:" and the like: an item for each line that isn't indented further."""
    lines = dedented(rest)
    if lines[0].startswith(">>>"):
        return block(rest)
    starts, number = [], 0
    for line in lines:
        number += not line.startswith(" ")
        starts.append(number)
    groups = groupby(zip(starts, lines, strict=True), key=lambda pair: pair[0])
    items = [" ".join(line.strip() for _, line in pairs) for _, pairs in groups]
    found = [ITEM.fullmatch(item) for item in items]
    if not any(found):
        return escaped(" ".join(items))
    return "\n".join(
        f"- {escaped(item)}" if one is None else f"- `{one[1]}`: {escaped(one[2])}"
        for item, one in zip(items, found, strict=True)
    )


def dedented(text: str) -> list[str]:
    lines = text.splitlines()
    least = min(len(line) - len(line.lstrip()) for line in lines)
    return [line[least:] for line in lines]


def joined(text: str) -> str:
    return " ".join(text.split())


def escaped(text: str) -> str:
    """Text in which Markdown finds no emphasis, link or tag that isn't meant; code stays code."""
    return SPECIAL.sub(lambda f: f[0] if len(f[0]) > 1 else f"\\{f[0]}", text)
