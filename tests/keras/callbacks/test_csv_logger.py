"""`CSVLogger` writes what Keras's does."""

import csv

import keras
import numpy as np
import pytest

from elephas_torch.keras.callbacks import CSVLogger, LambdaCallback


def train(compiled, data, library, callbacks, **options):
    options = {"epochs": 3, "batch_size": 5, "verbose": 0, "shuffle": False, **options}
    compiled(library).fit(*data, callbacks=callbacks, **options)


OPTIONS = [{}, {"validation_split": 0.2}, {"validation_split": 0.2, "validation_freq": 2}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("settings", [{}, {"separator": ";"}, {"append": True}], ids=str)
def test_the_file_is_keras_s(compiled, data, tmp_path, options, settings):
    tables = []
    for library, cls in ((None, CSVLogger), (keras, keras.callbacks.CSVLogger)):
        path = tmp_path / f"{cls.__module__}.csv"
        logger = cls(str(path), **settings)
        train(compiled, data, library, [logger], **options)
        train(compiled, data, library, [logger], **options)
        tables.append(list(csv.reader(path.read_text().splitlines(), delimiter=logger.sep)))
    mine, theirs = tables
    assert mine[0] == theirs[0]
    assert len(mine) == len(theirs) == (7 if settings.get("append") else 4)
    for row, expected in zip(mine[1:], theirs[1:], strict=True):
        assert [cell == "NA" for cell in row] == [cell == "NA" for cell in expected]
        numbers = [[float(cell) for cell in one if cell != "NA"] for one in (row, expected)]
        np.testing.assert_allclose(*numbers, rtol=1e-5)


@pytest.mark.parametrize("value", ["text, with a comma", [1, 2], np.array(3.0), np.arange(2)])
def test_cells_are_keras_s(tmp_path, value):
    texts = []
    for cls in (CSVLogger, keras.callbacks.CSVLogger):
        path = tmp_path / "log.csv"
        logger = cls(str(path))
        logger.on_train_begin()
        logger.on_epoch_end(0, {"loss": 1.5, "val_value": value})
        logger.on_train_end()
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]


def test_what_other_callbacks_add_is_written(compiled, data, tmp_path):
    added = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(rate=epoch))
    train(compiled, data, None, [added, CSVLogger(tmp_path / "log.csv")])
    with (tmp_path / "log.csv").open() as file:
        assert [row["rate"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_the_file_can_be_read_while_training_goes_on(compiled, data, tmp_path):
    sizes, path = [], tmp_path / "log.csv"
    look = LambdaCallback(on_epoch_end=lambda *_: sizes.append(len(path.read_text().split())))
    train(compiled, data, None, [CSVLogger(path), look])
    assert sizes == [2, 3, 4]


def test_a_separator_of_several_characters_is_named():
    with pytest.raises(ValueError, match="separator=', '"):
        CSVLogger("log.csv", separator=", ")
