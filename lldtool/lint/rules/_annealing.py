"""How a scheduler takes the lr down, in plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Annealing:
    """How a scheduler takes the lr down from `top` to `target`, as factors of the base lr.

    `length` is how long that takes from its beginning, in the scheduler's own unit; `option` says
    it, unless that follows from its end. `cycles` are the length and weight of each that restarts.
    """

    kind: str
    top: float
    target: float
    length: float
    option: str | None = None
    shape: float = 1.0
    cycles: tuple[tuple[float, float], ...] = ()

    def left(self, time: float) -> float:
        """Return the part of the way down that is left after a time, from 1 to 0."""
        x = time / self.length
        if self.kind == "cosine":
            return (1 + math.cos(math.pi * x)) / 2
        if self.kind == "one-cycle":
            return (
                1 + math.cos(math.pi * max(0.0, x - self.shape) / max(1e-9, 1 - self.shape))
            ) / 2
        if self.kind == "restarts":
            for period, weight in self.cycles:
                if time <= period:
                    return weight * (1 + math.cos(math.pi * time / period)) / 2
                time -= period
        return float(max(0.0, 1 - x) ** self.shape)

    def factor(self, time: float) -> float:
        """Return the factor of the base lr after a time."""
        return self.target + (self.top - self.target) * self.left(time)
