"""Configs, what rules find in them and their schedules -> the page of `lldtool report`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lldtool.analysis.diff import diff_plans
from lldtool.analysis.plan_curves import lr_curves, why_no_curves
from lldtool.lint.diagnostics import CheckResult, Diagnostic
from lldtool.output.comparison import Comparison, caption, comparison_table, letters
from lldtool.output.diagnostics.shared import details, location_shown, severities
from lldtool.output.diagnostics.text import SEVERITY_COLORS
from lldtool.output.diff_tables import tables
from lldtool.output.diff_words import summary
from lldtool.output.document import (
    Block,
    Bullets,
    Code,
    Document,
    Facts,
    Notes,
    Paragraph,
    Picture,
    Section,
    styled,
)
from lldtool.output.parameter_tables import parameter_table
from lldtool.output.plan_document import plan_document
from lldtool.output.plots import comparison_picture, plan_picture, schedule_picture
from lldtool.output.schedule_document import points_of, schedule_document
from lldtool.plan import Plan
from lldtool.text import plural

if TYPE_CHECKING:
    from lldtool.dryrun import Capture


def report_document(captures: Sequence[Capture], results: Sequence[CheckResult]) -> Document:
    """Return all there is to say of some configs, and of several what differs between them.

    Args:
        captures: of the configs.
        results: of checking them, in the same order.
    """
    plans = [one.plan for one in captures if one.plan is not None]
    sections = _comparison(plans) if len(plans) > 1 else []
    for one, checked in zip(captures, results, strict=True):
        if len(captures) > 1:
            verdict = severities(checked.diagnostics) or "no findings"
            verdict = verdict if one.plan else "could not be checked"
            sections.append(Section([], checked.config, level=0, verdict=verdict))
        sections += _config(one, checked)
    title = results[0].config if len(results) == 1 else plural(len(results), "config")
    return Document(sections, title=title)


def _picture(draw: Callable[..., bytes], data: Any, alternative: str) -> Picture:  # noqa: ANN401
    return Picture(lambda form, dark: draw(data, form, dark=dark), alternative)


# One config


def _config(one: Capture, checked: CheckResult) -> list[Section]:
    error = [Paragraph(styled(("error ", "bold red"), (checked.error or "", "red")))]
    errors: list[Block] = [*error] if checked.error else []
    if one.plan is None:
        return [Section(errors), *_findings(checked)]
    header, layers, end = plan_document(one.plan).sections
    text = "Learning rate of each layer; tensors that are decayed and not."
    picture = _picture(plan_picture, one.plan, text)
    return [
        Section([*errors, *header.blocks]),
        *_findings(checked),
        Section([picture, *layers.blocks, *end.blocks], "Layers"),
        Section(_schedule(one.plan), "Schedule"),
        Section([parameter_table(one.plan)], "Parameters"),
    ]


def _findings(checked: CheckResult) -> list[Section]:
    said = "The config could not be checked." if checked.error else "The rules find nothing."
    nothing = [] if checked.diagnostics else [Paragraph(said)]
    found = sorted(checked.diagnostics, key=lambda finding: finding.severity.rank)
    return [Section(nothing, "Findings"), *map(_finding, found)]


def _finding(finding: Diagnostic) -> Section:
    severity = (finding.severity.value, f"bold {SEVERITY_COLORS[finding.severity]}")
    place = f"  {location_shown(finding.location)}" if finding.location else ""
    title = styled(severity, " ", (f"{finding.code} {finding.name}", "bold"), (place, "dim"))
    blocks: list[Block] = [Paragraph(finding.message)]
    for label, items in details(finding):
        blocks.append(Paragraph(styled((f"{label}: {', '.join(items)}", "dim"))))
    if finding.suggestion:
        fix = Paragraph(styled(("Suggested fix:", "dim")))
        blocks += [fix, Code(finding.suggestion.strip("\n"))]
    return Section(blocks, title, level=2)


def _schedule(plan: Plan) -> list[Block]:
    if why := why_no_curves(plan):
        return [Paragraph(why)]
    curves = lr_curves(plan)
    document = schedule_document(curves, points_of(curves))
    blocks = [block for section in document.sections for block in section.blocks]
    text = "Learning rate of each layer over the training."
    return [
        *(block for block in blocks if not isinstance(block, Notes)),
        _picture(schedule_picture, curves, text),
        Notes(curves.notes),
    ]


# What differs


def _comparison(plans: Sequence[Plan]) -> list[Section]:
    """Return two plans as `diff` shows them, more as `compare` does."""
    titles = tuple(letters(len(plans)))
    legend = tuple(zip(titles, (plan.config for plan in plans), strict=True))
    comparison = Comparison(tuple(plans), titles, legend)
    if len(plans) == 2:
        diff = diff_plans(*plans)
        sentences, found = summary(diff), tables(diff, every_layer=False, every_parameter=False)
    else:
        sentences, found = [caption(comparison)], [Section([comparison_table(comparison)])]
    text = "Learning rate of each layer, the configs over each other."
    picture = _picture(comparison_picture, comparison, text)
    blocks: list[Block] = [Bullets(sentences), Facts(legend), picture]
    return [Section(blocks, "What differs", level=0), *found]
