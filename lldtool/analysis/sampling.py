"""Values of every step -> the few steps between which they are on straight lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence

#: As many steps are kept all.
_ALL = 256
#: How far a line may be off: as a part of the highest value, and of the value itself.
_OF_PEAK, _OF_VALUE = 1e-3, 1e-2


def sampled(values: Sequence[float], bounds: Collection[int] = ()) -> list[int]:
    """Return the steps to keep so that a picture of them can't be told from one of all values.

    The first and the last step are among them, the highest and the lowest value, and both steps of
    a jump. Lines between the others are off by a thousandth of the highest value at most, and by a
    hundredth of the value itself.

    Args:
        values: of each step.
        bounds: other steps to keep.
    """
    last = len(values) - 1
    if last < _ALL:
        return list(range(len(values)))
    peak = max(map(abs, values))
    bounds = {*bounds, last, values.index(max(values)), values.index(min(values))}
    kept, anchor, low, high = [0], 0, -float("inf"), float("inf")
    for i in range(1, last + 1):
        slope = (values[i] - values[anchor]) / (i - anchor)
        if (
            not low <= slope <= high
        ):  # no line from the anchor to here is near enough to all between
            anchor = i - 1
            kept.append(anchor)
            slope, low, high = values[i] - values[anchor], -float("inf"), float("inf")
        off = max(min(_OF_PEAK * peak, _OF_VALUE * abs(values[i])), 1e-12 * peak)
        low, high = max(low, slope - off / (i - anchor)), min(high, slope + off / (i - anchor))
        if i in bounds:
            anchor, low, high = i, -float("inf"), float("inf")
            kept.append(i)
    return list(dict.fromkeys(kept))
