"""`History`: the fit as a file and as a picture."""

import json
import pickle
import re
import sys

import numpy as np
import pytest

from elephas_torch.keras.callbacks import History
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.models import Sequential


@pytest.fixture(scope="module")
def fitted():
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    model = Sequential([Dense(4), Dense(1)], name="small")
    model.compile("adam", "mse", metrics=["mae"])
    return model.fit(x, x[:, :1], epochs=3, validation_split=0.2, verbose=0)


def story(text):
    return json.loads(re.search(r'id="story">(.*?)</script>', text, re.S)[1])


def test_a_fit_of_one_process_is_one_file(fitted, tmp_path):
    text = fitted.to_html(tmp_path / "fit.html")
    assert (tmp_path / "fit.html").read_text(encoding="utf-8") == text
    found = story(text)
    assert found["about"]["title"] == "small" and "dense" in found["about"]["summary"]
    assert found["state"] == "finished" and found["about"]["epochs"] == 3
    for number, row in enumerate(found["epochs"]):
        assert row["epoch"] == number and row["rate"] == pytest.approx(0.001)
        assert row["logs"] == {name: values[number] for name, values in fitted.history.items()}
    times = [row["time"] for row in found["epochs"]]
    assert times == sorted(times)


def test_without_a_fit_there_is_a_page_all_the_same():
    assert story(History().to_html())["epochs"] == []


def test_values_that_came_later_belong_to_the_last_epochs():
    history = History()
    history.epoch, history.history = [4, 5], {"loss": [2.0, 1.0], "late": [7.0]}
    found = story(history.to_html())["epochs"]
    assert [row["logs"] for row in found] == [{"loss": 2.0}, {"loss": 1.0, "late": 7.0}]


def test_it_can_be_pickled(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    assert again.history == fitted.history
    assert story(again.to_html()) == story(fitted.to_html())


def test_curves_are_drawn_with_matplotlib(fitted, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: it is in the extra test")
    figure = fitted.plot(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "mae"]
    solid, dashed = figure.axes[0].lines
    assert list(solid.get_xdata()) == [1, 2, 3]
    assert list(dashed.get_ydata()) == fitted.history["val_loss"]
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert figure._repr_png_().startswith(b"\x89PNG"), "what notebooks show"


def test_an_axis_of_small_values_has_no_offset(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: it is in the extra test")
    history = History()
    for epoch, rate in enumerate((0.001, 0.00100001, 0.001)):
        history.on_epoch_end(epoch, {"learning_rate": rate})
    figure = history.plot(tmp_path / "fit.png")
    assert figure.axes[0].yaxis.get_offset_text().get_text() == ""


def test_nothing_to_plot_is_said():
    with pytest.raises(ValueError, match="no epoch has ended"):
        History().plot()


def test_matplotlib_is_asked_for_where_it_is_missing(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'elephas-torch\[plot\]'"):
        fitted.plot()
