"""From what `fit`, `evaluate` and `predict` are given to sources of batches for the model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from elephas_torch.keras import batches, intake
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.own_steps import OwnSteps
from elephas_torch.keras.sources import Arrays, Convert, Source, is_stream, stream


class Feeding(OwnSteps):
    """The part of a `Model` that makes sources of what its methods are given."""

    def _converted(
        self, class_weight: Mapping[int, float] | None = None, names: intake.Names | None = None
    ) -> Convert:
        """What makes samples for this model's step of x, y and weights."""
        convert = intake.raw if self.steps_by_itself else intake.samples
        more = {} if names is None else {"names": names}
        return functools.partial(convert, self, class_weight=class_weight, **more)

    def _fed(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Mapping[int, float] | None,
        batch_size: int | None,
        shuffle: bool | str,
        steps: int | None,
        validation_split: float = 0.0,
        rows: int | None = None,
    ) -> tuple[Source, Arrays | None]:
        """The source of a fit or an evaluation, and the part split off for validation."""
        self._look_again()
        if is_stream(x):
            _check_alone("x", x, y=y, sample_weight=sample_weight)
            if validation_split:
                raise ValueError(
                    "`validation_split` is for arrays; `x` gives batches, so give "
                    f"`validation_data` too. Received: validation_split={validation_split}"
                )
            convert = self._converted(class_weight)
            source = stream("x", x, convert, batch_size, shuffle, steps, rows)
            if not self.built:
                source.look_ahead()
            return source, None
        samples = self._converted()(x, y, sample_weight)
        validation = None
        if validation_split:
            samples, parted = batches.split_checked(samples, validation_split)
            validation = Arrays("validation_split", parted)
        samples = batches.weigh_classes(samples, class_weight)
        return Arrays("x", samples, batch_size, shuffle, steps), validation

    def _validation(
        self, data: Any, batch_size: int | None, steps: int | None, rows: int | None
    ) -> Source:
        if is_stream(data):
            return stream("validation_data", data, self._converted(), None, False, steps, rows)
        if not isinstance(data, tuple | list) or len(data) not in (2, 3):
            found = f"{len(data)} items" if isinstance(data, tuple | list) else type(data).__name__
            raise ValueError(
                "`validation_data` must be (x, y) or (x, y, sample_weight), or give batches of "
                f"them. Received: validation_data of {found}"
            )
        names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
        samples = self._converted(names=names)(*(*data, None)[:3])
        return Arrays("validation_data", samples, batch_size, False, steps)

    def _features_source(
        self, x: Any, batch_size: int | None, steps: int | None, rows: int | None
    ) -> Source:
        if is_stream(x):
            return stream("x", x, self._features_alone, batch_size, False, steps, rows)
        return Arrays("x", self._features_alone(x), batch_size, False, steps)

    def _features_alone(self, x: Any, y: Any = None, sample_weight: Any = None) -> Samples:
        if self.predicts_by_itself:
            return intake.raw(self, x)
        return Samples(self.features(x))


def _check_alone(name: str, x: Any, **others: Any) -> None:
    for other, value in others.items():
        if value is not None:
            raise ValueError(
                f"`{other}` goes with arrays: `{name}`, a {type(x).__name__}, gives batches of "
                f"(x, y) or (x, y, sample_weight). Leave `{other}` out."
            )
