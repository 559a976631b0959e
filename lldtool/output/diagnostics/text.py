"""Report -> what `lldtool check` shows in a terminal."""

from __future__ import annotations

import tokenize
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from lldtool.config.location import Location
from lldtool.lint.diagnostics import Checked, Report, Severity
from lldtool.output.diagnostics.shared import Told, place_shown, summary, told_once
from lldtool.output.screenshot import rendered
from lldtool.text import printable

SEVERITY_COLORS = {Severity.error: "red", Severity.warning: "yellow", Severity.info: "cyan"}
_INDENT, _TAB = "  ", 4
#: The least of a source line that is shown on a narrow terminal.
_LEAST_CODE = 20


def report_text(report: Report, *, width: int, color: bool, brief: bool = False) -> str:
    """The report as a terminal shows it; longer lines are names, and config text to write.

    Args:
        report: what to show.
        width: columns of the terminal.
        color: with escape sequences for colour.
        brief: only what each finding says, and where.
    """
    style = "bold" if report.exit_code else "bold green"
    end = Text("\n".join(wrapped(summary(report).split(" "), " ", width)), style=style)
    lines = Text("\n\n").join([*findings_text(report, width, brief=brief), end]).split()
    widest = max(line.cell_len for line in lines)  # nothing is wrapped but by us
    return rendered(Text("\n").join(lines), width=widest, color=color)


def findings_text(report: Report, width: int, *, brief: bool = False) -> list[Text]:
    """A text for each config that has no plan, and for each finding."""
    texts = []
    for one, several in told_once(report):
        is_told = any((one.error or "") in told.finding.message for told in several)
        if one.error is not None and not is_told:
            texts.append(_error(one, width))
        texts += [_finding(one, told, width, brief=brief) for told in several]
    return texts


def _error(one: Checked, width: int) -> Text:
    place = f"{printable(one.config)}:"
    first, *words = printable(one.error or "").split(" ")
    lines = wrapped([f"{place} error: {first}", *words], " ", width - len(_INDENT))
    text = Text(f"\n{_INDENT}".join(lines))
    text.stylize("bold", 0, len(place))
    text.stylize("bold red", len(place) + 1, len(f"{place} error:"))
    return text


def _finding(one: Checked, told: Told, width: int, *, brief: bool) -> Text:
    finding = told.finding
    place = place_shown(finding.place) if finding.place else printable(one.config)
    style = f"bold {SEVERITY_COLORS[finding.severity]}"
    header = Text.assemble(
        (f"{place}:", "bold"), " ", (finding.severity.value, style),
        " ", (printable(finding.code), "bold"), " ", printable(finding.name),
    )  # fmt: skip
    words = printable(finding.message).split(" ")
    lines = [header, *(Text(line) for line in wrapped(words, " ", width - len(_INDENT)))]
    gutter, brief = "", brief or finding.severity is Severity.info  # worth a line, not a page
    if not brief and finding.place and (source := _source_line(finding.place)) is not None:
        gutter = " " * (len(str(finding.place.line)) + 1)
        lines += _snippet(source, finding.place, style, width - len(_INDENT))
    for label, items in told.about if not brief else told.inherited:
        room = width - len(f"{_INDENT}{gutter}= ")
        first, *others = wrapped([f"{label}: {items[0]}", *items[1:]], ", ", room)
        line = Text.assemble((f"{gutter}= ", "dim"), first)
        line.stylize("bold", len(gutter) + 2, len(f"{gutter}= {label}:"))
        lines += [line, *(Text(f"{gutter}  {other}") for other in others)]
    if finding.suggestion:
        fix = _suggestion(finding.suggestion, told.to_write, gutter, width - len(_INDENT))
        is_short = len(fix) == 1 and not finding.suggestion.startswith("#")
        lines += fix if not brief or (is_short and finding.severity is Severity.info) else []
    return Text(f"\n{_INDENT}").join(lines)


def _suggestion(suggestion: str, what: str, gutter: str, width: int) -> list[Text]:
    """Text to copy: its lines stay whole."""
    lines = suggestion.strip("\n").split("\n")
    code = [Text(printable(x), "dim" if x.startswith("#") else "green") for x in lines]
    label = Text.assemble((f"{gutter}= ", "dim"), (f"{what}:", "bold"))
    if len(code) == 1 and len(label) + 1 + len(code[0]) <= width:
        return [Text.assemble(label, " ", code[0])]
    return [label, *(Text.assemble(f"{gutter}    ", line) for line in code)]


def _source_line(place: Location) -> str | None:
    """The line that a place begins in, None where it can't be read or is gone."""
    try:
        with tokenize.open(place.file) as lines:
            for number, line in enumerate(lines, 1):
                if number == place.line:
                    return line.rstrip("\n")
    except (OSError, ValueError, SyntaxError):  # SyntaxError: it declares an unknown encoding
        pass
    return None


def _snippet(source: str, place: Location, style: str, width: int) -> list[Text]:
    """The source line with its number, and carets under the place; not wider than this."""
    number = f"{place.line} "
    bar = (f"{' ' * len(number)}|", "dim")
    code, start, end = _excerpt(source, place, max(_LEAST_CODE, width - len(number) - 2))
    return [
        Text.assemble(bar),
        Text.assemble((f"{number}|", "dim"), " ", code),
        Text.assemble(bar, " " * (start + 1), ("^" * (end - start), style)),
        Text.assemble(bar),
    ]


def _excerpt(source: str, place: Location, room: int) -> tuple[str, int, int]:
    """At most so many cells of the line around the place, and the cells that the place is in."""
    shown, edges = [], [0]
    for character in source:
        tab = " " * (_TAB - edges[-1] % _TAB) if character == "\t" else ""
        shown.append(tab or printable(character))
        edges.append(edges[-1] + cell_len(shown[-1]))
    start = min(max(0, place.column - 1), len(shown))
    end = place.end_column - 1 if place.end_line == place.line else len(shown)
    end = max(start, min(end, len(shown)))
    first, last = 0, len(shown)
    if edges[-1] > room:
        if edges[end] > room - 2:
            first = bisect_left(edges, edges[start] - room // 3)
        last = bisect_right(edges, edges[first] + room - 2) - 1
    cut = "…" if first else ""
    code = cut + "".join(shown[first:last]) + ("…" if last < len(shown) else "")
    before = len(cut) + edges[start] - edges[first]
    return code, before, before + max(1, edges[min(end, last)] - edges[start])


def wrapped(items: Sequence[str], joint: str, width: int) -> list[str]:
    """The items in lines of this width, broken between items only."""
    lines = [items[0]]
    for number, item in enumerate(items[1:], 2):
        end = "" if number == len(items) else joint.rstrip()  # that a broken line ends with
        if len(lines[-1]) + len(joint) + len(item) + len(end) <= width:
            lines[-1] += joint + item
        else:
            lines[-1] += joint.rstrip()
            lines.append(item)
    return lines
