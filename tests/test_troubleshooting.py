"""docs/troubleshooting.md: each message that it explains is one that the package has."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"
#: A message of this package; those of others are in italics, and symptoms in plain bold.
TERM = re.compile(r"^\*\*(`+)(.+)\1\*\*$", re.MULTILINE)
#: What a wait or a connection ends with: the long messages of these are all explained.
EXPLAINED = ("Unreachable", "WaitTimeout")


def text(node):
    """A string, or an f-string with … for what is filled in; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (one.value if isinstance(one, ast.Constant) else "…" for one in node.values)
        return "".join(map(str, parts))
    return None


TREES = [ast.parse(path.read_text()) for path in (ROOT / "elephas_torch").rglob("*.py")]
STRINGS = {text(node) for tree in TREES for node in ast.walk(tree)} - {None}
SOURCE = "\0".join(" ".join(string.split()) for string in STRINGS if len(string) > 8)
MESSAGES = [found for _, found in TERM.findall(PAGE.read_text())]


def fits(message, strings):
    """Whether the message is in one of the strings, with anything for its …"""
    pattern = "[^\0]*?".join(map(re.escape, message.strip("… ").split("…")))
    return re.search(pattern, strings) is not None


def test_every_message_is_in_the_source():
    assert len(MESSAGES) > 70
    assert all(len(re.sub(r"[… ]", "", message)) > 7 for message in MESSAGES)
    assert [message for message in MESSAGES if not fits(message, SOURCE)] == []


def test_other_messages_are_not_found():
    assert not fits("Can't reach the server of … parameters from host …", SOURCE)
    assert not fits("Can't reach the … Give the file itself", SOURCE)


def test_waits_and_cut_connections_are_explained():
    calls = [node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [call for call in calls if getattr(call.func, "id", "") in EXPLAINED and call.args]
    raised = {message for call in named if len(message := text(call.args[0]) or "") > 40}
    assert len(raised) > 5
    page = [message for message in MESSAGES if len(message) > 20]
    assert {one for one in raised if not any(fits(message, one) for message in page)} == set()
