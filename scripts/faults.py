"""Writes what a run of `make test-long` tried into docs/reliability.md: python scripts/faults.py.

Tests say it by the fixture `tried`, and pytest keeps it in build/test-long.xml. A table stands
between two comments, `<!-- tried: network -->` and `<!-- end of what was tried -->`.
"""

import json
import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN, PAGE = ROOT / "build" / "test-long.xml", ROOT / "docs" / "reliability.md"
END = "<!-- end of what was tried -->"
#: Tables, and the folder that the tests of each are in.
PLACES = {"network": "tests.faults.network", "cluster": "tests.faults", "driver": "tests"}


def rows(run):
    """table -> (fault, outcome) -> how -> times, one for each test, of what was tried."""
    found = {name: defaultdict(lambda: defaultdict(list)) for name in PLACES}
    for case in run.iter("testcase"):
        table = next(name for name, at in PLACES.items() if case.get("classname").startswith(at))
        failed = case.find("failure") is not None or case.find("error") is not None
        for one in case.iterfind("properties/property[@name='tried']"):
            fault, how, times, outcome = json.loads(one.get("value"))
            found[table][fault, "**failed**" if failed else outcome][how].append(times)
    return found


def total(times):
    """Numbers are added; texts stand beside each other."""
    if all(isinstance(one, int) for one in times):
        return f"{sum(times):,}"
    return "; ".join(map(str, times))


def table(found):
    lines = ["| fault | mode and frequency | times | outcome |", "| --- | --- | --- | --- |"]
    for (fault, outcome), tried in found.items():
        times = [total(one) for one in tried.values()]
        if len(times) > 1 and len(set(times)) == 1:
            times = [f"{times[0]} each"]
        lines.append(f"| {fault} | {'; '.join(tried)} | {'; '.join(times)} | {outcome} |")
    return "\n".join(lines)


def summary(run):
    """Of the whole run, whatever its tests wrote."""
    suite = next(run.iter("testsuite"))
    number = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    passed = 2 * number["tests"] - sum(number.values())
    others = ", ".join(f"{n} {name}" for name, n in number.items() if n and name != "tests")
    return (
        f"The last run, of {suite.get('timestamp')[:10]}, took {float(suite.get('time')) / 60:.0f} "
        f"minutes: of {number['tests']} tests {passed} passed{f' ({others})' if others else ''}."
    )


def written(page, run):
    """The page with the tables of that run.

    Raises:
        ValueError: there is nothing for one of the tables: not all of it was run.
    """
    texts = {name: table(found) if found else None for name, found in rows(run).items()}
    if missing := [name for name, text in texts.items() if text is None]:
        raise ValueError(f"The run tried nothing for the tables {', '.join(missing)}.")
    for name, text in {**texts, "summary": summary(run)}.items():
        begin = f"<!-- tried: {name} -->"
        pattern = f"{re.escape(begin)}.*?{re.escape(END)}"
        new = f"{begin}\n{text}\n{END}"
        page, count = re.subn(pattern, lambda _, new=new: new, page, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"{begin} is in the page {count} times.")
    return page


if __name__ == "__main__":
    run = ET.parse(sys.argv[1] if len(sys.argv) > 1 else RUN).getroot()
    PAGE.write_text(written(PAGE.read_text(), run))
    print(f"Wrote {PAGE.relative_to(ROOT)}")
