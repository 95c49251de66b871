import html.parser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elephas_torch.progress import paint
from elephas_torch.progress.view import Tasks, View

VIEW = View(
    epoch=2, epochs=20, done=312, total=625, rate=81204.4, epoch_left=3.4, fit_left=72, alive=4,
    workers=4, staleness=1.26, logs={"accuracy": 0.94123, "loss": 0.19621},
)  # fmt: skip


def test_a_whole_line():
    assert paint.text(VIEW, 200) == (
        "Epoch 3/20 312/625 ━━━━━━━━━━━╸──────────── · 0:03 of 1:12 left · 81,204 samples/s · "
        "accuracy: 0.9412 - loss: 0.1962 · 4/4 workers · staleness 1.3"
    )


def test_ascii_alone():
    found = paint.text(VIEW, 200, fine=False)
    assert found.isascii()
    assert found.startswith("Epoch 3/20 312/625 ===========>------------ | 0:03 of 1:12 left | ")
    odd = View(done=1, total=2, logs={"précision": 0.5})
    assert paint.text(odd, 200, fine=False).isascii()


def test_the_bar_shrinks_before_anything_is_cut():
    found = paint.text(VIEW, 140)
    assert "staleness 1.3" in found and len(found) == 140
    assert paint.text(VIEW, 120).startswith("Epoch 3/20 312/625 ━━━╸──── · 0:03")


@given(st.integers(1, 200), st.text(max_size=30), st.booleans())
def test_no_line_is_wider_than_the_terminal_or_moves_its_cursor(width, name, fine):
    for view in (
        View(done=1, total=3, epochs=2, rate=1.0, logs={name: 0.5}),
        View("Starting 4 workers"),
        Tasks("Predicting", 3, 40, 12.0),
    ):
        found = paint.text(view, width, fine)
        assert paint.columns(found) <= width and found.isprintable()


def test_wide_signs_take_two_columns():
    assert paint.columns("精度") == 4 and paint.cut("精度: 0.5", 5) == "精度:"


@pytest.mark.parametrize(
    ("done", "total", "found"),
    [
        (0, 0, "────"),
        (0, 8, "────"),
        (1, 8, "╸───"),
        (4, 8, "━━──"),
        (8, 8, "━━━━"),
        (9, 8, "━━━━"),
    ],
)
def test_bars(done, total, found):
    assert paint.drawn(done, total, 4) == found


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (725, "12:05"), (3725, "1:02:05")]
)
def test_times(seconds, text):
    assert paint.duration(seconds) == text


def test_validation_has_its_word():
    assert "· validating ·" in paint.text(View(done=2, total=2, validating=True, workers=1), 100)


def test_tasks():
    assert paint.text(Tasks("Predicting", 10, 40, 12), 100) == (
        "Predicting 10/40 tasks ━━━━━━────────────────── · 0:12"
    )


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.said = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said += data


def test_html_shows_the_same_and_runs_nothing():
    parser = Tags()
    logs = {"<script>alert(1)</script>": 0.5}
    parser.feed(paint.markup(View(epoch=1, epochs=2, done=3, total=4, logs=logs, workers=1)))
    assert [tag for tag, _ in parser.tags] == ["div", "progress"]
    assert parser.tags[1][1] == {"value": "3", "max": "4"}
    assert "Epoch 2/2 3/4" in parser.said and "<script>alert(1)</script>: 0.5000" in parser.said
    text = Tags()
    text.feed(paint.markup(View("Moving <b>rows</b>")))
    assert text.said == "Moving <b>rows</b>" and len(text.tags) == 1
