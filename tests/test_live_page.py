"""The page in a real browser: a headless Chromium, which sees real fits.

axe-core, which looks for what people who can't see or can't use a mouse would stumble at, comes by
`make axe`, which `make test` does where npm is there.
"""

import importlib.util
import os
import re
import shutil
import threading
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
import torch

from elephas_torch import optimizers, page
from elephas_torch.flat import Vectors
from elephas_torch.keras.callbacks import LambdaCallback
from elephas_torch.keras.layers import Dense
from elephas_torch.keras.metrics import MeanAbsoluteError
from elephas_torch.keras.models import Sequential
from elephas_torch.parameter import ServerProcess, Settings
from elephas_torch.parameter.watching import MOST
from elephas_torch.spark_model import SparkModel
from elephas_torch.utils.rdd_utils import to_simple_rdd

ROOT = Path(__file__).parent.parent
AXE = Path(os.environ.get("ELEPHAS_TORCH_AXE", ROOT / "build" / "axe" / "axe.min.js"))
HOSTILE = "<img src=x onerror=alert(1)>"

selenium = pytest.importorskip(
    "selenium.webdriver.common.keys", reason="needs selenium: it is in the extra test"
)
Keys = selenium.Keys
if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
    pytest.skip("needs chromium and chromedriver on the PATH", allow_module_level=True)


def scripts():
    found = importlib.util.spec_from_file_location("shots", ROOT / "scripts" / "screenshots.py")
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def chromium():
    with scripts().browser() as driver:
        driver.set_page_load_timeout(30)
        driver.set_script_timeout(30)
        yield driver


@pytest.fixture
def browser(chromium):
    """Chromium; the test fails where a page has written to its console."""
    chromium.get_log("browser")
    yield Browser(chromium)
    assert chromium.get_log("browser") == []
    chromium.get("about:blank")


class Browser:
    def __init__(self, driver):
        self.driver = driver

    def open(self, address):
        self.driver.get("about:blank")  # a change of the fragment alone loads nothing
        self.driver.get(address)

    def see(self, width=1180, height=1400, dark=False):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.textContent", selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"it didn't come; the page is {self.text('#state')!r}"
            time.sleep(0.05)
        return found

    def state(self, *expected):
        return self.until(lambda: self.text("#state") in expected)

    def epoch(self):
        return int(self.text("#tiles dd span") or 0)

    def curve(self, title):
        """The first curve of a chart, as it is drawn."""
        return self.run(
            "for (const one of document.querySelectorAll('.chart')) {"
            "if (one.querySelector('h3').textContent === arguments[0])"
            "return one.querySelector('path.c0')?.getAttribute('d') }",
            title,
        )

    def loaded(self):
        """Addresses of all that the page has loaded, itself too."""
        return self.run(
            "return [location.href, ...performance.getEntriesByType('resource').map(e => e.name)]"
        )

    def axe(self):
        """What axe-core complains of."""
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text()})
        return self.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document).then(found => done(found.violations.map("
            "one => [one.id, one.nodes.map(node => node.html.slice(0, 200))])))"
        )


@pytest.fixture(scope="module")
def rdd(spark_context):
    x = np.random.default_rng(0).standard_normal((256, 5)).astype(np.float32)
    return to_simple_rdd(spark_context, x, x.sum(1, keepdims=True), 2)


@pytest.fixture
def fitting(rdd):
    """fitting(epochs, callbacks, **how) -> a `SparkModel` that is being fitted, and its thread"""
    running = []

    def start(epochs=100_000, callbacks=None, **how):
        torch.manual_seed(0)
        model = Sequential([Dense(8, activation="tanh", input_dim=5), Dense(1)], name=HOSTILE[1:6])
        model.compile("sgd", "mse", metrics=[MeanAbsoluteError(name=HOSTILE)])
        spark_model = SparkModel(
            model, **{"frequency": "batch", "num_workers": 2, "batch_size": 16, **how}
        )
        given = {"epochs": epochs, "verbose": 0, "validation_split": 0.1, "callbacks": callbacks}
        thread = threading.Thread(target=spark_model.fit, args=(rdd,), kwargs=given, daemon=True)
        thread.start()
        running.append((spark_model, thread))
        end = time.monotonic() + 60
        while not spark_model.monitor().running:
            assert time.monotonic() < end
            time.sleep(0.02)
        return spark_model, thread

    yield start
    for spark_model, thread in running:
        if thread.is_alive() and spark_model.monitor().running:
            spark_model.monitor().stop(now=True)
        thread.join(30)
        assert not thread.is_alive()


def slower(seconds=0.05):
    return [LambdaCallback(on_epoch_end=lambda *_: time.sleep(seconds))]


@pytest.mark.spark
def test_a_fit_is_watched_and_stopped_after_an_epoch(browser, fitting, rdd):
    _, thread = fitting(epochs=2)
    thread.join(60)
    spark_model, thread = fitting(mode="synchronous", callbacks=slower())
    link = spark_model.monitor().url
    browser.see()
    browser.open(link)
    browser.until(lambda: browser.epoch() >= 2 and browser.curve("loss"))
    before = browser.epoch(), browser.curve("loss")
    browser.until(lambda: browser.epoch() > before[0] and browser.curve("loss") != before[1])
    browser.until(lambda: browser.curve("rows/s") and browser.curve("MB/s"))
    assert "Left, about" in browser.text("#tiles")

    rows = [one.text for one in browser.all("#workers tbody tr")]
    assert len(rows) == 2 and all(
        re.match(r"\d \S+ cpu (training|validating|active)", one) for one in rows
    )
    assert "mode" in browser.text("#config") and "dense" in browser.text("#summary")
    assert "Worker 1 joined" in browser.text("#log")
    assert len(browser.all("#runs label")) >= 2, "the first fit is overlaid"
    assert len(browser.all("#charts .line.old")) >= 2

    # A metric's name is a text, whatever it says.
    assert HOSTILE in [one.text for one in browser.all(".chart h3")]
    assert browser.run("return document.images.length") == 0

    browser.one("#stop-later").click()
    thread.join(30)
    assert not thread.is_alive()
    browser.state("stopped")
    history = spark_model.master_network.history
    assert len(history.epoch) == browser.epoch() < 100_000
    assert history.story["state"] == "stopped" and not browser.one("#stop-now").is_displayed()
    assert {"loss", "val_loss"} <= history.history.keys()

    origin = link.partition("/#")[0]
    expected = {f"{origin}/", f"{origin}/watch", f"{origin}/stop"}
    browser.until(lambda: {one.partition("#")[0] for one in browser.loaded()} == expected)


@pytest.mark.spark
def test_stop_now_asks_first_and_works_by_keyboard(browser, fitting):
    spark_model, thread = fitting(mode="asynchronous")
    browser.see()
    browser.open(spark_model.monitor().url)
    browser.until(lambda: browser.one("#stop-now").is_displayed())
    browser.one("#stop-now").send_keys(Keys.ENTER)
    browser.until(lambda: browser.one("#sure").is_displayed())
    assert browser.driver.switch_to.active_element.text == "Train on"
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.until(lambda: not browser.one("#sure").is_displayed())
    assert spark_model.monitor().running
    browser.one("#stop-now").send_keys(Keys.ENTER)
    browser.one("#sure-yes").send_keys(Keys.ENTER)
    thread.join(30)
    assert not thread.is_alive()
    browser.state("stopped")


@pytest.mark.spark
def test_without_the_token_nothing_is_seen_and_nothing_stops(browser, fitting):
    spark_model, thread = fitting(mode="asynchronous")
    url, _, token = spark_model.monitor().url.partition("#token=")
    browser.see()
    browser.open(url)
    browser.until(lambda: browser.one("#ask").is_displayed())
    assert not browser.one("#buttons").is_displayed() and not browser.all("#tiles > div")
    empty = "#state, #progress, #tiles, #curves"
    assert not any(one.is_displayed() for one in browser.all(empty)), "there is nothing to show"
    answers = browser.driver.execute_async_script(
        "const done = arguments[0], asked = [['watch', 'GET'], ['stop', 'POST']];"
        "Promise.all(asked.map(([route, method]) => fetch(route, {method, headers:"
        "{Authorization: 'Bearer wrong'}, body: method === 'POST' ? '{\"now\":true}' : undefined})"
        ".then(answer => answer.status))).then(done)"
    )
    assert answers == [401, 401] and thread.is_alive()
    # Chromium itself writes down refusals.
    assert len(browser.driver.get_log("browser")) == 2

    browser.one("#token").send_keys("x" * 43, Keys.ENTER)
    browser.until(lambda: "The token is wrong" in browser.text("#note"))
    assert len(browser.driver.get_log("browser")) == 1
    assert not any(one.is_displayed() for one in browser.all(empty))
    browser.one("#token").send_keys(spark_model.monitor().url, Keys.ENTER)
    browser.state("training")
    assert all(one.is_displayed() for one in browser.all(empty))
    assert token not in "".join(browser.loaded()[1:])


def finished():
    """A story with all that there can be."""
    logs = [{"loss": 2.0 / n, "val_loss": 2.2 / n, "accuracy": 1 - 1 / n} for n in range(1, 9)]
    logs[3]["loss"] = float("nan")
    rows = [{"epoch": n, "time": 1e9 + n, "rate": 0.1, "logs": one} for n, one in enumerate(logs)]
    states = ("active", "left", "expired", "failed", "away")
    workers = [
        {"worker": n, "host": "a.example", "device": "NVIDIA H100", "state": one, "phase": "",
         "epoch": 3, "batch": 7, "samples": 100, "rate": 5.5, "stale": n, "last_seen": 0.1,
         "tries": n, "logs": {"loss": 0.5}}
        for n, one in enumerate(states)
    ]  # fmt: skip
    kinds = ("join", "leave", "expired", "returned", "failure", "restarted", "stopping")
    return {
        "about": {"title": HOSTILE, "began": 1e9, "first": 0, "epochs": 8, "batch_size": 10,
                  "config": {HOSTILE: [1, {"a": None}]}, "summary": HOSTILE,
                  "earlier": [{"title": "before", "began": 9e8, "epochs": rows[:4]}]},
        "state": "finished", "ended": 1e9 + 9, "time": 1e9 + 9, "epochs": rows, "workers": workers,
        "moments": [[1e9 + n, 50 * n, 1e6 * n * n, n] for n in range(10)], "version": 9,
        "expected": 5, "joined": 5, "staleness": {"0": 50, "1": 20, "7": 3, "40": 1},
        "log": [{"time": 1e9, "kind": kind, "worker": 1, "text": HOSTILE} for kind in kinds],
    }  # fmt: skip


@pytest.fixture
def file(tmp_path):
    (tmp_path / "fit.html").write_text(page.document(finished()), encoding="utf-8")
    return (tmp_path / "fit.html").as_uri()


def test_a_file_needs_nothing_else(browser, file):
    browser.see()
    browser.open(file)
    browser.state("finished")
    browser.until(lambda: browser.curve("loss"))
    assert browser.loaded() == [file]
    assert browser.run("return document.images.length") == 0
    assert browser.text("#title") == HOSTILE and HOSTILE in browser.text("#log")
    assert not browser.one("#buttons").is_displayed() and not browser.one("#ask").is_displayed()
    assert "NaN" not in browser.curve("loss")
    assert [one.text for one in browser.all("#staleness tbody th")] == [
        "0",
        "1",
        "5\N{EN DASH}8",
        "33\N{EN DASH}64",
    ]


@pytest.mark.parametrize(
    ("rates", "tile", "form"),
    [
        ((0.001, 0.0005, 0.00025), "2.5e-4", r"0|[\d.]+e-\d"),
        ((0.001, 0.001, 0.001), "0.001", r"0\.\d+"),
    ],
)
def test_learning_rates_have_one_form(browser, tmp_path, rates, tile, form):
    story = finished()
    story["about"]["earlier"] = []
    story["epochs"] = [
        {**row, "rate": one} for row, one in zip(story["epochs"], rates, strict=False)
    ]
    (tmp_path / "fit.html").write_text(page.document(story), encoding="utf-8")
    browser.see()
    browser.open((tmp_path / "fit.html").as_uri())
    browser.until(lambda: browser.run("return document.querySelector('.grid')"))
    tiles = dict(browser.run(
        "return [...document.querySelectorAll('#tiles > div')].map(one =>"
        "[one.querySelector('dt').textContent, one.querySelector('dd').textContent])"
    ))  # fmt: skip
    assert tiles["Learning rate"] == tile and tiles["Epochs done"] == "3 of 8"
    said = browser.run(
        "const [one] = [...document.querySelectorAll('.chart')].filter("
        "one => one.querySelector('h3').textContent === 'learning rate');"
        "const texts = [...one.querySelectorAll('.plot text:not([y=\"201\"])')];"
        "return texts.map(one => one.textContent)"
    )
    assert len(said) > 3 and all(re.fullmatch(form, one) for one in said), said


def test_curves_are_read_by_keyboard_mouse_and_as_tables(browser, file):
    browser.see()
    browser.open(file)
    browser.until(lambda: browser.curve("accuracy"))
    plot = browser.one("[aria-label='accuracy: values by epoch']")
    said = [plot.get_attribute("aria-valuetext")]
    for key in (Keys.HOME, Keys.ARROW_RIGHT, Keys.PAGE_DOWN):
        plot.send_keys(key)
        said.append(plot.get_attribute("aria-valuetext"))
    assert said == [
        "Epoch 8: training 0.875", "Epoch 1: training 0", "Epoch 2: training 0.5",
        "Epoch 1: training 0",
    ]  # fmt: skip
    tip = plot.find_element("css selector", ".tip")
    assert tip.is_displayed() and "Epoch 1" in tip.text and "run 1" in tip.text
    plot.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()

    box = browser.run("const b = arguments[0].getBoundingClientRect(); return [b.x, b.y]", plot)
    where = {"type": "mouseMoved", "x": box[0] + 200, "y": box[1] + 60}
    browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", where)
    browser.until(tip.is_displayed)

    browser.one(".chart summary").click()
    rows = browser.until(lambda: [one.text for one in browser.all(".chart tbody tr")])
    assert rows[0] == "8 0.25 0.275" and rows[-1] == "1 2 2.2"
    before = browser.curve("loss")
    browser.one(".chart button").click()
    assert browser.curve("loss") != before
    assert browser.one(".chart button").get_attribute("aria-pressed") == "true"
    assert len(browser.all("#charts .line.old")) == 4
    browser.all("#runs input")[1].click()
    assert len(browser.all("#charts .line.old")) == 0


def test_tab_reaches_everything_and_shows_where_it_is(browser, file):
    browser.see()
    browser.open(file)
    browser.until(lambda: browser.curve("loss"))
    seen = set()
    for _ in range(60):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        active, outline = browser.run(
            "const e = document.activeElement; return [e.tagName + e.id + e.className,"
            "getComputedStyle(e).outlineStyle]"
        )
        if active.startswith("BODY"):
            break
        assert outline != "none", active
        seen.add(active)
    assert {"DIVplot", "BUTTONsmall", "SUMMARY", "OLlogcard log scroll"} <= seen


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(browser, file, dark):
    if not AXE.is_file():
        pytest.skip("needs axe-core: `make axe` fetches it")
    for width in (1180, 360):
        browser.see(width, 1400, dark)
        browser.open(file)
        browser.until(lambda: browser.curve("loss"))
        for one in browser.all("summary"):
            one.click()
        assert browser.axe() == []
    browser.run("document.getElementById('sure').showModal();"
                "document.getElementById('ask').hidden = false;"
                "document.getElementById('buttons').hidden = false;"
                "document.getElementById('note').hidden = false")  # fmt: skip
    assert browser.axe() == []


def test_a_phone_shows_all_without_scrolling_sideways(browser, file):
    browser.see(360, 800)
    browser.open(file)
    browser.until(lambda: browser.curve("loss"))
    assert browser.run("return document.documentElement.scrollWidth") <= 360


def a_run():
    """What a server needs, and what it is told."""
    initial = Vectors(torch.zeros(3), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    settings = Settings("asynchronous", initial.sizes, optimizers.serialize(optimizers.SGD(0.1)))
    return settings, initial, {"about": {"title": "falls", "epochs": 9}, "state": "running"}


def test_one_page_too_many_says_so_and_waits_for_another_to_go(browser):
    settings, initial, told = a_run()
    with ServerProcess(settings, initial) as server, ExitStack() as others:
        with server.client() as client:
            client.tell(**told)
        for _ in range(MOST):
            one = others.enter_context(closing(HTTPConnection(*server.address, timeout=10)))
            one.request("GET", "/watch", headers={"Authorization": f"Bearer {server.page_token}"})
            assert others.enter_context(one.getresponse()).status == 200
        browser.see()
        browser.open(server.link)
        browser.state("too many look on")
        assert f"{MOST} pages look on already: close one of them." in browser.text("#note")
        others.close()
        browser.state("training")
        assert browser.text("#note") == ""
    # Chromium itself writes down refusals, and that the server is gone.
    said = browser.driver.get_log("browser")
    assert all("/watch" in one["message"] and one["source"] == "network" for one in said)


def test_a_server_that_falls_is_waited_for(browser):
    settings, initial, told = a_run()
    with ServerProcess(settings, initial) as server:
        with server.client() as client:
            client.tell(**told, epochs=[{"epoch": 0, "time": 1.0, "logs": {"loss": 0.5}}])
            checkpoint = client.checkpoint(fresh=True)
        browser.see()
        browser.open(server.link)
        browser.state("training")
        server.kill()
        browser.state("lost contact")
        assert browser.one("#stop-now").get_attribute("disabled")
        server.restart(checkpoint)
        with server.client() as client:
            client.tell(**told, epochs=[{"epoch": n, "time": 1.0, "logs": {}} for n in (0, 1)])
            browser.until(lambda: browser.epoch() == 2)
            browser.state("training")
            assert "was started again" in browser.text("#log")
            client.tell(state="finished")
            browser.state("finished")
    # Chromium itself writes down connections that are refused.
    said = browser.driver.get_log("browser")
    assert all("/watch" in one["message"] and one["source"] == "network" for one in said)
