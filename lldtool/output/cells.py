"""The cells that show what differs: `a → b`, with as many digits as it takes to see it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from lldtool.analysis.diff import ConfigChange, LayerPair, ParameterChange
from lldtool.output.states import state_word
from lldtool.plan import Layer, LayerId
from lldtool.text import layer_name, lr, printable, setting, significant, value

#: What a row is about: something of A only, of B only, of both but different, the same.
REMOVED, ADDED, CHANGED, SAME = "−", "+", "~", " "


class Pair(NamedTuple):
    """A cell that reads `a → b`."""

    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.a} → {self.b}"


Cell = Pair | str


def marker_of(a: object, b: object) -> str:
    """The marker of what differs, where None stands for a side that lacks it."""
    return ADDED if a is None else REMOVED if b is None else CHANGED


def entry_cells(change: ConfigChange) -> tuple[Cell, Cell]:
    """The key of an entry of the config, and its value or values."""
    key = printable(change.key)
    if change.a is None or change.b is None:
        return key, value(change.b if change.a is None else change.a)
    return key, distinct(partial(_value, change.a), partial(_value, change.b))


def _value(content: object, digits: int) -> str:
    """A value of a config, a number with more digits where more than usual are asked for."""
    if isinstance(content, float) and digits > 6:
        return setting(content, digits)
    return value(content)


def differs(pair: LayerPair, name: str) -> bool:
    """Whether a setting differs between two layers."""
    return any(name in change.settings for change in pair.changes)


@dataclass(frozen=True)
class Line:
    """A pair of layers, and the modules that it holds."""

    pair: LayerPair
    modules: tuple[str, ...]

    @property
    def marker(self) -> str:
        """The marker of its row."""
        return marker_of(self.pair.a, self.pair.b) if self.pair.differs else SAME

    @property
    def pattern(self) -> object:
        """What neighbours have in common that are shown as one row."""
        names = [re.sub(r"\d+", "*", name) for name in self.modules]
        a, b = self.pair.a, self.pair.b
        tensors = a and a.num_tensors, b and b.num_tensors
        shift = _shift(a.layer_id if a else None, b.layer_id if b else None)
        ratio = self.lr_ratio and significant(self.lr_ratio, 9)
        scales = a and b and a.lr_scale == b.lr_scale
        return (
            self.marker,
            self.pair.elsewhere,
            names,
            tensors,
            shift,
            ratio,
            scales,
            str(self.weight_decay),
        )

    @cached_property
    def weight_decay(self) -> Cell:
        """`0.05 → 0 ×8`; where nothing differs what there is, `0.05 ×4 · 0 ×8`."""
        changes = [c for c in self.pair.changes if "weight_decay" in c.settings]
        if changes:
            changed = Counter(decay_cell(c) for c in changes).most_common()
            cells = [Pair(cell.a, f"{cell.b} ×{number}") for cell, number in changed]
            return cells[0] if len(cells) == 1 else "\n".join(map(str, cells))
        a, b = self.pair.a, self.pair.b
        layer = None if a and b and a.weight_decays != b.weight_decays else a or b
        counts = layer.weight_decays.most_common() if layer else []
        return " · ".join(f"{setting(decay)} ×{number}" for decay, number in counts)

    @cached_property
    def lr_ratio(self) -> float | None:
        """What B's lr is of A's; None where it is no number, or the same."""
        a = self.pair.a.lr if self.pair.a else None
        b = self.pair.b.lr if self.pair.b else None
        if not differs(self.pair, "lr") or not a or b is None or not math.isfinite(b / a):
            return None
        return b / a


def _shift(a: LayerId | None, b: LayerId | None) -> object:
    """How far a layer has moved; both names where they differ and are no numbers."""
    if a is None or b is None:
        return None
    if isinstance(a, str) or isinstance(b, str):
        return 0 if a == b else (a, b)
    return b - a


def ratio_text(ratio: float | None) -> str:
    """With as many digits as it takes to tell it from 1."""
    if not ratio:
        return "0"
    return distinct(partial(significant, 1.0), partial(significant, ratio)).b


def layer_ids(run: Sequence[Line]) -> Cell:
    """The layers of a run, of both sides where both know layers and they differ."""
    sides = ([x.layer_id for x in side if x and x.layer_id is not None] for side in _sides(run))
    a, b = sides
    if not a or not b or a == b:
        return _range(a or b or [None], _layer, 0)
    return Pair(_range(a, _layer, 0), _range(b, _layer, 0))


def _layer(layer_id: LayerId | None, digits: int) -> str:
    return layer_name(layer_id)


def _sides(run: Sequence[Line]) -> tuple[list[Layer | None], list[Layer | None]]:
    return [line.pair.a for line in run], [line.pair.b for line in run]


def frozen(run: Sequence[Line]) -> Pair | None:
    """`1.27e-4 → frozen`, where the other side has the parameters and does not train them."""
    if run[0].pair.elsewhere in (None, "absent"):
        return None
    elsewhere = state_word(run[0].pair.elsewhere or "")
    lrs = str(numbers(run, lambda layer: layer.lr, lr))
    return Pair(lrs, elsewhere) if run[0].pair.a else Pair(elsewhere, lrs)


def numbers(
    run: Sequence[Line],
    of: Callable[[Layer], float | None],
    form: Callable[[float | None, int], str],
) -> Cell:
    """A setting of a run of layers, from … to; on both sides where it differs."""
    a, b = ([of(layer) for layer in side if layer] for side in _sides(run))
    if not a or not b or a == b:
        return _range(a or b, form, 3)
    return distinct(partial(_range, a, form), partial(_range, b, form))


def _range(values: Sequence[Any], form: Callable[[Any, int], str], digits: int) -> str:
    first, last = form(values[0], digits), form(values[-1], digits)
    return first if first == last else f"{first}–{last}"


def distinct(a: Callable[[int], str], b: Callable[[int], str]) -> Pair:
    """Two numbers with as many digits as it takes to tell them apart, at least three."""
    texts = (Pair(a(digits), b(digits)) for digits in range(3, 18))
    return next((pair for pair in texts if pair.a != pair.b), Pair(a(17), b(17)))


def decay_cell(change: ParameterChange) -> Pair:
    """The weight decay of a parameter on both sides."""
    a, b = change.a.weight_decay, change.b.weight_decay
    return distinct(partial(setting, a), partial(setting, b))


def optimizer_cell(change: ParameterChange) -> Pair:
    """The optimizer of a parameter on both sides."""
    return Pair(*(printable(side.optimizer or "–") for side in (change.a, change.b)))


def layer_cell(change: ParameterChange) -> Pair:
    """The layer of a parameter on both sides."""
    return Pair(_layer(change.a.layer_id, 0), _layer(change.b.layer_id, 0))
