"""`elephas-torch train`: configurations, right and wrong, and trainings on real files."""

import json
import re
import textwrap
from pathlib import Path

import pytest

from elephas_torch.cli import recipe, training
from elephas_torch.keras.models import load_model

WRONG = [
    ("fit.epoch=3", "[fit] has no 'epoch'. Did you mean 'epochs'?"),
    ("fits.epochs=3", "it has no section 'fits'. Did you mean 'fit'?"),
    ("fit.epochs=0", "[fit] `epochs` must be a whole number, 1 or more"),
    ("fit.validation_split=2", "[fit] `validation_split`"),
    ("compile.los='mse'", "[compile] has no 'los'. Did you mean 'loss'?"),
    ("compile.loss=mse2", "[compile] Unknown loss: 'mse2'. Did you mean 'mse'?"),
    ("compile.optimizer={class='Adm'}", "[compile] Unknown optimizer: 'Adm'. Did you mean"),
    ("spark_model.mode=sync", "[spark_model] Unknown mode: 'sync'. Did you mean 'synchronous'?"),
    ("spark_model.model=1", "[spark_model] has no 'model'. Did you mean 'mode'?"),
    ("data.labels=kind", "[data] has no 'labels'. Did you mean 'label'?"),
    ("data.table=flowers", "[data] needs one of file, table. Received: file and table."),
    ("data.format=cvs", "[data] format: unknown 'cvs'. Did you mean 'csv'?"),
    ("data.file=none.csv", "[data] file: there is no"),
    ("data.file=3", "[data] file must be a text"),
    ("evaluate.format=csv", "[evaluate] needs one of file, table. Received none of them."),
    ("model.file=x.keras", "[model] needs one of file, json, layers. Received: file and layers."),
    ("model.layers=[3]", "[model] layers must be tables"),
    ("model.layers=[{units=3}]", "[model] layer 1 needs a class"),
    ("model.layers=[{class='Dens'}]", "[model] layer 1, Dens: Unknown layer: 'Dens'. Did you mean"),
    ("model.layers=[{class='Dense',unit=3}]", "layer 1, Dense: it has no 'unit'. Did you mean"),
    ("model.layers=[{class='Dense',units=3,use_bas=1}]", "'use_bas'. Did you mean"),
    ("fit.callbacks=[3]", "[fit] callbacks must be tables"),
    ("fit.callbacks=[{class='EarlyStop'}]", "Unknown callback: 'EarlyStop'. Did you mean"),
    ("fit.steps_per_epoch=3", "'steps_per_epoch'. Workers go through all rows of their partitions"),
    ("fit.validation_data=x", "'validation_data'. Name a column that marks such rows in [data]"),
    ("fit.sample_weight=x", "'sample_weight'. Name the column of rows' weights in [data] weight"),
    ("fit.verbose=3", "[fit] Unknown verbose: 3. Known: 0, 1, 2, auto."),
    ("fit.shuffle=often", "[fit] `shuffle` must be True or False, or 'batch'."),
    ("fit.class_weight=3", "[fit] "),
    ("output.file=trained.pt", "[output] file must end in .keras or .h5"),
    ("output.file=none/trained.keras", "[output] file: there is no folder"),
    ("epochs=3", "--set takes section.key=value"),
]


@pytest.mark.parametrize(("change", "text"), WRONG, ids=[one[0] for one in WRONG])
def test_what_is_wrong_is_named_by_its_key(command, config, change, text):
    code, said, errors = command("train", config, "--check", "--set", change)
    assert (code, said) == (2, "")
    assert text in errors


def test_the_pages_configurations_are_right(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "cli.md"
    blocks = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    helped = re.search(r"(  \[data\].*?)\nRelative", training._MORE, re.DOTALL)[1]
    for name in ("flowers.csv", "more_flowers.csv"):
        (tmp_path / name).touch()
    for text in (*blocks, textwrap.dedent(helped)):
        (tmp_path / "c.toml").write_text(text)
        assert training.made(recipe.read(tmp_path / "c.toml"))[0].compiled
    assert blocks


def test_no_toml(command, tmp_path):
    (tmp_path / "c.toml").write_text("[fit\nepochs = 3")
    code, _, errors = command("train", tmp_path / "c.toml")
    assert code == 2
    assert "c.toml is no TOML: " in errors and "line 1" in errors
    (tmp_path / "c.toml").write_text("fit = 3")
    assert "'fit' must be a section, [fit]" in command("train", tmp_path / "c.toml")[2]


def test_check_prints_the_model_and_starts_nothing(command, config):
    change = "model.input_shape=[4]"
    code, said, _ = command("train", config, "--check", "--set", change)
    assert code == 0
    assert "Total params: 67" in said
    assert not config.with_name("trained.keras").exists()


def test_layers_within_layers(command, config):
    layers = "[{class='Bidirectional', layer={class='LSTM', units=3}}, {class='Dense', units=1}]"
    code, said, _ = command(
        "train", config, "--check", "--set", f"model.layers={layers}",
        "--set", "model.input_shape=[5,2]",
    )  # fmt: skip
    assert code == 0
    assert re.search(r"bidirectional\w* \(Bidirectional\)", said)


def trained(command, config, *changes):
    sets = [one for change in changes for one in ("--set", change)]
    code, said, errors = command("train", config, *sets)
    assert code == 0, errors
    return load_model(config.with_name("trained.keras")), said


@pytest.mark.spark
def test_a_file_of_columns(command, config, spark, rows):
    model, said = trained(
        command, config, "evaluate.file=rows.csv", "output.history=history.json",
        "fit.validation_split=0.1", "fit.callbacks=[{class='EarlyStopping', patience=9}]",
        "fit.class_weight={0=1.0, 1=1.0, 2=1.0}",
    )  # fmt: skip
    assert "evaluated: accuracy: 0.9" in said
    assert f"saved {config.with_name('trained.keras')}" in said
    history = json.loads(config.with_name("history.json").read_text())
    assert len(history["val_loss"]) == 4 and history["loss"][-1] < history["loss"][0]
    assert model.evaluate(*rows, verbose=0)[1] > 0.9
    assert not spark.sparkContext._jsc.sc().isStopped()  # it was there before


@pytest.mark.spark
@pytest.mark.parametrize(
    ("file", "more"),
    [("rows.npz", ["data.label=y"]), ("rows.libsvm", ["data.label=label"]), ("rows.parquet", [])],
)
def test_other_files(command, config, spark, rows, file, more):
    if file == "rows.parquet":
        frame = spark.read.csv(str(config.with_name("rows.csv")), header=True, inferSchema=True)
        frame.write.parquet(str(config.with_name(file)))
    model, _ = trained(command, config, f"data.file={file}", *more)
    assert model.evaluate(*rows, verbose=0)[1] > 0.9


@pytest.mark.spark
def test_a_table_and_a_model_of_a_file(command, config, spark, model_file, rows):
    frame = spark.read.csv(str(config.with_name("rows.csv")), header=True, inferSchema=True)
    frame.createOrReplaceTempView("kinds_of_rows")
    text = '[data]\ntable = "kinds_of_rows"\nfeatures = ["a", "b", "c", "d"]\nlabel = "kind"\n'
    config.write_text(
        f'{text}\n[model]\nfile = "{model_file.name}"\n[fit]\nverbose = 0\nepochs = 2\n'
        '[spark_model]\nnum_workers = 2\n[output]\nfile = "trained.keras"\n'
    )
    model, _ = trained(command, config)
    assert type(model.optimizer).__name__ == "Adam"


@pytest.mark.spark
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (["data.label=kinds"], "[data] label: there is no column 'kinds'. Did you mean 'kind'?"),
        (["data.features=['a','e']"], "[data] features: there is no column 'e'."),
        (["data.file=rows.npz"], "[data] label: there is no array 'kind'. Arrays: x, y."),
        (["data.file=rows.npz", "data.weight=w"], "[data] weight is for files of columns"),
    ],
)
def test_columns_that_are_not_there(command, config, spark, changes, text):
    sets = [one for change in changes for one in ("--set", change)]
    code, _, errors = command("train", config, *sets)
    assert code == 2
    assert text in errors
