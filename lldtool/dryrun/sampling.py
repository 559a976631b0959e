"""Values of every step -> the few steps between which they are on straight lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence

#: As many steps are kept all.
_ALL = 256
#: A curve with more stairs becomes a slope; of more changes only so many are looked at.
_MOST_STAIRS, _MOST_LOOKED_AT = 64, 4096
#: What is kept of a jump by a part of the highest value: both steps.
_JUMP = 0.02
#: How far a line may be off, as parts of the highest value: the first that takes few steps.
_TOLERANCES, _FEW = (1e-3, 2e-3, 4e-3), 48
#: And in parts of the value itself, so many times that.
_OF_VALUE = 10


def sampled(values: Sequence[float], bounds: Collection[int] = ()) -> list[int]:
    """Return the steps to keep so that a picture of them can't be told from one of all values.

    The first and the last step are among them, the highest and the lowest value, and both steps of
    a jump. Lines between the others are off by less than half a percent of the highest value.

    Args:
        values: of each step.
        bounds: other steps to keep.
    """
    import numpy as np

    if len(values) <= _ALL:
        return list(range(len(values)))
    all_values = np.asarray(values)
    peak = float(abs(all_values).max())
    rises = np.diff(all_values)
    starts = np.flatnonzero(rises) + 1
    jumps = np.flatnonzero(abs(rises) > _JUMP * peak)
    ends = {0, len(values) - 1, int(all_values.argmax()), int(all_values.argmin())}
    keep = (
        ends
        | {b for b in bounds if 0 <= b < len(values)}
        | {*jumps.tolist(), *(jumps + 1).tolist()}
    )
    if len(starts) <= _MOST_STAIRS:
        nodes = sorted(keep | {*starts.tolist(), *(starts - 1).tolist()})
    else:
        nodes = sorted(keep | {*starts[:: max(1, len(starts) // _MOST_LOOKED_AT)].tolist()})
    found: list[int] = []
    for tolerance in _TOLERANCES:
        found = _on_lines(nodes, all_values.tolist(), keep, tolerance)
        if len(found) <= _FEW:
            break
    return found


def _on_lines(
    nodes: Sequence[int], values: Sequence[float], keep: Collection[int], tolerance: float
) -> list[int]:
    """Return the nodes between which lines are near enough to the values at all nodes."""
    infinite, peak = float("inf"), max(map(abs, values))
    kept, low, high = [nodes[0]], -infinite, infinite
    before = nodes[0]
    for node in nodes[1:]:
        value = values[node]
        slope = (value - values[kept[-1]]) / (node - kept[-1])
        if not low <= slope <= high:  # a line from the last one to here is too far off between
            kept.append(before)
            low, high = -infinite, infinite
            slope = (value - values[before]) / (node - before)
        off = max(tolerance * min(peak, _OF_VALUE * abs(value)), 1e-9 * peak)
        length = node - kept[-1]
        low, high = max(low, slope - off / length), min(high, slope + off / length)
        if node in keep:
            kept.append(node)
            low, high = -infinite, infinite
        before = node
    return list(dict.fromkeys(kept))
