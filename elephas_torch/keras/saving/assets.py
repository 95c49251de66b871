"""Files that layers keep beside their weights, by Keras's hooks `save_assets(folder)` and
`load_assets(folder)`: `assets/<path of the layer>/…` in a `.keras` file."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any, cast

from elephas_torch.errors import ModelFileError
from elephas_torch.keras.saving import layout

FOLDER = "assets"


def collected(model: Any) -> dict[str, bytes]:
    """What the model's parts write: name in the archive -> content."""
    several = _with("save_assets", model)
    if not several:
        return {}
    with tempfile.TemporaryDirectory() as root:
        for path, part in several:
            folder = Path(root, FOLDER, path)
            folder.mkdir(parents=True, exist_ok=True)
            cast(Any, part).save_assets(str(folder))
        files = [one for one in sorted(Path(root).rglob("*")) if one.is_file()]
        return {one.relative_to(root).as_posix(): one.read_bytes() for one in files}


def take(model: Any, assets: dict[str, bytes], source: Any) -> None:
    """Hands parts with a `load_assets` their files, in a folder that is gone afterwards.

    Raises:
        ModelFileError: the name of a file leads out of that folder.
    """
    several = _with("load_assets", model)
    if not several:
        return
    with tempfile.TemporaryDirectory() as root:
        for name, content in assets.items():
            place = Path(root, *_inside(name, source))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        for path, part in several:
            folder = Path(root, FOLDER, path)
            folder.mkdir(parents=True, exist_ok=True)
            cast(Any, part).load_assets(str(folder))


def _with(hook: str, model: Any) -> list[tuple[str, Any]]:
    return [(path, part) for path, part in layout.parts(model) if hasattr(part, hook)]


def _inside(name: str, source: Any) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if ".." in parts or "\\" in name or ":" in name or parts[0] != FOLDER:
        raise ModelFileError(f"{str(source)!r}: a file in it leads out of its folder: {name!r}")
    return parts
