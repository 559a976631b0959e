"""Plan -> its parameters: those of each layer together that are alike, or all in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lldtool.output.contents import NUMBER, common_module, layer_contents
from lldtool.output.document import Block, Cell, Column, Number, Paragraph, Row, Table, styled
from lldtool.output.reasons import rule_text, short_rule
from lldtool.output.starts import start_text
from lldtool.output.states import state_word
from lldtool.plan import Layer, Parameter, Plan, UntrainedParameter
from lldtool.text import layer_name, lr, setting, shape

#: Terminals of this width on say which rule gave a weight decay.
_FOR_REASONS = 100
#: What a terminal narrows names down to.
_NAMES = 12


def folded_parameters(plan: Plan, whole: Plan) -> Iterator[Block]:
    """Yield a title and a table for each layer; a layer like one before it is only referred to.

    Args:
        plan: whose parameters to list.
        whole: the plan that it is the whole or a part of.
    """
    seen: dict[tuple[tuple[str, ...], ...], str] = {}
    layers = plan.layers_and_frozen
    for layer, contents in zip(layers, layer_contents(plan, whole), strict=True):
        prefix = common_module(layer.names)
        rows = _alike(layer, prefix)
        label = "" if layer.layer_id is None else f"layer {layer_name(layer.layer_id)}"
        if label and layer.optimizer is not None:
            label += f" of {layer.optimizer}"
        spans = [(label or ", ".join(contents), "bold")]
        spans += [(f"  {prefix or ', '.join(contents)}", "")] if label else []
        if not label and layer.optimizer is not None:
            spans.append((f"  {layer.optimizer}", "dim"))
        lr_text = f"  lr {setting(layer.lr, 3)}"
        spans.append((lr_text, "green") if layer.trained else ("  not trained", "dim"))
        if layer.trained and layer.lr_scale is not None and plan.auto_scale_lr == 1:
            spans.append((f" = base × {setting(layer.lr_scale, 3)}", "dim"))
        like = seen.get(rows) if label else None
        if like:
            yield Paragraph(styled(*spans, (f"  as {like}", "dim")))
            continue
        seen.setdefault(rows, label)
        yield Paragraph(styled(*spans))
        yield _listed(rows, layer, header="dim" if len(seen) == 1 else "")


def _listed(rows: Sequence[tuple[str, ...]], layer: Layer, *, header: str) -> Table:
    columns = [
        Column("name", least=_NAMES),
        Column("shape", "right", "dim"),
        Column("lr", "right", "green"),
        Column("weight decay", "right"),
        Column("start"),
        Column("reason", style="dim", from_width=_FOR_REASONS),
    ]
    shown = [
        Row(
            [
                name,
                sizes,
                state or setting(layer.lr, 3),
                styled((decay, "dim" * (decay == "0"))),
                start,
                reason,
            ],
            "dim" if state else None,
        )
        for name, sizes, state, decay, reason, start in rows
    ]
    if not any(row[-1] for row in rows):
        del columns[-2]
        shown = [Row([*row.cells[:-2], row.cells[-1]], row.style) for row in shown]
    return Table(columns, shown, header=header, gap=2, indent=2)


def _alike(layer: Layer, prefix: str) -> tuple[tuple[str, ...], ...]:
    """Return a row for each parameter; names that differ in numbers only are one.

    Name, shape, the state of what is not trained, weight decay and its rule of what is, the start.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    for p in layer.everything:
        name = p.name.removeprefix(f"{prefix}.") if prefix else p.name
        key = (
            NUMBER.sub("*", name),
            shape(p.shape),
            *_settings(p),
            start_text(p) if p.start else "",
        )
        rows.setdefault(key, []).append(name)
    return tuple(
        (names[0] if len(names) == 1 else f"{pattern} ×{len(names)}", *rest)
        for (pattern, *rest), names in rows.items()
    )


def _settings(p: Parameter | UntrainedParameter) -> tuple[str, str, str]:
    if isinstance(p, UntrainedParameter):
        return "frozen", "", ""
    if not p.is_trained:
        return state_word(p.state), "", ""
    return "", setting(p.weight_decay), short_rule(p)


def parameter_table(plan: Plan) -> Table:
    """Return a row for each parameter of the model, with controls to choose and sort them."""
    columns = [
        Column("layer", "right", filter=True),
        Column("name", least=_NAMES),
        Column("shape", "right"),
        Column("state", filter=True),
        Column("lr", "right"),
        Column("lr_scale", "right"),
        Column("weight decay", "right"),
        Column("reason", filter=True),
        Column("decayed", filter=True, hidden=True),
    ]
    rows = [_parameter(p) for p in plan.parameters]
    rows += [
        _in_no_group(p, f"{state_word('frozen')}, {state_word('left out')}") for p in plan.frozen
    ]
    rows += [_in_no_group(p, state_word("left out")) for p in plan.left_out]
    if plan.loaded:
        columns.append(Column("start", filter=True))
        starts = map(start_text, plan.every_parameter)
        rows = [
            Row([*row.cells, start], row.style) for row, start in zip(rows, starts, strict=True)
        ]
    if plan.optimizers:
        columns.append(Column("optimizer", filter=True))
        keys = [p.optimizer or "" for p in plan.parameters] + ["–"] * len(rows)
        rows = [Row([*row.cells, key], row.style) for row, key in zip(rows, keys, strict=False)]
    return Table(columns, rows, search="name")


def _parameter(p: Parameter) -> Row:
    reason = rule_text(p.reason.weight_decay) if p.is_trained else "–"
    decayed = ("decayed" if p.weight_decay else "not decayed") if p.is_trained else "–"
    numbers = (
        Number(lr(p.lr), p.lr),
        Number(lr(p.lr_scale), p.lr_scale),
        Number(setting(p.weight_decay), p.weight_decay),
    )
    cells = (_layer(p), p.name, shape(p.shape), state_word(p.state), *numbers, reason, decayed)
    return Row(cells, None if p.is_trained else "dim")


def _in_no_group(p: UntrainedParameter, state: str) -> Row:
    cells = (_layer(p), p.name, shape(p.shape), state, *[Number("–", None)] * 3, "–", "–")
    return Row(cells, "dim")


def _layer(p: Parameter | UntrainedParameter) -> Cell:
    name = layer_name(p.layer_id)
    return name if isinstance(p.layer_id, str) else Number(name, p.layer_id)
