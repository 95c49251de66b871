"""Files of weights in Keras 3's form, `.weights.h5`; a `.keras` file has one within."""

from __future__ import annotations

from typing import Any

from elephas_torch.keras.saving import hdf5, layout, leftover, slots, states

_OPTIMIZER = "optimizer"


def written(model: Any, optimizer: Any = None) -> bytes:
    """A model's weights, and its optimizer's state, as the bytes of a file."""
    found = states.collected(model)
    if optimizer is not None:
        found[_OPTIMIZER] = _state(optimizer, model)
        inner = getattr(optimizer, "inner_optimizer", None)
        if inner is not None:
            found[f"{_OPTIMIZER}/inner_optimizer"] = _state(inner, model)

    def write(file: Any) -> None:
        for path, (name, arrays) in found.items():
            group = file.create_group(f"{path}/vars" if path else "vars")
            group.attrs["name"] = name
            for key, array in arrays.items():
                group[key] = array

    return hdf5.written(write)


def _state(optimizer: Any, model: Any) -> tuple[str, states.Arrays]:
    state = slots.variables(optimizer, model)
    return optimizer.name, {str(number): one for number, one in enumerate(state)}


def take(
    model: Any, content: bytes, path: Any, skip_mismatch: bool = False, others: bool = True
) -> None:
    """Gives a built model the weights in a file's bytes.

    Args:
        skip_mismatch: leave out layers that don't fit, with a warning.
        others: whether the file may have weights that the model has no place for.

    Raises:
        ModelFileError: they are no such file, or don't fit; no weight is changed then.
    """
    with hdf5.opened(content, path) as file:
        over = [] if others else leftover.weights(model, file)
        states.distribute(model, lambda place: _stored(file, place), path, skip_mismatch, over)


def take_optimizer(model: Any, content: bytes, path: Any) -> None:
    """Gives a compiled model's optimizer its state; warns where it isn't that of the optimizer."""
    with hdf5.opened(content, path) as file:
        stored = _stored(file, _OPTIMIZER)
        state = [stored[str(number)] for number in range(len(stored)) if str(number) in stored]
    slots.load_or_warn(model, state, path)


def _stored(file: Any, place: str) -> hdf5.Stored:
    if hdf5.group(file, place) is None and layout.OLDER in file:
        place = place.replace("layers", layout.OLDER)
    return hdf5.Stored(hdf5.group(file, f"{place}/vars" if place else "vars"))
