"""What to do with inputs that have an axis too few or too many: the end of a message."""

from __future__ import annotations

_NAMES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def of_images(axes: int, channels_last: bool, rank: int) -> str:
    """Returns the hint for a layer of one to three spatial axes; "" where the rank is right.

    Args:
        rank: the number of the inputs' axes, the batch's among them.
    """
    names = _NAMES[axes]
    form = ("batch", *names, "channels") if channels_last else ("batch", "channels", *names)
    hints = {
        axes + 1: f"Add an axis of channels: x{'[..., None]' if channels_last else '[:, None]'}.",
        axes + 3: "Put the layer into a TimeDistributed to call it step by step.",
    }
    if rank == len(form):
        return ""
    return _said(form, hints.get(rank, "Put a Reshape before it."))


def of_sequences(rank: int) -> str:
    """Returns the hint for a recurrent layer; "" where the rank is right."""
    if rank == 3:
        return ""
    few = (
        "x[..., None] makes each value a step of one feature, x[:, None] each row a sequence of "
        "one step."
    )
    many = "Put a Reshape or a TimeDistributed(Flatten()) before it."
    return _said(("batch", "steps", "features"), few if rank == 2 else many)


def _said(form: tuple[str, ...], hint: str) -> str:
    return f". It takes ({', '.join(form)}). {hint}"
