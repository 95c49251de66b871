"""The page as text: what is data in it can't become anything else."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from elephas_torch import page

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>{{script}}{{story}} & \u2028"
)


def embedded(text):
    return re.search(r'<script type="application/json" id="story">(.*?)</script>', text, re.S)[1]


def test_a_story_comes_back_as_it_was_and_ends_no_element():
    story = {"about": {"title": HOSTILE, "config": {HOSTILE: HOSTILE}}, "epochs": []}
    text = page.document(story)
    assert json.loads(embedded(text)) == story
    assert "<img" not in text and text.count("<script") == 2 and text.count("</script") == 2
    assert "&lt;/script&gt;" in re.search("<title>(.*?)</title>", text, re.S)[1]


def test_no_outside_address_is_in_the_page():
    text = page.document()
    found = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert found == {"http://www.w3.org/2000/svg"}  # a name, which nobody asks for
    assert "import(" not in text and "url(" not in text


def test_the_policy_lets_nothing_run_but_the_page_itself():
    text, headers = page.document(), dict(page.headers())
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for element in ("style", "script"):
        inside = re.search(rf"<{element}>(.*?)</{element}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store"
    assert "connect-src 'none'" in page.document({}) and "Content-Security-Policy" not in text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (float("nan"), "NaN"),
        ([float("inf"), -float("inf")], ["Infinity", "-Infinity"]),
        (10**400, "1" + "0" * 39),
        (np.float32(0.5), 0.5),
        ({1: (True, None, "é")}, {"1": [True, None, "é"]}),
        (np.int64(3), 3),
    ],
)
def test_data_is_made_plain(given, expected):
    found = page.plain(given)
    assert found == expected
    json.dumps(found, allow_nan=False)


def test_what_is_too_deep_or_no_data_becomes_a_text():
    deep = value = []
    for _ in range(50):
        value.append([])
        value = value[0]
    assert len(json.dumps(page.plain(deep))) < 200
    assert page.plain(object).startswith("<class")
