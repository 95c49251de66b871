"""Known weaknesses of those versions in constraints.txt that are the newest ones of their project:
python scripts/audit_latest.py.

For where `make audit` can't be answered: mirrors of PyPI often have its page of a project, which
lists weaknesses of the newest version alone, and neither its pages of versions nor a service.
"""

import json
import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PINS = Path(__file__).parent.parent / "constraints.txt"
PAGE = "https://pypi.org/pypi/{}/json"


def pins():
    """(project, version) for each line, whatever Python it is for."""
    return re.findall(r"^([\w.-]+)==([^\s;]+)", PINS.read_text(), re.MULTILINE)


def newest(project):
    """The newest version, and the weaknesses of it by their names; None where nobody says."""
    try:
        with urllib.request.urlopen(PAGE.format(project), timeout=30) as page:
            found = json.load(page)
        return found["info"]["version"], [one["id"] for one in found["vulnerabilities"]]
    except (urllib.error.URLError, KeyError, ValueError) as error:
        print(f"{project}: nothing is known ({error})", file=sys.stderr)
        return None, []


def main():
    wanted = pins()
    projects = sorted({project for project, _ in wanted})
    with ThreadPoolExecutor(8) as pool:
        known = dict(zip(projects, pool.map(newest, projects), strict=True))
    asked = [one for one in wanted if one[1] == known[one[0]][0]]
    weak = {one: known[one[0]][1] for one in asked if known[one[0]][1]}
    older = sorted(set(wanted) - set(asked))
    for (project, version), names in weak.items():
        print(f"{project} {version}: {', '.join(names)}")
    print("Not asked for, being older:", ", ".join(" ".join(one) for one in older))
    print(f"Of {len(wanted)} versions {len(asked)} were asked for; {len(weak)} have weaknesses.")
    return 1 if weak or not asked else 0


if __name__ == "__main__":
    sys.exit(main())
