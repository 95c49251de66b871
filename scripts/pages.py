"""What the site takes from outside docs/, for mkdocs (`hooks` in mkdocs.yml).

README.md is the first page; CHANGELOG.md, CONTRIBUTING.md and SECURITY.md are pages, too; examples
are files beside a page that lists them. Links between all of these are written for people who read
the files themselves, so here they are turned to where the pages are.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "examples": "examples/index.md",
}
FILES = ["LICENSE", "Dockerfile"]
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()(?!\w+:)([^)#\s]+)(#[^)\s]*)?(?=\))")
#: README's own table of contents: the site has one of its own.
CONTENTS = re.compile(r"^- \[Introduction\]\(#introduction\)\n(?: *- \[.+\n)+", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages and files from outside docs/."""
    for source, target in PAGES.items():
        content = listed() if source == "examples" else (ROOT / source).read_text()
        files.append(File.generated(config, target, content=content))
    for name in [*FILES, *(f"examples/{path.name}" for path in examples())]:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns links to files of the repository into links to the site's pages."""
    here = page.file.src_uri
    sources = {target: source for source, target in PAGES.items()}
    source = sources.get(here, f"docs/{here}")
    if source == "README.md":
        markdown = CONTENTS.sub("", markdown)
    if source == "examples":
        return markdown
    return outside_code(markdown, lambda text: LINK.sub(lambda f: turned(f, source, here), text))


def outside_code(text: str, change: Any) -> str:
    """Changes what isn't code; links hold code at most as their text."""
    parts, end = [], 0
    for found in CODE.finditer(text):
        parts += [change(text[end : found.start()]), found.group()]
        end = found.end()
    return "".join([*parts, change(text[end:])])


def turned(found: re.Match[str], source: str, here: str) -> str:
    """A link as in `source`, a file of the repository, as it is on the page `here`."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
    target = PAGES.get(path, path.removeprefix("docs/"))
    return f"{found[1]}{posixpath.relpath(target, posixpath.dirname(here) or '.')}{found[3] or ''}"


def examples() -> list[Path]:
    """The scripts and notebooks."""
    return sorted(
        path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb")
    )


def listed() -> str:
    """The page of the examples: what the first line of each says."""
    rows = [f"| [{path.name}]({path.name}) | {about(path)} |" for path in examples()]
    head = "# Examples\n\nEach runs by itself, and a test runs them all.\n\n"
    return head + "\n".join(["| file | about |", "| --- | --- |", *rows]) + "\n"


def about(path: Path) -> str:
    """The first line of a script's docstring, or a notebook's title."""
    if path.suffix == ".ipynb":
        return str(json.loads(path.read_text())["cells"][0]["source"][0]).lstrip("# ").strip()
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
