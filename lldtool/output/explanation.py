"""Plan -> what `lldtool explain` says: why each setting has its value, and what each key does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lldtool.analysis.keys import Effect, Key, custom_keys_of
from lldtool.output.document import (
    Column,
    Document,
    Facts,
    Notes,
    Row,
    Section,
    Table,
    Text,
    styled,
)
from lldtool.output.reasons import (
    causes,
    lr_formula,
    overridden,
    rule_text,
    unmatched,
    weight_decay_formula,
)
from lldtool.output.starts import start_text
from lldtool.output.states import group_text, state_text, untrained
from lldtool.plan import Parameter, Plan, UntrainedParameter
from lldtool.text import layer_name, plural, shape, value

_SETTINGS = {"lr": "lr", "weight_decay": "weight decay"}
#: Terminals of this width on show the value of a key beside it.
_FOR_VALUES = 100


def explanation(
    plan: Plan, parameters: Sequence[Parameter | UntrainedParameter] | None = None
) -> Document:
    """Return the trails of the parameters, or each distinct reason where none are given."""
    sections = _causes(plan) if parameters is None else [_trail(plan, p) for p in parameters]
    end = [Section([Notes(plan.notes)])] if plan.notes else []
    return Document([*sections, *end], title=plan.config)


def trail(plan: Plan, p: Parameter | UntrainedParameter) -> list[tuple[str, str]]:
    """Return label and text of each step from the state of a parameter to its settings."""
    steps = [("state", state_text(plan, p))]
    steps += [("start", start_text(p))] if p.start else []
    if isinstance(p, UntrainedParameter):
        layer = [("layer", layer_name(p.layer_id))] if p.layer_id is not None else []
        return [*steps, ("parameter", shape(p.shape)), *layer]
    steps.append(("parameter", f"{shape(p.shape)} in a {p.module_type}"))
    lr, decay = p.reason.lr, p.reason.weight_decay
    if p.optimizer is not None:
        kind = plan.optimizers[p.optimizer].type
        steps.append(("optimizer", f"{p.optimizer}: {kind}" if kind else p.optimizer))
    if p.layer_id is not None:
        top = f" (0 to {lr.max_layer_id - 1})" if lr.max_layer_id is not None else ""
        steps.append(("layer", f"{layer_name(p.layer_id)}{top}"))
    if not p.is_trained:
        return [*steps, ("param group", group_text(p))]
    steps.append(("lr", f"{lr_formula(plan, [p])}   {rule_text(lr)}"))
    steps += [("  overrides", text) for text in overridden(lr)]
    steps.append(("weight decay", f"{weight_decay_formula(plan, p)}   {rule_text(decay)}"))
    steps += [("  overrides", text) for text in overridden(decay)]
    steps += [("  no match", text) for text in unmatched(p)]
    if p.extras:
        steps.append(("group entry", ", ".join(f"{k}={value(v)}" for k, v in p.extras.items())))
    return steps


def _trail(plan: Plan, p: Parameter | UntrainedParameter) -> Section:
    steps = trail(plan, p)
    before = ["", *(label for label, _ in steps)]
    once = ("" if label == last else label for (label, _), last in zip(steps, before, strict=False))
    facts = [(label, text) for label, (_, text) in zip(once, steps, strict=True)]
    return Section([Facts(facts, indent=2)], p.name)


def _causes(plan: Plan) -> list[Section]:
    """Return a table for each setting and for what is not trained, with a row for each reason."""
    found: dict[str, list[Row]] = {title: [] for title in (*_SETTINGS.values(), "not trained")}
    for cause in causes(plan):
        reason = styled((cause.formula, "green"), f"   {rule_text(cause.reason)}")
        names = [p.name for p in cause.parameters]
        found[_SETTINGS[cause.setting]].append(Row((str(len(names)), reason, _examples(names))))
    for why, names in untrained(plan).items():
        found["not trained"].append(Row((str(len(names)), why, _examples(names))))
    columns = (
        Column("tensors", "right"),
        Column("reason", least=_LEAST),
        Column("for example", below=True),
    )
    return [
        Section([Table(columns, rows, header="", gap=2, indent=2)], title)
        for title, rows in found.items()
        if rows or title != "not trained"
    ]


#: What a terminal narrows text in tables down to.
_LEAST = 20


def _examples(names: Sequence[str]) -> Text:
    """Return the first of the names and one from the middle, in one line."""
    spread = names[:1] if len(names) == 1 else [names[0], names[len(names) // 2]]
    return Text(((", ".join(spread), "dim"),), joint="")


def keys_document(plan: Plan, keys: Sequence[Key]) -> Document:
    """Return a row for each custom key and option, in the order of precedence."""
    columns = (
        Column("key or option"),
        Column("value", from_width=_FOR_VALUES),
        Column("matches", "right"),
        Column("decides", "right"),
        Column("without it", least=_LEAST),
    )
    rows = [
        Row(
            (
                f"'{key.name}'" if key.is_custom else key.name,
                value(value_of(plan, key)),
                *("–" if n is None else str(n) for n in (key.matched, key.decided)),
                "; ".join(_without(key)),
            ),
            "yellow" if key.effect == Effect() else None,
        )
        for key in keys
    ]
    return Document([Section([Table(columns, rows, gap=2)])], title=plan.config)


def value_of(plan: Plan, key: Key) -> object:
    """Return what the config gives for a key or option."""
    return (custom_keys_of(plan) if key.is_custom else plan.constructor.paramwise_cfg)[key.name]


def _without(key: Key) -> Iterator[str]:
    """Yield what leaving a key out would do, and which keys take what it matches."""
    effect = key.effect
    if effect.error is not None:
        yield f"error: {effect.error}"
        return
    parts = []
    if effect.settings:
        parts.append(f"{plural(effect.settings, 'tensor')} with other settings")
    if effect.moved:
        parts.append(f"{plural(effect.moved, 'tensor')} in or out of the optimizer")
    if not parts and (effect.layers or effect.extras):
        lost = ["no layers"] * bool(effect.layers) + ["other group entries"] * bool(effect.extras)
        parts.append(f"no lr or weight decay changes, only {' and '.join(lost)}")
    yield ", ".join(parts) or "nothing changes"
    for name, number in key.taken.items():
        yield f"'{name}' takes {number}"
