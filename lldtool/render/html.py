"""Plan -> HTML, for a notebook."""

from __future__ import annotations

from html import escape

from lldtool.plan import Plan
from lldtool.render.contents import layer_contents
from lldtool.render.summary import header, totals, weight_decays
from lldtool.render.text import count, lr, printable, setting


def plan_html(plan: Plan) -> str:
    """The header, a row for each layer, and the totals."""
    (_, (config,)), *lines = header(plan)
    about = "".join(
        f"<div>{escape(label)} {escape(' · '.join(items))}</div>" for label, items in lines
    )
    titles = ("layer", "contents", "tensors", "params", "lr", "lr_scale", "weight decay")
    head = "".join(f"<th>{title}</th>" for title in titles)
    decays = weight_decays(plan.layers)
    rows = [
        ("–" if layer.layer_id is None else str(layer.layer_id), ", ".join(contents), str(layer.num_tensors),
         count(layer.numel), lr(layer.lr), setting(layer.lr_scale), decay)
        for layer, contents, decay in zip(plan.layers, layer_contents(plan), decays, strict=True)
    ]  # fmt: skip
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(printable(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    end = "".join(f"<div>{escape(line)}</div>" for line in (*totals(plan), *plan.notes))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div><b>{escape(config)}</b>{about}</div>{table}{end}"
