"""From where the parameters of a plan start, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence

from lldtool.output.contents import patterns
from lldtool.output.document import Text, listed
from lldtool.plan import Layer, Loaded, Parameter, Plan, UntrainedParameter
from lldtool.text import plural, printable, shape, shortened

#: Parameters that were loaded.
_LOADED = ("pretrained", "resumed")
#: More patterns of names, keys and kinds of shapes than these are cut.
_MOST_PATTERNS, _MOST_KEYS, _MOST_SHAPES = 4, 3, 4


def start_text(p: Parameter | UntrainedParameter) -> str:
    """`pretrained`, `mismatched, checkpoint 10×192`; `–` where it is not known."""
    if p.checkpoint_shape is not None:
        return f"{p.start}, checkpoint {shape(p.checkpoint_shape)}"
    return p.start or "–"


def layer_start(layer: Layer) -> str:
    """Return from where the parameters of a layer start: `12 of 14 pretrained`, `missing`."""
    starts = Counter[str](p.start or "–" for p in layer.everything)
    for start in _LOADED:
        if 0 < starts[start] < starts.total():
            return f"{starts[start]} of {starts.total()} {start}"
    if len(starts) == 1:
        return next(iter(starts))
    return ", ".join(f"{number} {start}" for start, number in sorted(starts.items()))


def start_facts(plan: Plan) -> list[tuple[str, Text]]:
    """Return what became of each checkpoint."""
    everything = {p.name: p for p in plan.every_parameter}
    facts = []
    for loaded in plan.loaded or ():
        inside = [p for p in everything.values() if _is_in(p.name, loaded)]
        buffers = [b for b in plan.buffers if _is_in(b.name, loaded)]
        items = [
            f"{loaded.by} {printable(loaded.checkpoint)}{_options(loaded)}",
            f"{loaded.tensors:,} of {plural(len(inside), 'tensor')} loaded",
        ]
        if buffers:
            items.append(f"{loaded.buffers:,} of {plural(len(buffers), 'buffer')}")
        mismatched = sum(tensor.start == "mismatched" for tensor in (*inside, *buffers))
        items += [f"{mismatched:,} mismatched"] if mismatched else []
        if loaded.unexpected:
            items.append(f"{plural(len(loaded.unexpected), 'key')} left over")
        facts.append(("start", listed(items, " · ")))
    return facts


def _is_in(name: str, loaded: Loaded) -> bool:
    return not loaded.module or name.startswith(f"{loaded.module}.")


def _options(loaded: Loaded) -> str:
    options = [f"into {loaded.module}"] if loaded.module else []
    options += [] if loaded.prefix is None else [f"prefix {loaded.prefix}"]
    return printable(f" ({', '.join(options)})" if options else "")


def start_lines(plan: Plan) -> Iterator[str]:
    """Yield what does not start from a checkpoint, and which keys of a file were left over."""
    if not plan.loaded:
        return
    everything = list({p.name: p for p in plan.every_parameter}.values())
    names = [p.name for p in everything]
    mismatched: dict[str, list[str]] = defaultdict(list)
    for p in everything:
        if p.checkpoint_shape is not None:
            shapes = f"({shape(p.shape)}, checkpoint {shape(p.checkpoint_shape)})"
            mismatched[shapes].append(p.name)
    if mismatched:
        kinds = [f"{_shown(own, names)} {shapes}" for shapes, own in mismatched.items()]
        total = sum(map(len, mismatched.values()))
        yield f"{plural(total, 'tensor')} mismatched: {_cut(kinds, _MOST_SHAPES)}"
    missing = [p.name for p in everything if p.start == "missing"]
    if missing:
        which = "" if missing == names else f": {_shown(missing, names)}"
        yield f"{plural(len(missing), 'tensor')} missing, so initialised{which}"
    for loaded in plan.loaded:
        if loaded.unexpected:
            keys = [printable(key) for key in loaded.unexpected]
            number = plural(len(keys), "key")
            checkpoint = printable(loaded.checkpoint)
            yield f"{number} left over in {checkpoint}: {_cut(keys, _MOST_KEYS)}"


def _shown(names: Collection[str], everything: Collection[str]) -> str:
    return ", ".join(patterns(names, everything, _MOST_PATTERNS))


def _cut(items: Sequence[str], most: int) -> str:
    return ", ".join(shortened(items, most))
