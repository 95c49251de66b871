"""Stages to folders and back: what `save`, `load` and pipelines of them do.

| in the folder | what it is |
| --- | --- |
| `metadata/part-00000` | Spark's own JSON line, and what this package keeps besides |
| `model.json` | the model's config in Keras 3's form, with how it is compiled |
| `weights.safetensors` | its weights, as `model.save_weights("x.safetensors")` writes them |
| `initialModel.json`, `initialModel.safetensors` | the same of an estimator's `initialModel` |
| `model/assets/…` | what layers keep besides their weights, such as vocabularies |

Nothing is pickled, and code in a config is refused. A folder is written beside its place and
moved there whole.
Follows https://spark.apache.org/docs/latest/ml-pipeline.html#ml-persistence-saving-and-loading-pipelines
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.ml.util import MLReader, MLWriter

from elephas_torch import files
from elephas_torch._version import __version__
from elephas_torch.errors import ModelFileError
from elephas_torch.keras import serialization
from elephas_torch.keras.models import Model
from elephas_torch.keras.saving import assets, compiling, lean, model_from_config, tensors
from elephas_torch.ml.record import FORMAT, Record

METADATA = "metadata/part-00000"
#: Params that no file can keep, and whether to say so.
_LEFT_OUT = {"callbacks": True, "customObjects": False}


def writer(stage: Any) -> StageWriter:
    """Returns what writes a stage: `writer(stage).overwrite().save(path)`."""
    return StageWriter(stage)


def reader(cls: type) -> StageReader:
    """Returns what reads a stage of a class or one of its subclasses: `reader(cls).load(path)`."""
    return StageReader(cls)


class StageWriter(MLWriter):
    """Writes an estimator or a fitted model to a folder of any of Spark's file systems."""

    def __init__(self, stage: Any) -> None:
        super().__init__()
        self.instance = stage

    def save(self, path: str) -> None:
        """Writes the stage; what was there stays if anything fails.

        Args:
            path: of the folder, such as "/models/a", "hdfs:///models/a" or "s3a://bucket/a".

        Raises:
            FileExistsError: there is something already, and `overwrite()` wasn't called.
            OSError: the path can't be written, or there is no such file system.
            TypeError, ValueError: a param or a layer can't be described.
        """
        session = self.sparkSession
        with files.java_told(path), tempfile.TemporaryDirectory(prefix="elephas-torch-") as beside:
            where = files.folder(session, path)
            if not self.shouldOverwrite and where.exists():
                raise FileExistsError(
                    f"{path!r} is there already. To replace it: "
                    "stage.write().overwrite().save(path)."
                )
            where.put(_staged(self.instance, Path(beside), session.version))

    def saveImpl(self, path: str) -> None:
        """The same as `save`."""
        self.save(path)


class StageReader(MLReader[Any]):
    """Reads what `StageWriter` wrote."""

    def __init__(self, cls: type) -> None:
        super().__init__()
        self._cls = cls
        self._objects: dict[str, Any] = {}

    def customObjects(self, objects: Mapping[str, Any] | None) -> StageReader:
        """Makes layers, losses and functions of one's own known: name -> class or function."""
        self._objects = serialization.check_custom_objects(objects)
        return self

    def load(self, path: str) -> Any:
        """Reads a stage.

        Args:
            path: of the folder.

        Returns:
            An object of the class whose reader this is, or of a subclass.

        Raises:
            FileNotFoundError: there is nothing.
            OSError: it can't be read, or there is no such file system.
            ModelFileError: it isn't such a stage, isn't whole, comes from a later version, or
                names a layer or function that nobody knows.
        """
        with files.java_told(path), tempfile.TemporaryDirectory(prefix="elephas-torch-") as beside:
            where = files.folder(self.sparkSession, path)
            record = _record(where, path, Path(beside))
            cls = record.found_class(self._cls)
            names = {name: Path(beside, name) for name in record.files}
            for name, place in names.items():
                _fetch(where, name, place, record)
            scope = serialization.custom_object_scope(self._objects)
            with scope, serialization.safe_mode_scope(True), _told(path):
                stage = _stage(cls, record, names)
        if self._objects and stage.hasParam("customObjects"):
            stage._set(customObjects=self._objects)
        return stage


def _staged(stage: Any, place: Path, spark: str) -> dict[str, Path]:
    """A stage's files, in a local folder: name -> place, the metadata last."""
    models, params = _models(stage)
    for name, model in models.items():
        _write_model(model, name, place)
    found = sorted(one for one in place.rglob("*") if one.is_file())
    paths = {one.relative_to(place).as_posix(): one for one in found}
    record = Record(
        path=str(place),
        class_name=class_name(type(stage)),
        uid=stage.uid,
        params=_described(params),
        defaults=_described({p.name: value for p, value in stage._defaultParamMap.items()}),
        models=tuple(models),
        state=stage.state() if hasattr(stage, "state") else {},
        files={name: one.stat().st_size for name, one in paths.items()},
    )
    about = {"timestamp": round(time.time() * 1000), "sparkVersion": spark}
    metadata = place / METADATA
    metadata.parent.mkdir()
    metadata.write_text(
        serialization.to_json({**about, **record.to_config()}, separators=(",", ":")) + "\n",
        encoding="utf-8",
    )
    return {**paths, METADATA: metadata}


def class_name(cls: type) -> str:
    """The name under which a stage's class is found again: the package's own by its public one."""
    from elephas_torch import ml

    public = getattr(ml, cls.__name__, None) is cls
    return f"{ml.__name__ if public else cls.__module__}.{cls.__name__}"


def _models(stage: Any) -> tuple[dict[str, Model], dict[str, Any]]:
    """A stage's models by name, and its other params."""
    params = {param.name: value for param, value in stage._paramMap.items()}
    models = {name: one for name, value in params.items() if (one := _model_of(value)) is not None}
    if hasattr(stage, "state"):
        models["model"] = stage.model
    left_out = [name for name in _LEFT_OUT if params.get(name)]
    if said := [name for name in left_out if _LEFT_OUT[name]]:
        warnings.warn(
            f"{stage.uid} is saved without {', '.join(said)}: no file can hold them. Set them "
            "again when it is loaded.",
            stacklevel=4,
        )
    rest = {name: value for name, value in params.items() if name not in {*models, *_LEFT_OUT}}
    return models, rest


def _model_of(value: Any) -> Model | None:
    found = value if isinstance(value, Model) else getattr(value, "model", None)
    return found if isinstance(found, Model) else None


def _described(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(name, value) for name, value in params.items()}


def _plain(name: str, value: Any) -> Any:
    if name == "modelBuilder" and callable(value):
        return _builder_name(value)
    return serialization.serialize_keras_object(value)


def _builder_name(function: Any) -> dict[str, str]:
    known = serialization.registered_name(function)
    if known is None:
        raise ValueError(
            "The stage can't be saved: its modelBuilder isn't known by a name under which it is "
            "found again. Decorate the function with register_keras_serializable(package='…'), "
            f"or give the estimator model=…. Received: modelBuilder={function!r}"
        )
    return {"class_name": "function", "config": known}


def _write_model(model: Model, name: str, place: Path) -> None:
    with serialization.sharing():
        config = lean(model.architecture())
    compiled = model.get_compile_config() if model.compiled is not None else None
    config["compile_config"] = serialization.serialize_keras_object(compiled)
    (place / f"{name}.json").write_text(serialization.to_json(config), encoding="utf-8")
    if not model.built:
        return
    with (place / _weights(name)).open("wb") as file:
        tensors.write(model, file)
    for asset, content in assets.collected(model).items():
        target = place / name / asset
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _weights(name: str) -> str:
    return "weights.safetensors" if name == "model" else f"{name}.safetensors"


def _record(where: files.Folder, path: str, beside: Path) -> Record:
    place = beside / METADATA
    if not where.get("metadata", place):
        if not where.exists():
            raise FileNotFoundError(f"There is no folder {path!r}.")
        raise ModelFileError(f"{path!r} holds no saved stage: it has no metadata.")
    return Record.parsed(place.read_bytes(), path)


def _fetch(where: files.Folder, name: str, place: Path, record: Record) -> None:
    if not where.get(name, place):
        raise ModelFileError(f"{record.path!r} isn't whole: there is no {name} in it.")
    size = place.stat().st_size
    if size != record.files[name]:
        raise ModelFileError(
            f"{record.path!r} isn't whole: {name} has {size} bytes in place of "
            f"{record.files[name]}."
        )


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Says of a description that can't be read where it is, and what can be done."""
    try:
        yield
    except ModelFileError:
        raise
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"{path!r} can't be loaded: {error} Layers and functions of your own must be known: "
            "import what registers them with register_keras_serializable, or load within "
            "`with custom_object_scope({name: object}):`."
        ) from error


def _stage(cls: type, record: Record, places: Mapping[str, Path]) -> Any:
    models = {name: _read_model(name, record, places) for name in record.models}
    # A stage that has a state of its own takes its model beside it, others as a param.
    own = {"model": models.pop("model", None), **record.state} if hasattr(cls, "state") else {}
    stage = cls(**own)
    stage._resetUid(record.uid)
    for name, value in {**_found(record.params), **models}.items():
        stage.set(_param(stage, name, record), value)
    for name, value in _found(record.defaults).items():
        stage._setDefault(**{_param(stage, name, record).name: value})
    return stage


def _found(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _made(value) for name, value in params.items()}


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return [_made(one) for one in value]
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        if value["class_name"] == "function":
            return _function(str(value.get("config")))
        return serialization.deserialize_keras_object(value)
    return {k: _made(v) for k, v in value.items()} if isinstance(value, dict) else value


def _function(name: str) -> Any:
    found = serialization.find_custom(name)
    if found is None:
        raise ValueError(f"Nobody knows the function {name!r}.")
    return found


def _param(stage: Any, name: str, record: Record) -> Any:
    if not stage.hasParam(name):
        raise ModelFileError(
            f"{record.path!r} has a param that {type(stage).__name__} doesn't know: {name!r}. It "
            f"was saved by elephas_torch {record.version}; this is {__version__}."
        )
    return stage.getParam(name)


def _read_model(name: str, record: Record, places: Mapping[str, Path]) -> Model:
    config = _json(f"{name}.json", record, places)
    model = model_from_config(config)
    if not isinstance(model, Model):
        raise ModelFileError(f"{record.path!r}: {name}.json describes no model.")
    weights = places.get(_weights(name))
    if weights is not None:
        where = f"{record.path}/{_weights(name)}"
        tensors.take(model, tensors.read(weights, where), where)
    kept = {
        one.removeprefix(f"{name}/"): place.read_bytes()
        for one, place in places.items()
        if one.startswith(f"{name}/")
    }
    assets.take(model, kept, record.path)
    if config.get("compile_config"):
        compiling.apply(model, config["compile_config"])
    return model


def _json(name: str, record: Record, places: Mapping[str, Path]) -> dict[str, Any]:
    try:
        found = json.loads(places[name].read_bytes())
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{record.path!r}: {name} is no JSON ({error!r}).") from None
    if not isinstance(found, dict):
        raise ModelFileError(f"{record.path!r}: {name} describes no model.")
    return found


__all__ = ["FORMAT", "StageReader", "StageWriter", "class_name", "reader", "writer"]
