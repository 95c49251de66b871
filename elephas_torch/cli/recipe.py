"""What `elephas-torch train` reads: a TOML file, with every key checked before anything starts."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elephas_torch.cli.usage import UsageError
from elephas_torch.errors import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Section -> its keys; those of `compile`, `spark_model` and `fit` are arguments of Python's.
SECTIONS: dict[str, tuple[str, ...]] = {
    "model": ("file", "json", "layers", "input_shape", "name"),
    "compile": (),
    "data": (
        "file", "table", "format", "options", "features", "label", "weight", "validation",
        "handle_invalid", "partitions",
    ),
    "spark_model": (),
    "fit": (),
    "evaluate": ("file", "table", "format", "options"),
    "spark": ("master", "name", "conf"),
    "output": ("file", "history", "overwrite"),
}  # fmt: skip
FORMATS = ("csv", "json", "libsvm", "npz", "orc", "parquet")
#: Ending of a file -> its format, where that isn't the ending itself.
_ENDINGS = {"svm": "libsvm", "txt": "libsvm", "tsv": "csv"}
_COLUMNS = ("features_col", "label_col", "weight_col", "validation_indicator_col", "handle_invalid")


@dataclass(frozen=True)
class Recipe:
    """A checked configuration.

    Attributes:
        sections: what the file says, by section; sections that it hasn't are empty.
        folder: where relative paths in it begin.
        name: of the file, for messages.
    """

    sections: dict[str, dict[str, Any]]
    folder: Path
    name: str

    def __getitem__(self, section: str) -> dict[str, Any]:
        return self.sections[section]

    def path(self, text: str) -> str:
        """A path of the file; an address of some file system ("hdfs://…") stays as it is."""
        return text if "://" in text else str(self.folder / text)

    def wrong(self, section: str, problem: object) -> UsageError:
        """The error of a section."""
        return UsageError(f"{self.name}: [{section}] {problem}")


def read(path: Path, changes: Iterable[str] = ()) -> Recipe:
    """Reads a file.

    Args:
        changes: "section.key=value" in TOML, in place of what the file says.

    Raises:
        UsageError: it isn't there, isn't TOML, or has keys that nobody knows or that don't go
            together.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(path)!r} can't be read: {error}") from None
    content = _parsed(text, str(path))
    for change in changes:
        section, key, value = _change(change)
        place = content.setdefault(section, {})
        if not isinstance(place, dict):
            raise UsageError(f"--set {change}: {section!r} is no section.")
        place[key] = value
    _check_names(str(path), "it", content, SECTIONS)
    for name, section in content.items():
        if not isinstance(section, dict):
            raise UsageError(f"{path}: {name!r} must be a section, [{name}].")
        _check_names(str(path), f"[{name}]", section, known(name))
    recipe = Recipe(
        {name: content.get(name, {}) for name in SECTIONS}, path.resolve().parent, str(path)
    )
    _check(recipe)
    return recipe


def known(section: str) -> tuple[str, ...]:
    """The keys of a section."""
    from elephas_torch.config import NAMES
    from elephas_torch.keras.models import Model
    from elephas_torch.spark_model import SparkModel

    if section == "compile":
        return _arguments(Model.compile)
    if section == "fit":
        return tuple(name for name in _arguments(SparkModel.fit)[1:] if name not in _COLUMNS)
    if section == "spark_model":
        return NAMES
    return SECTIONS[section]


def _arguments(function: Any) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple(one.name for one in parameters if one.kind is not one.VAR_KEYWORD)[1:]


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is no TOML: {error}") from None


def _change(text: str) -> tuple[str, str, Any]:
    place, sign, value = text.partition("=")
    section, dot, key = place.strip().partition(".")
    if not (sign and dot and section and key.isidentifier()):
        raise UsageError(f"--set takes section.key=value, such as fit.epochs=3. Received: {text!r}")
    try:
        return section, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, value.strip()  # a text without quotes, as shells take them off


def _check_names(name: str, owner: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    names = list(known)
    for one in given:
        if one not in names:
            kind = "no section" if owner == "it" else "no"
            advice = _instead(one) if owner == "[fit]" else ""
            raise UsageError(
                f"{name}: {owner} has {kind} {one!r}.{advice or nearest(one, names)} "
                f"Known: {', '.join(names)}."
            )


def _instead(name: str) -> str:
    """What to do in place of an argument of Keras's `fit`, if there is something."""
    from elephas_torch.arguments import INSTEAD

    if name == "validation_data":
        return " Name a column that marks such rows in [data] validation, or give validation_split."
    if name == "sample_weight":
        return " Name the column of rows' weights in [data] weight."
    return f" {INSTEAD[name]}" if name in INSTEAD else ""


def _check(recipe: Recipe) -> None:
    _one_of(recipe, "model", ("file", "json", "layers"))
    _one_of(recipe, "data", ("file", "table"))
    if recipe["evaluate"]:
        _one_of(recipe, "evaluate", ("file", "table"))
    for section in ("data", "evaluate"):
        if "file" in recipe[section]:
            format_of(recipe, section)
            _check_file(recipe, section)
    for section in ("model", "spark", "output"):
        _check_texts(recipe, section)
    _check_layers(recipe)
    if "layers" in recipe["model"] and not recipe["compile"].get("loss"):
        raise recipe.wrong("compile", "needs a 'loss', such as \"categorical_crossentropy\".")
    for key in ("file", "history"):
        if not Path(recipe.path(recipe["output"].get(key, "x"))).parent.is_dir():
            raise recipe.wrong("output", f"{key}: there is no folder for {recipe['output'][key]!r}")
    output = recipe["output"].get("file", "model.keras")
    if not output.endswith((".keras", ".h5", ".hdf5")):
        raise recipe.wrong("output", f"file must end in .keras or .h5. Received: {output!r}")


def _one_of(recipe: Recipe, section: str, keys: tuple[str, ...]) -> None:
    given = [key for key in keys if key in recipe[section]]
    if len(given) != 1:
        said = f"Received: {' and '.join(given)}" if given else "Received none of them"
        raise recipe.wrong(section, f"needs one of {', '.join(keys)}. {said}.")


def _check_file(recipe: Recipe, section: str) -> None:
    given = recipe[section]["file"]
    path = Path(recipe.path(given))
    relative = "://" not in given and not Path(given).is_absolute()
    if relative and not any(one in given for one in "*?[{") and not path.exists():
        raise recipe.wrong(section, f"file: there is no {str(path)!r}.")


def _check_texts(recipe: Recipe, section: str) -> None:
    for key in ("file", "json", "name", "master", "history"):
        value = recipe[section].get(key, "")
        if not isinstance(value, str):
            raise recipe.wrong(section, f"{key} must be a text. Received: {value!r}")


def _check_layers(recipe: Recipe) -> None:
    layers = recipe["model"].get("layers", [])
    if not isinstance(layers, list) or not all(isinstance(one, dict) for one in layers):
        raise recipe.wrong("model", "layers must be tables, [[model.layers]].")
    for number, one in enumerate(layers, 1):
        if not isinstance(one.get("class"), str):
            raise recipe.wrong("model", f'layer {number} needs a class = "…", such as "Dense".')


def format_of(recipe: Recipe, section: str) -> str:
    """The format of a section's file: what it says, else by the file's ending."""
    asked, file = recipe[section].get("format"), recipe[section]["file"]
    if not isinstance(file, str):
        raise recipe.wrong(section, f"file must be a text. Received: {file!r}")
    ending = file.rstrip("/").rpartition(".")[2].lower()
    found = asked or _ENDINGS.get(ending, ending)
    if found not in FORMATS:
        raise recipe.wrong(
            section,
            f"format: unknown {found!r}.{nearest(str(found), FORMATS)} Known: "
            f"{', '.join(FORMATS)}; for others save a table, and name it as `table`.",
        )
    return str(found)
