"""Pictures of the live page in docs/pictures: `python scripts/screenshots.py` takes them anew.

They are of a real fit, in a real browser: chromium and chromedriver must be on the PATH, and the
package selenium be installed. Without them it says so, and leaves the pictures as they are.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip
#: Name, width and height in CSS pixels, dots for each, dark.
VIEWS = (
    ("page-light", 1180, 1290, 1, False),
    ("page-dark", 1180, 1290, 1, True),
    ("page-below", 1180, 900, 1, False),
    ("page-phone", 390, 1500, 1, False),
)


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium with a profile of its own."""
    from selenium import webdriver

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        service = webdriver.ChromeService(str(shutil.which("chromedriver")))
        driver = webdriver.Chrome(options, service)
        try:
            yield driver
        finally:
            driver.quit()


def taken(driver: Any, view: tuple[str, int, int, int, bool], folder: Path) -> None:
    """Takes one picture of the page that is open."""
    name, width, height, dots, dark = view
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": dots, "mobile": False},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    below = "document.getElementById('staff').scrollIntoView()"
    driver.execute_script(below if name == "page-below" else "scrollTo(0, 0)")
    time.sleep(1.0)
    driver.save_screenshot(str(folder / f"{name}.png"))


def rows(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten classes by a random network, a tenth of the labels by chance."""
    draw = np.random.default_rng(7)
    x = draw.standard_normal((number, 64)).astype(np.float32)
    hidden = np.tanh(x @ draw.standard_normal((64, 24)) / 4)
    labels = (hidden @ draw.standard_normal((24, 10))).argmax(1)
    chance = draw.random(number) < 0.1
    labels[chance] = draw.integers(0, 10, chance.sum())
    return x, np.eye(10, dtype=np.float32)[labels]


def main(folder: Path = FOLDER) -> None:
    """Fits, and takes the pictures meanwhile."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    with contextlib.suppress(ImportError):
        import selenium  # noqa: F401
    if "selenium" not in sys.modules:
        missing.append("the package selenium")
    if missing:
        print(f"No screenshots: {', '.join(missing)} missing.")
        return
    from pyspark import SparkConf, SparkContext

    from elephas_torch import SparkModel
    from elephas_torch.keras.layers import Dense
    from elephas_torch.keras.models import Sequential
    from elephas_torch.keras.optimizers import SGD
    from elephas_torch.utils.rdd_utils import to_simple_rdd

    conf = SparkConf().setMaster("local[4]").set("spark.ui.enabled", "false")
    context = SparkContext(conf=conf.set("spark.driver.host", "127.0.0.1"))
    context.setLogLevel("ERROR")
    rdd = to_simple_rdd(context, *rows(6_000), 4)

    def spark_model(rate: float, width: int) -> SparkModel:
        layers = [Dense(width, activation="relu", input_dim=64), Dense(10, activation="softmax")]
        model = Sequential(layers, name="classifier")
        model.compile(SGD(rate), "categorical_crossentropy", metrics=["accuracy"])
        return SparkModel(model, frequency="batch", num_workers=4, batch_size=32, seed=1)

    for rate, width in ((0.02, 48), (0.4, 64)):
        spark_model(rate, width).fit(rdd, epochs=24, validation_split=0.1, verbose=0)
    shown = spark_model(0.1, 96)
    fitting = threading.Thread(
        target=shown.fit, args=(rdd,), kwargs={"epochs": 100, "validation_split": 0.1, "verbose": 0}
    )
    fitting.start()
    while not shown.monitor().running:
        time.sleep(0.1)
    with browser() as driver:
        driver.get(shown.monitor().url)
        seen = "return Number(document.querySelector('#tiles dd span')?.textContent)"
        while (driver.execute_script(seen) or 0) < 30:
            time.sleep(0.5)
        for view in VIEWS:
            taken(driver, view, folder)
    shown.monitor().stop(now=True)
    fitting.join()
    context.stop()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
