"""Progbar against Keras 3's: the same text but for the times."""

import re

import keras
import numpy as np
import pytest
import torch

from elephas_torch.keras.utils import Progbar

TIME = re.compile(r"\d+(:\d+)*(s|ms|us)")
#: Backspaces and blanks depend on how long the times are.
LENGTHS = re.compile(r" *(\x08*\r)")


def shown(make, capsys, **arguments):
    bar = make(**arguments)
    for step in range(1, 4):
        bar.update(step, [("loss", 1.0 / step), ("acc", step / 7), ("tiny", 1e-5 * step)])
    bar.add(1, [("loss", np.float32(0.25)), ("acc", 0.5)])
    bar.update(5, [("loss", 2.0)], finalize=arguments.get("target") is None or None)
    text = capsys.readouterr().out
    # How long the time is written, and so what is wiped out behind it, depends on the machine.
    lines = LENGTHS.sub("|", TIME.sub("T", text)).split("\n")
    return "\n".join(line.rstrip() for line in lines)


@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize(
    "arguments",
    [
        {"target": 5},
        {"target": 5, "stateful_metrics": ["loss"]},
        {"target": 5, "stateless_metrics": ["acc"]},
        {"target": 100, "width": 7},
        {"target": None},
        {"target": 5, "unit_name": "sample"},
    ],
)
def test_the_text_is_keras_s(capsys, verbose, arguments):
    settings = {**arguments, "verbose": verbose, "interval": 0}
    ours = shown(Progbar, capsys, **settings)
    assert ours == shown(keras.utils.Progbar, capsys, **settings)
    assert bool(ours) is (verbose == 1 or (verbose == 2 and settings["target"] == 5))


def test_values_are_means_over_steps_unless_they_are_stateful(capsys):
    for names, expected in ((None, "a: 2.0000"), (["a"], "a: 3.0000")):
        bar = Progbar(None, interval=0, stateful_metrics=names)
        bar.update(1, [("a", 1.0)])
        bar.update(2, [("a", torch.tensor(3.0))])
        assert expected in capsys.readouterr().out.splitlines()[-1]


def test_it_is_drawn_no_more_often_than_the_interval(capsys):
    bar = Progbar(1000, interval=1000)
    for step in range(1, 1000):
        bar.update(step)
    assert capsys.readouterr().out.count("/1000") == 1
    bar.update(1000)
    assert capsys.readouterr().out.count("1000/1000") == 1


def test_both_kinds_of_names_are_refused():
    with pytest.raises(ValueError, match="Received: both"):
        Progbar(1, stateful_metrics=["a"], stateless_metrics=["b"])
