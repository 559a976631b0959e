"""A plan's curve, of which some steps are kept -> the value of every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from lldtool.plan import Curve


class Samples(Sequence[float]):
    """The value of every step, of which a plan's curve has some.

    Args:
        curve: of the plan.
        factor: on its values.
        steps: of the training.
    """

    def __init__(self, curve: Curve, factor: float, steps: int) -> None:
        self.curve, self.factor = curve, factor
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    @overload
    def __getitem__(self, step: int) -> float: ...
    @overload
    def __getitem__(self, step: slice) -> Sequence[float]: ...
    def __getitem__(self, step: int | slice) -> float | Sequence[float]:
        if isinstance(step, slice):
            return [self[i] for i in range(*step.indices(self._steps))]
        if not -self._steps <= step < self._steps:
            raise IndexError(step)
        return self.curve.value_at(step % self._steps) * self.factor

    @property
    def kept(self) -> Sequence[float]:
        """The values that the curve has; the others are on lines between them."""
        return [value * self.factor for value in self.curve.value]
