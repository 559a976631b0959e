"""Plan -> HTML, for a notebook."""

from __future__ import annotations

from html import escape

from lldtool.plan import Plan
from lldtool.render.columns import layer_columns
from lldtool.render.contents import layer_contents
from lldtool.render.summary import header, totals
from lldtool.text import printable


def plan_html(plan: Plan) -> str:
    """The header, a row for each layer, and the totals."""
    (_, (config,)), *lines = header(plan)
    about = "".join(
        f"<div>{escape(label)} {escape(' · '.join(items))}</div>" for label, items in lines
    )
    columns = layer_columns(plan, layer_contents(plan, plan))
    head = "".join(f"<th>{title}</th>" for title in columns)
    rows = zip(*columns.values(), strict=True)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    end = "".join(
        f"<div>{escape(line)}</div>" for line in (*totals(plan), *map(printable, plan.notes))
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div><b>{escape(config)}</b>{about}</div>{table}{end}"
