"""All Python of README.md and docs/ runs, page by page, each in a process of its own.

Pages that take the Spark session that is there share a process, and the session.
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


#: Runs scripts in processes that have PyTorch already: it takes the lines "folder", "scripts", and
#: answers with the exit code. What page.py says is in the file `page.said`; if it came to its end,
#: there is `page.done`. Of several scripts none can stop the session, and all have their turn.
RUNNER = """
import os, runpy, sys, traceback
from pathlib import Path
import elephas_torch.spark_model
from pyspark.sql import SparkSession

def run(path):
    said = os.open(path[:-2] + "said", os.O_CREAT | os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, said, said)):
        os.dup2(file, number)
    sys.argv, sys.path[0] = [path], os.getcwd()
    runpy.run_path(path, run_name="__main__")
    Path(path[:-2] + "done").touch()

while folder := sys.stdin.readline().strip():
    paths = sys.stdin.readline().split()
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        if len(paths) > 1:
            SparkSession.stop = lambda session: None
        for path in paths:
            try:
                run(path)
            except BaseException:
                traceback.print_exc()
        sys.exit(not all(os.path.exists(path[:-2] + "done") for path in paths))
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


def run(runner, pages, folder):
    """Returns of each page whether it came to its end, and what it says."""
    assert len({page.stem for page in pages}) == len(pages), "two pages of one name in one folder"
    for page in pages:
        (folder / f"{page.stem}.py").write_text(script(page.read_text()))
    runner.stdin.write(f"{folder}\n{' '.join(str(folder / page.stem) + '.py' for page in pages)}\n")
    code = int(runner.stdout.readline())
    ended = [(folder / f"{page.stem}.done").exists() for page in pages]
    assert code == (not all(ended))
    said = [(folder / f"{page.stem}.said").read_text() for page in pages]
    return list(zip(ended, said, strict=True))


def name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_compile(page):
    for block in blocks(page.read_text()):
        compile("\n" * block.line + block.code, str(page), "exec")


RUNS = [page for page in PAGES if script(page.read_text()).strip()]
TOGETHER = [page for page in RUNS if ".getOrCreate()" in script(page.read_text())]


@pytest.fixture(scope="module")
def together(runner, tmp_path_factory):
    """Page -> whether it came to its end, and what it says."""
    found = run(runner, TOGETHER, tmp_path_factory.mktemp("together"))
    return dict(zip(TOGETHER, found, strict=True))


@pytest.mark.spark
@pytest.mark.parametrize("page", RUNS, ids=name)
def test_page_runs(page, runner, tmp_path, request):
    if page in TOGETHER:
        ended, said = request.getfixturevalue("together")[page]
    else:
        [(ended, said)] = run(runner, [page], tmp_path)
    assert ended, said[-8000:]


def test_a_failing_block_is_found(runner, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "text\n\n<!-- not run: it can't -->\n```python\n1 / 0\n```\n\n```python\nx = 1\n```\n\n"
        "```\nno python\n```\n\n```python\nassert x == 2\n```\n"
    )
    good = tmp_path / "good.md"
    good.write_text("```python\nassert 'x' not in globals()\nprint('here')\n```\n")
    (failed, said), (ended, also) = run(runner, [page, good], tmp_path)
    assert not failed
    assert 'page.py", line 17' in said
    assert "AssertionError" in said
    assert ended and also == "here\n"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = page.read_text()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", CODE.sub("", text)):
        path, _, anchor = target.partition("#")
        assert not path or (page.parent / path).exists(), target
        assert path or anchor in anchors, target
