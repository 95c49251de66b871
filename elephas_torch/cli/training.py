"""`elephas-torch train CONFIG`: trains from a file or a table, without code."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from elephas_torch.cli import recipe as recipes
from elephas_torch.cli import usage
from elephas_torch.cli.recipe import Recipe
from elephas_torch.errors import nearest, unknown

_MORE = """
A configuration:

  [data]
  file = "flowers.csv"                 # or .parquet, .npz, .libsvm; or table = "db.flowers"
  label = "kind"

  [[model.layers]]
  class = "Dense"
  units = 3
  activation = "softmax"

  [compile]
  optimizer = {class = "Adam", learning_rate = 0.01}
  loss = "sparse_categorical_crossentropy"

  [fit]
  epochs = 10

  [output]
  file = "flowers.keras"

Relative paths begin where the configuration is. docs/cli.md has all keys.
"""


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the command."""
    about = "train a model as a TOML file says"
    made = usage.command(commands, common, "train", about, _MORE)
    made.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file")
    made.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="in place of what the file says; may be given more than once",
    )  # fmt: skip
    made.add_argument(
        "--check", action="store_true",
        help="read the configuration, print the model, and do nothing else",
    )  # fmt: skip
    usage.add_spark(made)
    made.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains, saves, and returns 0."""
    recipe = recipes.read(options.config, options.set)
    model, spark_model = made(recipe)
    if options.check:
        model.summary()
        if not model.built:
            print(
                "Shapes are known once the rows are read; to see them here, set model.input_shape."
            )
        return 0
    kept = usage.has_session()
    session = _session(recipe, options)
    with usage.stopped(session, kept):
        rows, columns = _rows(session, recipe, "data")
        history = spark_model.fit(rows, **_fit(recipe), **columns)
        if recipe["evaluate"]:
            rows, columns = _rows(session, recipe, "evaluate")
            columns.pop("validation_indicator_col", None)
            found = spark_model.evaluate(rows, verbose=0, return_dict=True, **columns)
            print(
                "evaluated: " + ", ".join(f"{name}: {value:.4f}" for name, value in found.items())
            )
        _save(recipe, spark_model, history)
    return 0


def made(recipe: Recipe) -> tuple[Any, Any]:
    """The compiled model, and its `SparkModel`.

    Raises:
        UsageError: a layer, or an argument of something, is wrong.
    """
    from elephas_torch.spark_model import SparkModel

    model = _within(recipe, "model", _model, recipe)
    _within(recipe, "compile", _compile, recipe, model)
    settings = {name: described(value) for name, value in recipe["spark_model"].items()}
    _within(recipe, "fit", _check_fit, recipe)
    if isinstance(settings.get("compression"), list):
        settings["compression"] = tuple(settings["compression"])
    return model, _within(recipe, "spark_model", SparkModel, model, **settings)


def _within(recipe: Recipe, section: str, make: Any, *args: Any, **kwargs: Any) -> Any:
    """What `make` gives; errors of its arguments name the section."""
    try:
        return make(*args, **kwargs)
    except usage.UsageError:
        raise
    except (LookupError, TypeError, ValueError) as error:
        raise recipe.wrong(section, error) from error


def _model(recipe: Recipe) -> Any:
    from elephas_torch.keras.models import Sequential, load_model, model_from_json

    given = recipe["model"]
    if "file" in given:
        return load_model(recipe.path(given["file"]))
    if "json" in given:
        return model_from_json(Path(recipe.path(given["json"])).read_text(encoding="utf-8"))
    model = Sequential(name=given.get("name"))
    for number, one in enumerate(given["layers"], 1):
        try:
            model.add(_layer(one))
        except (LookupError, TypeError, ValueError) as error:
            raise recipe.wrong("model", f"layer {number}, {one['class']}: {error}") from error
    if "input_shape" in given:
        model.build((None, *given["input_shape"]))
    return model


def _layer(table: dict[str, Any]) -> Any:
    from elephas_torch.keras import layers

    name = table["class"]
    found = getattr(layers, name, None) if name.isidentifier() else None
    if not (isinstance(found, type) and issubclass(found, layers.Layer)):
        names = [
            one
            for one in dir(layers)
            if isinstance(cls := getattr(layers, one), type) and issubclass(cls, layers.Layer)
        ]
        raise unknown("layer", name, names)
    settings = {key: _argument(value) for key, value in table.items() if key != "class"}
    _check_spelling(found, settings)
    return found(**settings)


def _check_spelling(layer: Any, settings: dict[str, Any]) -> None:
    """Raises TypeError where what a layer needs is there under a name that is nearly right: the
    layer itself would only say what it needs."""
    parameters = inspect.signature(layer).parameters
    needed = [
        name
        for name, one in parameters.items()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD and name not in settings
    ]
    for key in settings.keys() - parameters.keys():
        if hint := nearest(key, needed):
            raise TypeError(f"it has no {key!r}.{hint}")


def _argument(value: Any) -> Any:
    """An argument of a layer; one that names a layer is that layer."""
    from elephas_torch.keras import layers

    if isinstance(value, dict) and isinstance(value.get("class"), str):
        found = getattr(layers, value["class"], None)
        if isinstance(found, type) and issubclass(found, layers.Layer):
            return _layer(value)
    return tuple(value) if isinstance(value, list) else described(value)


def described(value: Any) -> Any:
    """What a value stands for in Keras's configs: {class = "L2", l2 = 0.1} is an object's."""
    if isinstance(value, list):
        return [described(one) for one in value]
    if not isinstance(value, dict):
        return value
    inside = {key: described(one) for key, one in value.items() if key != "class"}
    return {"class_name": value["class"], "config": inside} if "class" in value else inside


def _compile(recipe: Recipe, model: Any) -> None:
    given = {name: described(value) for name, value in recipe["compile"].items()}
    if given:
        model.compile(**given)
    elif not model.compiled:
        raise ValueError("needs a 'loss': the model in the file isn't compiled.")


def _session(recipe: Recipe, options: argparse.Namespace) -> Any:
    from pyspark.sql import SparkSession

    given = recipe["spark"]
    settings = {
        "spark.ui.showConsoleProgress": "false",
        **{name: _setting(value) for name, value in _flat(given.get("conf", {})).items()},
        **({"spark.master": given["master"]} if "master" in given else {}),
        **usage.spark_settings(options),
    }
    builder = SparkSession.builder.appName(given.get("name", f"elephas-torch {recipe.name}"))
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _flat(table: dict[str, Any], start: str = "") -> dict[str, Any]:
    """Names with dots, as Spark has them: TOML makes tables of those without quotes."""
    found = {}
    for name, value in table.items():
        deeper = isinstance(value, dict)
        found.update(_flat(value, f"{start}{name}.") if deeper else {start + name: value})
    return found


def _setting(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rows(session: Any, recipe: Recipe, section: str) -> tuple[Any, dict[str, Any]]:
    """Rows of a section, and what `fit` and `evaluate` are to know of their columns."""
    given, columns = recipe[section], recipe["data"]
    if "file" in given and recipes.format_of(recipe, section) == "npz":
        return _arrays(session, recipe, section), {}
    frame = _frame(session, recipe, section)
    if "partitions" in columns:
        frame = frame.repartition(columns["partitions"])
    names = {
        "label_col": columns.get("label", "label"),
        "weight_col": columns.get("weight"),
        "validation_indicator_col": columns.get("validation"),
        "handle_invalid": columns.get("handle_invalid", "error"),
    }
    _check_columns(recipe, frame, names)
    features = columns.get("features") or _features(frame, names)
    return frame, {"features_col": features, **names}


def _frame(session: Any, recipe: Recipe, section: str) -> Any:
    given = recipe[section]
    if "table" in given:
        return session.table(given["table"])
    form = recipes.format_of(recipe, section)
    usual = {"header": "true", "inferSchema": "true"} if form == "csv" else {}
    if form == "csv" and given["file"].endswith(".tsv"):
        usual["sep"] = "\t"
    asked = {name: _setting(value) for name, value in given.get("options", {}).items()}
    return session.read.format(form).options(**{**usual, **asked}).load(recipe.path(given["file"]))


def _check_columns(recipe: Recipe, frame: Any, names: dict[str, Any]) -> None:
    features = recipe["data"].get("features", [])
    asked = {
        "features": [features] if isinstance(features, str) else features,
        "label": names["label_col"],
        "weight": names["weight_col"],
        "validation": names["validation_indicator_col"],
    }
    for key, given in asked.items():
        for name in [given] if isinstance(given, str) else given or []:
            if isinstance(name, str) and name not in frame.columns:
                raise recipe.wrong(
                    "data",
                    f"{key}: there is no column {name!r}.{nearest(name, frame.columns)} "
                    f"Columns: {', '.join(frame.columns)}.",
                )


def _features(frame: Any, names: dict[str, Any]) -> Any:
    """Where nobody says: the column of that name, else all that have no other part."""
    if "features" in frame.columns:
        return "features"
    label = names["label_col"]
    others = [label] if isinstance(label, str) else list(label)
    others += [names["weight_col"], names["validation_indicator_col"]]
    return [name for name in frame.columns if name not in others]


def _arrays(session: Any, recipe: Recipe, section: str) -> Any:
    import numpy as np

    from elephas_torch.utils.rdd_utils import to_simple_rdd

    columns = recipe["data"]
    for key in ("weight", "validation"):
        if key in columns:
            raise recipe.wrong("data", f"{key} is for files of columns, not for .npz.")
    with np.load(recipe.path(recipe[section]["file"]), allow_pickle=False) as archive:
        found = {
            key: _array(recipe, archive, key, columns.get(key, usual))
            for key, usual in (("features", "x"), ("label", "y"))
        }
    return to_simple_rdd(
        session.sparkContext, found["features"], found["label"], columns.get("partitions")
    )


def _array(recipe: Recipe, archive: Any, key: str, name: Any) -> Any:
    if name not in archive.files:
        raise recipe.wrong(
            "data",
            f"{key}: there is no array {name!r}.{nearest(str(name), archive.files)} "
            f"Arrays: {', '.join(archive.files)}.",
        )
    return archive[name]


def _fit(recipe: Recipe) -> dict[str, Any]:
    given = dict(recipe["fit"])
    if isinstance(given.get("class_weight"), dict):
        given["class_weight"] = {int(name): one for name, one in given["class_weight"].items()}
    if "callbacks" in given:
        given["callbacks"] = [_callback(recipe, one) for one in given["callbacks"]]
    if "checkpoint_dir" in given:
        given["checkpoint_dir"] = recipe.path(given["checkpoint_dir"])
    return given


def _check_fit(recipe: Recipe) -> None:
    """Finds here what `fit` would find when Spark has been started."""
    from elephas_torch.keras import arguments
    from elephas_torch.keras.progress import resolve_verbose

    given = _fit(recipe)
    resolve_verbose(given.get("verbose", "auto"))
    arguments.check_epochs(given.get("epochs", 1), given.get("initial_epoch", 0))
    arguments.check_batch_size(given.get("batch_size"))
    arguments.check_share("validation_split", given.get("validation_split", 0.0))
    arguments.check_class_weight(given.get("class_weight"))
    arguments.check_shuffle(given.get("shuffle", True))


def _callback(recipe: Recipe, table: Any) -> Any:
    from elephas_torch.keras import callbacks

    if not isinstance(table, dict) or not isinstance(table.get("class"), str):
        raise recipe.wrong("fit", 'callbacks must be tables with class = "…", [[fit.callbacks]].')
    names = [
        one
        for one in dir(callbacks)
        if isinstance(cls := getattr(callbacks, one), type) and issubclass(cls, callbacks.Callback)
    ]
    if table["class"] not in names:
        raise recipe.wrong("fit", f"callbacks: {unknown('callback', table['class'], names)}")
    settings = {key: value for key, value in table.items() if key != "class"}
    return _within(recipe, "fit", getattr(callbacks, table["class"]), **settings)


def _save(recipe: Recipe, spark_model: Any, history: Any) -> None:
    given = recipe["output"]
    path = recipe.path(given.get("file", "model.keras"))
    spark_model.save(path, overwrite=given.get("overwrite", True))
    print(f"saved {path}")
    if "history" in given:
        content = {name: [float(one) for one in values] for name, values in history.history.items()}
        Path(recipe.path(given["history"])).write_text(json.dumps(content, indent=2) + "\n")
        print(f"saved {recipe.path(given['history'])}")
    sys.stdout.flush()
