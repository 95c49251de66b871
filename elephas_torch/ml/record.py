"""What a stage's metadata says: Spark's keys, and this package's own below `elephasTorch`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from elephas_torch._version import __version__
from elephas_torch.errors import ModelFileError

#: The form of the folder; a version reads this one and those before.
FORMAT = 1
_OWN = "elephasTorch"
#: Names of a stage's models.
_MODELS = ("model", "initialModel")
_NAME = re.compile(r"[A-Za-z0-9_.>@+= -]+(/[A-Za-z0-9_.>@+= -]+)*")


@dataclass(frozen=True)
class Record:
    """What is kept of a stage, files aside.

    Attributes:
        path: of the folder, for messages.
        class_name: the module and the name of its class.
        params: values that were set, JSON-able.
        defaults: values of the other params.
        models: the names of its models; each has files of its own.
        state: what it was made with besides.
        files: names of the other files -> their sizes in bytes.
        version: of the package that wrote it.
    """

    path: str
    class_name: str
    uid: str
    params: dict[str, Any]
    defaults: dict[str, Any]
    models: tuple[str, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    version: str = __version__

    def to_config(self) -> dict[str, Any]:
        """The keys of Spark's metadata, and `elephasTorch`."""
        return {
            "class": self.class_name,
            "uid": self.uid,
            "paramMap": self.params,
            "defaultParamMap": self.defaults,
            _OWN: {
                "version": self.version,
                "format": FORMAT,
                "models": list(self.models),
                "state": self.state,
                "files": self.files,
            },
        }

    @classmethod
    def parsed(cls, content: bytes, path: str) -> Record:
        """Reads metadata.

        Args:
            path: of the stage, for messages.

        Raises:
            ModelFileError: it isn't of this package, is cut off, or comes from a later version.
        """
        found = _json(content, path)
        if not isinstance(found.get(_OWN), dict):
            raise ModelFileError(
                f"{path!r} holds a {found.get('class', 'stage of something else')}, which "
                "elephas_torch didn't save. Load it with that class."
            )
        own = found[_OWN]
        _check_format(own, path)
        return cls(
            path=path,
            class_name=_typed(found, "class", str, path),
            uid=_typed(found, "uid", str, path),
            params=_typed(found, "paramMap", dict, path),
            defaults=_typed(found, "defaultParamMap", dict, path),
            models=tuple(_checked_models(_typed(own, "models", list, path), path)),
            state=_typed(own, "state", dict, path),
            files=_checked_files(_typed(own, "files", dict, path), path),
            version=str(own.get("version")),
        )

    def found_class(self, wanted: type) -> type:
        """The class of the stage: `wanted` or one below it.

        Nothing is imported because a file names it.

        Raises:
            ModelFileError: it is of another class.
        """
        from elephas_torch.ml import persistence

        for cls in _candidates(wanted):
            if persistence.class_name(cls) == self.class_name:
                return cls
        raise ModelFileError(
            f"{self.path!r} holds a {self.class_name.rpartition('.')[2]}, and no "
            f"{wanted.__name__}: load it with {self.class_name}.load(path)."
        )


def _candidates(wanted: type) -> Iterator[type]:
    from elephas_torch import ml

    several = [wanted]
    while several:
        cls = several.pop()
        yield cls
        several += cls.__subclasses__()
    # Classes that were registered as subclasses.
    yield from (cls for name in ml.__all__ if issubclass(cls := getattr(ml, name), wanted))


def _json(content: bytes, path: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{path!r}: its metadata is no JSON, or is cut off ({error})."
        ) from None
    if not isinstance(found, dict):
        raise ModelFileError(f"{path!r}: its metadata describes no stage.")
    return found


def _check_format(own: dict[str, Any], path: str) -> None:
    number = own.get("format")
    if type(number) is not int or number < 1:
        raise ModelFileError(f"{path!r}: its metadata has no format number. Received: {number!r}")
    if number > FORMAT:
        raise ModelFileError(
            f"{path!r} was saved by elephas_torch {own.get('version')} in format {number}, and "
            f"this version, {__version__}, reads formats up to {FORMAT}: update elephas_torch."
        )


def _typed(found: dict[str, Any], key: str, kind: type, path: str) -> Any:
    value = found.get(key)
    if not isinstance(value, kind):
        raise ModelFileError(
            f"{path!r}: its metadata must have {key!r}, a {kind.__name__}. "
            f"Received: {str(value)[:80]}"
        )
    return value


def _checked_models(names: list[Any], path: str) -> list[str]:
    if any(name not in _MODELS for name in names):
        raise ModelFileError(f"{path!r}: its metadata names models that no stage has: {names}")
    return names


def _checked_files(sizes: dict[str, Any], path: str) -> dict[str, int]:
    for name, size in sizes.items():
        inside = _NAME.fullmatch(name) and ".." not in name.split("/")
        if not inside or type(size) is not int or size < 0:
            raise ModelFileError(f"{path!r}: its metadata names a file that can't be: {name!r}")
    return sizes
