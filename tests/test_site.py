"""The site: that it is built strictly, leads nowhere wrong, and has a place for everything."""

import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
BUILDS = all(importlib.util.find_spec(name) for name in ("material", "mkdocs", "mkdocstrings"))
needs_mkdocs = pytest.mark.skipif(
    not BUILDS, reason="mkdocs isn't here: pip install 'elephas-torch[docs]'"
)
#: Modules all of whose public names the API pages have.
PUBLIC = [
    "elephas_torch",
    "elephas_torch.keras.callbacks",
    "elephas_torch.keras.layers",
    "elephas_torch.keras.losses",
    "elephas_torch.keras.metrics",
    "elephas_torch.keras.models",
    "elephas_torch.keras.saving",
    "elephas_torch.optimizers",
    "elephas_torch.parameter",
]


class Page(HTMLParser):
    """A page's anchors, its links, what it loads, and its paragraphs of text."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.paragraphs = set(), [], [], []
        self._within = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.update(filter(None, (given.get("id"), given.get("name"))))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(given["href"])
        if tag == "p":
            self._within = True
            self.paragraphs.append("")

    def handle_endtag(self, tag):
        self._within = self._within and tag != "p"

    def handle_data(self, data):
        if self._within:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True,
        text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text()) for path in site.rglob("*.html")}


@needs_mkdocs
def test_every_link_leads_to_a_page_and_an_anchor(site, pages):
    wrong, seen = [], 0
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its links are from the root of a host
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = parts.fragment and target in pages
            if not target.exists() or (anchor and unquote(parts.fragment) not in pages[target].ids):
                wrong.append(f"{path.relative_to(site)}: {link}")
            seen += 1
    assert wrong == []
    assert seen > 5000


@needs_mkdocs
def test_nothing_is_loaded_from_elsewhere(site, pages):
    assert [load for page in pages.values() for load in page.loads if urlsplit(load).netloc] == []
    sheets = [path.read_text() for path in site.rglob("*.css")]
    assert not any(re.search(r"@import|url\(['\"]?(?:https?:)?//", sheet) for sheet in sheets)


@needs_mkdocs
def test_lists_are_lists(pages):
    """What GitHub takes for a list, Python's Markdown may not: it wants an empty line before."""
    odd = [text for page in pages.values() for text in page.paragraphs if "\n- " in text]
    assert odd == []


@needs_mkdocs
def test_docstrings_keep_every_word():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        docstrings = importlib.import_module("docstrings")
    finally:
        sys.path.pop(0)
    given = """Adds.

    Args:
        first: a [number], or
            two of them.
        second, third: the rest_of *it.

    Args: those of `f`, and
        more.

    Raises:
        What is wrong is said.

    Example:

        >>> 1 + 1
        2
    """
    wanted = (
        "Adds.\n\n**Args**\n\n- `first`: a \\[number\\], or two of them.\n"
        "- `second, third`: the rest\\_of \\*it.\n\n**Args:** those of `f`, and more.\n\n"
        "**Raises**\n\nWhat is wrong is said.\n\n**Example**\n\n```pycon\n>>> 1 + 1\n2\n```"
    )
    assert docstrings.markdown(inspect.cleandoc(given)) == wanted


def test_every_page_has_its_place():
    """mkdocs says so as well; this is for where it isn't installed."""
    listed = set(re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert pages - listed == set(), "give it a place in mkdocs.yml"


def test_every_public_name_is_on_an_api_page():
    text = "\n".join(path.read_text() for path in (DOCS / "api").glob("*.md"))
    shown = set()
    for name in re.findall(r"^::: (\S+)$", text, re.M):
        module, _, last = name.rpartition(".")
        shown.add(id(getattr(importlib.import_module(module), last)))
    for module in map(importlib.import_module, PUBLIC):
        things = {name: getattr(module, name) for name in module.__all__}
        named = {n: one for n, one in things.items() if getattr(one, "__name__", "") == n}
        missing = [name for name, one in named.items() if id(one) not in shown]
        assert missing == [], f"give these of {module.__name__} a place in docs/api"


def test_pictures_are_as_the_script_draws_them(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts" / "pictures.py", tmp_path], check=True)
    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    captured = "progress.svg"  # from a run, by scripts/progress.py: each is another
    kept = {path.name: path.read_text() for path in (DOCS / "pictures").glob("*.svg")}
    assert kept.pop(captured).startswith("<svg")
    assert drawn == kept, "make pictures"


def test_every_picture_is_on_a_page():
    text = "\n".join(path.read_text() for path in DOCS.rglob("*.md"))
    missing = [path.name for path in (DOCS / "pictures").iterdir() if path.name not in text]
    assert missing == []


def test_settings_of_spark_that_pages_name_are_there():
    text = "\n".join(path.read_text() for path in [ROOT / "README.md", *DOCS.rglob("*.md")])
    source = "\n".join(path.read_text() for path in (ROOT / "elephas_torch").rglob("*.py"))
    named = set(re.findall(r"spark\.elephas\.(\w+)", text))
    assert {"host", "port", "memory", "ssl"} <= named
    assert [one for one in named if not re.search(rf"[\"'.]({one})\b", source)] == []


def test_what_the_image_copies_is_there():
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    assert copied
    assert all((ROOT / name).exists() for line in copied for name in line.split())
