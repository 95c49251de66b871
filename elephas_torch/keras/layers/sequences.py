"""Going through sequences step by step, or in torch's fused kernels, with and without masks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from elephas_torch.keras import trees
from elephas_torch.keras.layers.cells import Cell
from elephas_torch.keras.layers.stacked_cells import hold_masks, release_masks

#: The outputs of all steps (None where they aren't wanted), the last one, the last states.
Walked = tuple[Tensor | None, Tensor, list[Any]]


class Wanted(NamedTuple):
    """What a walk has to give: the outputs of all steps, the last states; and whether steps
    that the mask leaves out give 0, not the output before."""

    sequences: bool
    states: bool
    zeros: bool


def checked_mask(label: str, mask: Any, sequences: Tensor) -> Tensor | None:
    """Returns a mask as bools (batch, steps); raises ValueError where its shape is another."""
    if mask is None:
        return None
    mask = torch.as_tensor(mask, device=sequences.device).to(torch.bool)
    if mask.dim() == 3 and mask.shape[2] == 1:
        mask = mask.squeeze(2)
    if mask.shape != sequences.shape[:2]:
        raise ValueError(
            f"{label}: the mask of inputs of shape {tuple(sequences.shape)} must be of shape "
            f"{tuple(sequences.shape[:2])}. Received: a mask of shape {tuple(mask.shape)}"
        )
    return mask


def own(
    cell: Cell, sequences: Tensor, states: list[Tensor], mask: Tensor | None, wanted: Wanted
) -> Walked:
    """Goes through sequences with one of the package's cells."""
    input_masks, recurrent_masks = cell.masks(sequences, states[0])
    if recurrent_masks is None and cell.can_fuse():
        if input_masks is not None and len(input_masks) == 1:
            sequences, input_masks = sequences * input_masks[0].unsqueeze(1), None
        if input_masks is None:
            return fused(cell, sequences, states, mask, wanted)
    steps = cell.projected(sequences, input_masks).unbind(1)

    def step(x: Tensor, before: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        after = cell.step(x, before, recurrent_masks)
        return after[0], after

    return _loop(step, steps, states, mask, wanted)


def stepped(
    cell: Any, sequences: Tensor, states: list[Any], mask: Tensor | None, wanted: Wanted
) -> Walked:
    """Goes through sequences with a cell that is called at every step."""

    def step(x: Tensor, before: list[Any]) -> tuple[Tensor, list[Any]]:
        output, after = cell(x, before)
        return output, list(after) if isinstance(after, list | tuple) else [after]

    steps = sequences.unbind(1)
    hold_masks(cell, steps[0], states)
    try:
        return _loop(step, steps, states, mask, wanted)
    finally:
        release_masks(cell)


def _loop(
    step: Any, steps: tuple[Tensor, ...], states: list[Any], mask: Tensor | None, wanted: Wanted
) -> Walked:
    outputs: list[Tensor] = []
    output: Any = None
    for number, x in enumerate(steps):
        new, after = step(x, states)
        if mask is not None:
            counts = mask[:, number]
            held = torch.zeros_like(new) if output is None or wanted.zeros else output
            new = _where(counts, new, held)
            # A cell may give its states in tuples where it got lists.
            before = _packed(after, iter(trees.leaves(states)))
            after = trees.map_leaves(functools.partial(_where, counts), after, before)
        output, states = new, after
        if wanted.sequences:
            outputs.append(output)
    return (torch.stack(outputs, 1) if wanted.sequences else None), output, list(states)


def _packed(form: Any, rest: Iterator[Any]) -> Any:
    if isinstance(form, list | tuple):
        return type(form)(_packed(one, rest) for one in form)
    return next(rest)


def _where(counts: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(counts.reshape(-1, *[1] * (new.dim() - 1)), new, old)


def fused(
    cell: Cell, sequences: Tensor, states: list[Tensor], mask: Tensor | None, wanted: Wanted
) -> Walked:
    """Goes through sequences by one of torch's own functions."""
    if mask is None:
        outputs, last = cell.fused(sequences, states)
        return outputs, last[0], last
    # The steps that count are moved to the front, in their order; what follows them is run too,
    # and its outputs are left alone.
    order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    counts = mask.sum(1)
    front = sequences.gather(1, order.unsqueeze(-1).expand_as(sequences))
    if wanted.states and cell.state_count > 1:
        found, last = _packed_walk(cell, front, states, counts)
    else:
        found, _ = cell.fused(front, states)
        last = [_at(found, counts - 1)]
    empty = (counts == 0).unsqueeze(1)
    last = [torch.where(empty, a, b) for a, b in zip(states, last, strict=False)]
    return _spread(found, mask, last, wanted)


def _packed_walk(
    cell: Cell, front: Tensor, states: list[Tensor], counts: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Goes through as many steps of each row as count, at least one: the states are exact."""
    packed = pack_padded_sequence(
        front, counts.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
    )
    rows: Any = packed.sorted_indices
    back: Any = packed.unsorted_indices
    data, last = cell.fused(packed.data, [one[rows] for one in states], packed.batch_sizes)
    found, _ = pad_packed_sequence(
        packed._replace(data=data), batch_first=True, total_length=front.shape[1]
    )
    return found, [one[back] for one in last]


def _spread(found: Tensor, mask: Tensor, last: list[Tensor], wanted: Wanted) -> Walked:
    """Puts outputs of the steps that count back to their places, and fills the others."""
    place = mask.cumsum(1) - 1
    shown = mask if wanted.zeros else place >= 0
    final = torch.where(shown[:, -1:], _at(found, place[:, -1]), 0.0)
    if not wanted.sequences:
        return None, final, last
    index = place.clamp(min=0).unsqueeze(-1).expand(-1, -1, found.shape[2])
    outputs = torch.where(shown.unsqueeze(-1), found.gather(1, index), 0.0)
    return outputs, final, last


def _at(found: Tensor, place: Tensor) -> Tensor:
    index = place.clamp(min=0).reshape(-1, 1, 1).expand(-1, 1, found.shape[2])
    return found.gather(1, index).squeeze(1)
