"""docs/legacy.md says what the tables say."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_is_made_from_the_tables():
    script = runpy.run_path(str(ROOT / "scripts" / "legacy_page.py"))
    written = (ROOT / "docs" / "legacy.md").read_text(encoding="utf-8")
    assert script["page"]() == written, "run python scripts/legacy_page.py"
