"""`lldtool inspect`: the settings of every parameter, one row per layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from lldtool.cli.load_plans import load_plan, require_match
from lldtool.cli.options import (
    ConfigArgument,
    DryRunOptions,
    LengthOptions,
    Match,
    OutputOptions,
    PlotOptions,
    format_option,
    option,
)
from lldtool.cli.streams import check_writable, width, write_whole
from lldtool.config.request import Curves
from lldtool.config.selectors import matching_pattern
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Plan, layer_order, plan_to_json

POSITION = 10


def inspect(
    config: ConfigArgument,
    *,
    params: Annotated[bool, option("--params", help="List every parameter of each layer.")] = False,
    layers: Annotated[list[str] | None, option(
        "--layer", metavar="LAYER", help="Only include this layer. Repeatable.",
    )] = None,
    match: Match = None,
    decayed: Annotated[bool, option(
        "--decayed", help="Only include parameters with weight decay.",
    )] = False,
    undecayed: Annotated[bool, option(
        "--undecayed", help="Only include parameters without weight decay.",
    )] = False,
    form: Annotated[str, format_option("table", "json", "csv")] = "table",
    save_svg: Annotated[Path | None, option(
        "--save-svg", metavar="FILE", help="Also save the table as an SVG screenshot.",
    )] = None,
    training: LengthOptions,
    output: OutputOptions,
    plot: PlotOptions,
    run: DryRunOptions,
) -> None:  # fmt: skip
    """Show the lr, lr_scale and weight decay of every layer.

    Layers are listed from the stem to the head. The model is built but not initialised, on the CPU
    unless --device says otherwise. Of the data set, at most the annotation file is read, for the
    length of an epoch. Loading a config runs its code with your permissions.
    """
    if decayed and undecayed:
        raise LldtoolError("--decayed and --undecayed exclude each other")
    curves: Curves = "all" if form == "json" else "none"
    request = run.request(config, training.length, curves)
    output.check(request.path)
    check_writable(save_svg, request.path, option="--save-svg")
    plot.check(output.output, request.path)
    whole = load_plan(request)
    plan = _narrowed(whole, layers=layers or (), match=match, decayed=decayed, undecayed=undecayed)
    output.emit(_rendered(plan, whole, form, params=params, colored=output.is_colored))
    if save_svg is not None:
        write_whole(save_svg, _terminal_svg(plan, whole, params=params), option="--save-svg")
    if plot.plot:
        from lldtool.output.plots import plan_picture

        plot.save(plan_picture, plan)


def _terminal_svg(plan: Plan, whole: Plan, *, params: bool) -> bytes:
    from lldtool.output.screenshot import terminal_svg

    text = _rendered(plan, whole, "table", params=params, colored=True)
    return terminal_svg(text, width=width(), title=f"lldtool inspect {plan.config}").encode()


def _rendered(plan: Plan, whole: Plan, form: str, *, params: bool, colored: bool) -> str:
    if form == "json":
        return plan_to_json(plan)
    if form == "csv":
        from lldtool.output.csv_formats import plan_csv

        return plan_csv(plan)
    from lldtool.output.formats import written
    from lldtool.output.plan_document import Listing, plan_document

    listing: Listing = "folded" if form == "table" else "each"
    document = plan_document(plan, whole=whole, parameters=listing if params else "none")
    return written(document, form, width=width(), color=colored)


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
