"""`lldtool inspect`: the settings of every parameter, a row for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    ColorOption,
    ConfigArgument,
    Dark,
    Device,
    Match,
    Output,
    PlotFile,
    Traceback,
    WorldSize,
    requests,
)
from lldtool.cli.output import Color, check_writable, emit, use_color, width, write_whole
from lldtool.cli.pictures import Plot
from lldtool.cli.plans import plan_of, require_match
from lldtool.config.selectors import matching_pattern
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Plan, layer_order, plan_to_json


class Format(str, Enum):
    """The form of the result."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


def inspect(
    config: ConfigArgument,
    params: Annotated[
        bool, typer.Option("--params", help="List the parameters of every layer.")
    ] = False,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", metavar="LAYER", help="Only this layer. Repeatable.", show_default=False
        ),
    ] = None,
    match: Match = None,
    decayed: Annotated[bool, typer.Option("--decayed", help="Only with weight decay.")] = False,
    undecayed: Annotated[bool, typer.Option("--undecayed", help="Only without.")] = False,
    form: Annotated[
        Format, typer.Option("--format", help="The form of the result.")
    ] = Format.table,
    output: Output = None,
    plot: PlotFile = None,
    dark: Dark = False,
    save_svg: Annotated[
        Path | None,
        typer.Option(
            "--save-svg", metavar="FILE", show_default=False,
            help="Write the table as a picture of a terminal, too.",
        ),
    ] = None,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Show the lr, lr_scale and weight decay of every layer.

    The stem comes first. Runs the config's own code: its Python, its model's and its constructor's.
    It builds the model without initialising it, uses no GPU unless asked to, and reads no data set.
    """
    if decayed and undecayed:
        raise LldtoolError("--decayed and --undecayed exclude each other")
    request = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)(config)
    picture = Plot(plot, dark)
    check_writable(output, request.path)
    check_writable(save_svg, request.path, option="--save-svg")
    picture.check(output, request.path)
    whole = plan_of(request)
    plan = _narrowed(whole, layers=layer or (), match=match, decayed=decayed, undecayed=undecayed)
    colored = use_color(color, output)
    emit(_rendered(plan, whole, form, params=params, colored=colored), output)
    if save_svg is not None:
        write_whole(save_svg, _terminal_svg(plan, whole, params=params), option="--save-svg")
    picture.draw(partial(_picture, plan))


def _picture(plan: Plan, form: str, dark: bool) -> bytes:
    from lldtool.output.plots import plan_picture

    return plan_picture(plan, form, dark=dark)


def _terminal_svg(plan: Plan, whole: Plan, *, params: bool) -> bytes:
    from lldtool.output.screenshot import terminal_svg

    text = _rendered(plan, whole, Format.table, params=params, colored=True)
    return terminal_svg(text, width=width(), title=f"lldtool inspect {plan.config}").encode()


def _rendered(plan: Plan, whole: Plan, form: Format, *, params: bool, colored: bool) -> str:
    if form is Format.json:
        return plan_to_json(plan)
    if form is Format.csv:
        from lldtool.output.csv_formats import plan_csv

        return plan_csv(plan)
    from lldtool.output.formats import written
    from lldtool.output.plan_document import Listing, plan_document

    listing: Listing = "folded" if form is Format.table else "each"
    document = plan_document(plan, whole=whole, parameters=listing if params else "none")
    return written(document, form.value, width=width(), color=colored)


def _narrowed(
    plan: Plan, *, layers: Sequence[str], match: str | None, decayed: bool, undecayed: bool
) -> Plan:
    """The plan with the parameters only that the options choose."""
    everything = list(plan.every_parameter)
    kept, chosen = everything, []
    if layers:
        known = [str(layer_id) for layer_id in layer_order(p.layer_id for p in everything)]
        unknown = [name for name in layers if name not in known]
        if unknown:
            raise LldtoolError(_no_layer(unknown[0], known), config=plan.config)
        kept = [p for p in kept if p.layer_id is not None and str(p.layer_id) in layers]
        chosen.append("layer " + ", ".join(layers))
    if match is not None:
        require_match(match, everything, plan.config)
        kept = [p for p in kept if matching_pattern([match], p)]
        chosen.append(f"names like {match}")
    if decayed or undecayed:
        trained = (p for p in kept if isinstance(p, Parameter) and p.is_trained)
        kept = [p for p in trained if bool(p.weight_decay) is decayed]
        chosen.append("decayed" if decayed else "not decayed")
    if not chosen:
        return plan
    if not kept:
        raise LldtoolError(f"no parameter is {' and '.join(chosen)}", config=plan.config)
    note = f"only {' and '.join(chosen)}: {len(kept)} of {len(everything)} tensors"
    return plan.narrowed({p.name for p in kept}, note)


def _no_layer(name: str, known: Sequence[str]) -> str:
    if not known:
        return f"no layer {name}: the constructor knows no layers"
    return f"no layer {name}: there are layers {known[0]} to {known[-1]}"
