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


#: Runs scripts, each in a process of its own that has PyTorch already: it takes the lines "folder",
#: "script", and answers with the exit code; what the script says is in the file `said`.
RUNNER = """
import os, runpy, sys
import elephas_torch.spark_model

while folder := sys.stdin.readline().strip():
    path = sys.stdin.readline().strip()
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        said, nothing = os.open("said", os.O_CREAT | os.O_WRONLY), os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((nothing, said, said)):
            os.dup2(file, number)
        sys.argv, sys.path[0] = [path], folder
        runpy.run_path(path, run_name="__main__")
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def runner():
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER], env=environment, text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield process
        process.stdin.close()


def run(runner, page, folder):
    """Returns the exit code and what the page says."""
    path = folder / f"{page.stem}.py"
    path.write_text(script(page.read_text()))
    runner.stdin.write(f"{folder}\n{path}\n")
    code = int(runner.stdout.readline())
    return code, (folder / "said").read_text()


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
def test_page_runs(page, runner, tmp_path):
    code, said = run(runner, page, tmp_path)
    assert code == 0, said[-8000:]


def test_a_failing_block_is_found(runner, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "text\n\n<!-- not run: it can't -->\n```python\n1 / 0\n```\n\n```python\nx = 1\n```\n\n"
        "```\nno python\n```\n\n```python\nassert x == 2\n```\n"
    )
    code, said = run(runner, page, tmp_path)
    assert code == 1
    assert 'page.py", line 17' in said
    assert "AssertionError" in said


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", CODE.sub("", text)):
        path, _, anchor = target.partition("#")
        assert not path or (page.parent / path).exists(), target
        assert path or anchor in anchors, target
