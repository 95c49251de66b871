"""What the doctor says: text for people, JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from elephas_torch._version import __version__
from elephas_torch.cli.doctor.checks import diagnose
from elephas_torch.cli.doctor.findings import LEVELS, Finding, duration, gpu, several, size

#: Of `Report.to_json`: rises when a field goes or means something else.
FORMAT = 1


@dataclass(frozen=True)
class Report:
    """The doctor's findings. `str()` of it is the text.

    Attributes:
        findings: in the order of the checks.
        facts: what they were judged by.
    """

    findings: list[Finding]
    facts: dict[str, Any]

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Report:
        """Judges facts."""
        return cls(diagnose(facts), facts)

    @property
    def verdict(self) -> str:
        """The worst level: "ok", "warn" or "fail"."""
        return max((one.level for one in self.findings), key=LEVELS.index, default="fail")

    def to_json(self) -> str:
        """The same for programs; docs/doctor.md has its fields."""
        content = {
            "format": FORMAT,
            "elephas_torch": __version__,
            "verdict": self.verdict,
            "findings": [one._asdict() for one in self.findings],
            "facts": self.facts,
        }
        return json.dumps(content, indent=2, allow_nan=False)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"elephas-torch doctor {__version__}"
        yield ""
        for one in self.findings:
            yield from _wrapped(f"{one.level.upper():<5} {one.check:<10} ", one.found)
            if one.advice:
                yield from _wrapped(" " * 17 + "-> ", one.advice)
        yield from self._executors()
        yield ""
        yield from _wrapped("", f"Verdict: {self._verdict()}")

    def _executors(self) -> Iterator[str]:
        rows = [_row(one) for one in self.facts.get("executors") or []]
        if not rows:
            return
        yield ""
        names = ("host", "process", "cores", "free memory", "GPU", "latency", "push and pull")
        table = [names, *sorted(rows)]
        widths = [max(len(row[n]) for row in table) for n in range(len(names))]
        for row in table:
            cells = zip(row, widths, strict=True)
            yield "  ".join(cell.ljust(width) for cell, width in cells).rstrip()

    def _verdict(self) -> str:
        bad = [one for one in self.findings if one.level == "fail"]
        better = [one for one in self.findings if one.level == "warn"]
        if bad:
            names = ", ".join(dict.fromkeys(one.check for one in bad))
            return f"training will not work here: {names}. Do what the arrows say, from the top."
        if better:
            names = ", ".join(dict.fromkeys(one.check for one in better))
            return f"training works; {several(len(better), 'thing')} could be better: {names}."
        tried = "" if self.facts.get("training") else " (no training was tried)"
        return f"all is well{tried}."


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    server, memory = one["server"] or {}, one["memory"]
    latency, rate = server.get("latency"), server.get("rate")
    return (
        one["host"],
        str(one["process"]),
        str(one["cores"]),
        size(memory["free"]) if memory else "?",
        gpu(one),
        duration(latency) if latency is not None else "-",
        f"{size(rate)}/s" if rate is not None else "-",
    )


def _wrapped(start: str, text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, 100, initial_indent=start, subsequent_indent=" " * max(len(start), 2),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
