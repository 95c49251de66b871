"""All Python of README.md and docs/ runs, page by page, each in a process of its own.

A block that mustn't run has a comment before it: `<!-- not run: reason -->`; it is compiled.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>.+) -->\n+)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    code: str
    line: int
    runs: bool


def blocks(text):
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("code"))
        yield Block(found["code"], line, found["why"] is None)


def script(text):
    """The blocks that run, each at its own line, so that a traceback points into the page."""
    lines = [""] * (text.count("\n") + 1)
    for block in blocks(text):
        if block.runs:
            code = block.code.splitlines()
            lines[block.line : block.line + len(code)] = code
    return "\n".join(lines)


def run(page, folder):
    path = folder / f"{page.stem}.py"
    path.write_text(script(page.read_text()))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    return subprocess.run(
        [sys.executable, path], cwd=folder, env=environment, capture_output=True, text=True
    )


def name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_compile(page):
    for block in blocks(page.read_text()):
        compile("\n" * block.line + block.code, str(page), "exec")


@pytest.mark.spark
@pytest.mark.parametrize(
    "page", [page for page in PAGES if script(page.read_text()).strip()], ids=name
)
def test_page_runs(page, tmp_path):
    done = run(page, tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_a_failing_block_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "text\n\n<!-- not run: it can't -->\n```python\n1 / 0\n```\n\n```python\nx = 1\n```\n\n"
        "```\nno python\n```\n\n```python\nassert x == 2\n```\n"
    )
    done = run(page, tmp_path)
    assert done.returncode == 1
    assert 'page.py", line 17' in done.stderr
    assert "AssertionError" in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", CODE.sub("", text)):
        path, _, anchor = target.partition("#")
        assert not path or (page.parent / path).exists(), target
        assert path or anchor in anchors, target
