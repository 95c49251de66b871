"""Runs a fit in a pseudo-terminal and writes what a person sees into docs/progress.md, and as a
picture: `python scripts/progress.py`. Needs Spark and pyte; takes half a minute."""

from __future__ import annotations

import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pyte

ROOT = Path(__file__).parent.parent
PAGE, PICTURE = ROOT / "docs" / "progress.md", ROOT / "docs" / "pictures" / "progress.svg"
COLUMNS, LINES = 140, 24

SCRIPT = """
import numpy as np
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession
from elephas_torch import ElephasTransformer, SparkModel
from elephas_torch.keras import Sequential, layers
from elephas_torch.utils.rdd_utils import to_simple_rdd
conf = SparkConf().setMaster("local[2]").set("spark.ui.showConsoleProgress", "false")
sc = SparkContext(conf=conf.set("spark.driver.host", "127.0.0.1"))
model = Sequential(name="MLP")
model.add(layers.Dense(128, activation="relu", input_dim=784))
model.add(layers.Dense(10, activation="softmax"))
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
x = np.random.default_rng(0).random((60_000, 784), dtype=np.float32)
y = np.eye(10, dtype=np.float32)[x[:, :10].argmax(1)]
rows = to_simple_rdd(sc, x, y, 2).map(lambda row: row)
trainer = SparkModel(model, mode="asynchronous", frequency=8, num_workers=2)
trainer.fit(rows, epochs=3, batch_size=32, validation_split=0.1)
trainer.predict(to_simple_rdd(sc, x, y, 8).map(lambda row: row).keys())
frame = SparkSession(sc).range(2_000_000, numPartitions=40)
frame = frame.selectExpr("array_repeat(float(id % 7), 784) as features")
scored = ElephasTransformer(model=trainer.master_network, verbose=1).transform(frame)
scored.where("prediction = 0").count()
"""
#: What is captured: the first screen whose last line is such.
MOMENTS = {
    "starting": r"Starting 2 workers \(\d of 2 there\)",
    "loading": r"Moving rows to tensors: \d{2,3}\.\d MB, .*",
    "training": r"Epoch 2/3 (9|1[0-4])\d\d/.* samples/s · .*loss.*staleness .*",
    "end": r"3 epochs in .*",
    "predicting": r"Predicting [2-7]/8 .*",
    "transforming": r"Transforming 1\d/40 .*",
}
#: The page's token in its link, which is nobody else's business.
TOKEN = re.compile(r"(?<=#token=)\S+")


def screens() -> dict[str, list[str]]:
    """What the terminal shows at each moment."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    settings = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    settings |= {"PYTHONPATH": paths, "PYSPARK_PYTHON": sys.executable, "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=theirs, stderr=subprocess.DEVNULL, env=settings
    )
    os.close(theirs)
    screen = pyte.Screen(COLUMNS, LINES)
    stream, found = pyte.ByteStream(screen), {}
    while data := _read(mine):
        for piece in re.split(b"(?=\r)", data):
            stream.feed(piece)
            lines = (TOKEN.sub("…", line.rstrip()) for line in screen.display)
            shown = [line for line in lines if line]
            for name, pattern in MOMENTS.items():
                if shown and name not in found and re.fullmatch(pattern, shown[-1]):
                    found[name] = shown
    os.close(mine)
    if process.wait():
        raise SystemExit("The fit has failed.")
    return found


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


def written(page: str, name: str, lines: list[str]) -> str:
    """The page with these lines in the block behind the comment of that name."""
    pattern = rf"(<!-- captured: {name} -->\n```text\n).*?(```\n)"
    text = "".join(f"{line}\n" for line in lines)
    changed, count = re.subn(pattern, lambda m: m[1] + text + m[2], page, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"docs/progress.md has {count} blocks for {name!r}.")
    return changed


def picture(lines: list[str]) -> str:
    """A terminal with these lines, as SVG."""
    wide, high = 8.4, 20
    width, height = round(wide * max(map(len, lines))) + 32, high * len(lines) + 28
    rows = "\n".join(
        f'  <text x="16" y="{26 + high * number}" textLength="{wide * len(line):.0f}" '
        f'xml:space="preserve">{html.escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\n'
        "  <title>A fit in a terminal</title>\n"
        f'  <rect width="{width}" height="{height}" rx="8" fill="#1e1e1e"/>\n'
        '  <g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" '
        f'fill="#e0e0e0">\n{rows}\n  </g>\n</svg>\n'
    )


def main() -> None:
    """Writes the page and the picture."""
    found, page = screens(), PAGE.read_text()
    for name in MOMENTS:
        if name not in found:
            raise SystemExit(f"{name!r} was too short to be seen. Run it again.")
        lines = found[name][-1:] if name in ("predicting", "transforming") else found[name]
        page = written(page, name, lines)
    PAGE.write_text(page)
    PICTURE.write_text(picture(found["training"]))


if __name__ == "__main__":
    main()
