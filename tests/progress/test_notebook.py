"""A fit in a notebook that is executed for real, and what it leaves there."""

import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent.parent

SETUP = """
import time
import numpy as np
from pyspark import SparkConf, SparkContext
from elephas_torch import SparkModel
from elephas_torch.keras import Sequential, layers
from elephas_torch.utils.rdd_utils import to_simple_rdd
conf = SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false")
conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
sc = SparkContext(conf=conf)
slow = layers.Lambda(lambda x: time.sleep(0.002) or x)
model = Sequential([layers.Dense(8, input_dim=20), slow, layers.Dense(1)])
model.compile("sgd", "mse")
x = np.random.default_rng(0).random((40_000, 20), dtype=np.float32)
rows = to_simple_rdd(sc, x, x[:, :1], 2)
trainer = SparkModel(model, mode="asynchronous", frequency="epoch", num_workers=2)
"""
#: Another cell that computes what is lazy.
SCORE = """
from pyspark.sql import SparkSession
from elephas_torch import ElephasTransformer
from elephas_torch.progress import stages
stages.AFTER, stages.EVERY = 0.1, 0.05
frame = SparkSession(sc).range(4000, numPartitions=8)
frame = frame.selectExpr("array_repeat(0.5D, 20) as features")
transformer = ElephasTransformer(model=model, verbose=1, inferenceBatchSize=8)
transformer.transform(frame).groupBy().sum("prediction").collect();
"""
FIT = "history = trainer.fit(rows, epochs=2, batch_size=32)"


def test_what_a_person_sees(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, FIT, SCORE, "sc.stop()")]
    book = nbformat.v4.new_notebook(cells=cells)
    shown, scored = [], []

    class Client(NotebookClient):
        def process_message(self, message, cell, index):
            if message["msg_type"] in ("display_data", "update_display_data"):
                (scored if index == 2 else shown).append(message["content"]["data"])
            return super().process_message(message, cell, index)

    Client(book, timeout=120, kernel_name="python3").execute()

    # The output in place, as long as it lived.
    (page,) = [one for one in shown if "Watch the fit" in one.get("text/html", "")]
    shown.remove(page)
    texts = [one["text/plain"] for one in shown]
    assert texts[0] == "Starting 2 workers" and texts[-1] == ""
    bars = [
        text for text in texts if re.match(r"Epoch [12]/2 \d+/\d+ [━╸─]+ · .*2/2 workers", text)
    ]
    assert len(bars) >= 2
    assert any("samples/s" in bar and "loss: 0." in bar for bar in bars)
    assert any('<progress value="' in one["text/html"] for one in shown)
    # What stays in the notebook: the lines, and nothing of the bar.
    lines = "".join(o["text"] for o in book.cells[1].outputs if o["output_type"] == "stream")
    first, second, last = lines.splitlines()
    assert re.fullmatch(r"Epoch 1/2( - 1250/1250)? - \d+\.\ds - loss: 0\.\d{4}", first)
    assert re.fullmatch(r"Epoch 2/2 - 1250/1250 - \d+\.\ds - loss: 0\.\d{4}", second)
    assert re.fullmatch(r"2 epochs in \d+\.\ds - [\d,]+ samples/s, its start included", last)
    assert not any("\r" in str(output) or "\033" in str(output) for output in book.cells[1].outputs)
    display, link = [o for o in book.cells[1].outputs if o["output_type"] == "display_data"]
    assert link["data"] == page and display["data"]["text/html"] == ""

    # What is lazy, in the cell that computes it.
    texts = [one["text/plain"] for one in scored]
    assert len(texts) > 2 and texts[-1] == ""
    assert all(re.match(r"Transforming \d/8 tasks [━╸─]+ · .* rows/s$", one) for one in texts[:-1])
    (display,) = [o for o in book.cells[2].outputs if o["output_type"] == "display_data"]
    assert display["data"]["text/html"] == ""
