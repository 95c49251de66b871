"""The report as text and as JSON."""

import json

from elephas_torch.cli.doctor.report import Report


def test_text_of_a_healthy_cluster(facts):
    text = str(Report.of(facts))
    assert "OK    slots      4 slots in 2 executors" in text
    assert "node0  0        4      4.29 GB      none  0.5 ms   500 MB/s" in text
    assert text.endswith("Verdict: all is well.")
    assert max(map(len, text.splitlines())) <= 100


def test_verdicts(facts):
    del facts["training"]
    assert str(Report.of(facts)).endswith("Verdict: all is well (no training was tried).")
    facts["executors"][0]["cores"] = 1
    assert Report.of(facts).verdict == "warn"
    assert "training works; 1 thing could be better: threads." in str(Report.of(facts))
    facts["spark"]["workers"] = 8
    report = Report.of(facts)
    assert report.verdict == "fail"
    assert "training will not work here: slots." in str(report)
    assert "                 -> Train with num_workers=4" in str(report)


def test_json_has_what_the_page_says(facts):
    found = json.loads(Report.of(facts).to_json())
    assert set(found) == {"format", "elephas_torch", "verdict", "findings", "facts"}
    assert (found["format"], found["verdict"]) == (1, "ok")
    assert found["facts"] == facts
    assert set(found["findings"][0]) == {"check", "level", "found", "advice"}


def test_nothing_found_is_no_good_sign():
    assert Report.of({}).verdict == "fail"
