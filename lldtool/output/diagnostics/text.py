"""The results of `check` as a terminal shows them."""

from __future__ import annotations

import tokenize
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity, exit_code
from lldtool.output.diagnostics.shared import (
    details,
    fix_label,
    inherited,
    location_shown,
    merged,
    summary,
)  # fmt: skip
from lldtool.output.screenshot import rendered
from lldtool.text import printable

SEVERITY_COLORS = {Severity.error: "red", Severity.warning: "yellow", Severity.info: "cyan"}
_INDENT, _TAB = "  ", 4
#: The least of a source line that is shown on a narrow terminal.
_LEAST_CODE = 20


def report_text(
    results: Sequence[CheckResult], *, width: int, color: bool, brief: bool = False
) -> str:
    """Return the results as a terminal shows them; longer lines are names, and suggested fixes.

    Args:
        results: of the configs.
        width: columns of the terminal.
        color: with escape sequences for colour.
        brief: only what each finding says, and where.
    """
    style = "bold" if exit_code(results) else "bold green"
    end = Text("\n".join(wrapped(summary(results).split(" "), " ", width)), style=style)
    lines = Text("\n\n").join([*diagnostics_text(results, width, brief=brief), end]).split()
    widest = max(line.cell_len for line in lines)  # nothing is wrapped but by us
    return rendered(Text("\n").join(lines), width=widest, color=color)


def diagnostics_text(
    results: Sequence[CheckResult], width: int, *, brief: bool = False
) -> list[Text]:
    """Return a text for each config that has no plan, and for each finding."""
    texts = []
    for result, several in merged(results):
        is_told = any((result.error or "") in one.message for one in several)
        if result.error is not None and not is_told:
            texts.append(_error(result, width))
        texts += [_finding(result, *one, width, brief=brief) for one in several.items()]
    return texts


def _error(one: CheckResult, width: int) -> Text:
    place = f"{printable(one.config)}:"
    first, *words = printable(one.error or "").split(" ")
    lines = wrapped([f"{place} error: {first}", *words], " ", width - len(_INDENT))
    text = Text(f"\n{_INDENT}".join(lines))
    text.stylize("bold", 0, len(place))
    text.stylize("bold red", len(place) + 1, len(f"{place} error:"))
    return text


def _finding(
    result: CheckResult, one: Diagnostic, heirs: Sequence[str], width: int, *, brief: bool
) -> Text:
    is_info = one.severity is Severity.info
    place = location_shown(one.location) if one.location else printable(result.config)
    style = f"bold {SEVERITY_COLORS[one.severity]}"
    header = Text.assemble(
        (f"{place}:", "bold"), " ", (one.severity.value, style),
        " ", (printable(one.code), "bold"), " ", printable(one.name),
    )  # fmt: skip
    words = printable(one.message).split(" ")
    lines = [header, *(Text(line) for line in wrapped(words, " ", width - len(_INDENT)))]
    gutter, brief = "", brief or is_info  # worth a line, not a page
    if not brief and one.location and (source := _source_line(one.location)) is not None:
        gutter = " " * (len(str(one.location.line)) + 1)
        lines += _snippet(source, one.location, style, width - len(_INDENT))
    for label, items in details(one, heirs) if not brief else inherited(heirs):
        room = width - len(f"{_INDENT}{gutter}= ")
        first, *others = wrapped([f"{label}: {items[0]}", *items[1:]], ", ", room)
        line = Text.assemble((f"{gutter}= ", "dim"), first)
        line.stylize("bold", len(gutter) + 2, len(f"{gutter}= {label}:"))
        lines += [line, *(Text(f"{gutter}  {other}") for other in others)]
    if one.suggestion:
        fix = _suggestion(one.suggestion, fix_label(heirs), gutter, width - len(_INDENT))
        is_short = len(fix) == 1 and not one.suggestion.startswith("#")
        lines += fix if not brief or (is_short and is_info) else []
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
    """Return the line that a location begins in, None where it can't be read or is gone."""
    try:
        with tokenize.open(place.file) as lines:
            for number, line in enumerate(lines, 1):
                if number == place.line:
                    return line.rstrip("\n")
    except (OSError, ValueError, SyntaxError):  # SyntaxError: it declares an unknown encoding
        pass
    return None


def _snippet(source: str, place: Location, style: str, width: int) -> list[Text]:
    """Return the source line with its number, and carets under the location."""
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
    """Return so many cells of the line around the location, and the cells that this is in."""
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
