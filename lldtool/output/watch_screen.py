"""What `lldtool watch` shows: a line on what is watched, what changed, the table, the findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Group
from rich.text import Text as ColoredText

from lldtool.analysis.diff import diff_plans
from lldtool.lint.diagnostics import CheckResult
from lldtool.output.diagnostics.shared import severities
from lldtool.output.diagnostics.text import SEVERITY_COLORS, report_text
from lldtool.output.diff_document import diff_document
from lldtool.output.document import Document, Paragraph, Section, Text, styled
from lldtool.output.formats import written
from lldtool.output.plan_document import plan_document
from lldtool.output.screenshot import rendered
from lldtool.plan import Plan
from lldtool.text import plural

#: Columns that the tables are laid out for at least.
_NARROWEST = 60


@dataclass(frozen=True)
class Look:
    """A plan as it was at a time of the day, `12:03:22`, and what the rules find in it."""

    time: str
    plan: Plan
    result: CheckResult


@dataclass(frozen=True)
class State:
    """All that is known of a config that is watched.

    `good` is the last look at a plan, and `before` the one before that; None where there was none
    yet. `error` is what is wrong since then. `files` is how many are watched, `seconds` how long
    the last look took, None while one is taken. `printed` are the last lines that the config's
    code printed.
    """

    config: str
    good: Look | None = None
    before: Look | None = None
    error: str | None = None
    files: int = 1
    time: str = ""
    seconds: float | None = None
    printed: tuple[str, ...] = ()


def watch_lines(state: State, *, width: int, color: bool) -> list[str]:
    """Return the lines of the page.

    Args:
        state: what to show.
        width: columns of the terminal.
        color: with escape sequences for colour.
    """
    room, width = width, max(_NARROWEST, width)
    text = written(watch_document(state), "table", width=width, color=color)
    if state.good is not None:
        text += f"\n{report_text([state.good.result], width=width, color=color, brief=True)}"
    lines = text.splitlines()
    return lines if room >= width else _cut(lines, room, color=color)


def watch_document(state: State) -> Document:
    """Return what is known of the config but what the rules find: what changed, and the plan."""
    sections = [Section([Paragraph(_status(state))])]
    if state.error is not None:
        error = styled((f"error: {state.error}", "bold red"))
        sections.append(Section([Paragraph(error, hang=2)]))
    if state.printed:
        said = [Paragraph(Text(((f"  {line}", ""),), joint="")) for line in state.printed]
        title = Paragraph(styled(("the config printed:", "dim")))
        sections.append(Section([title, *said]))
    good, before = state.good, state.before
    if good is None:
        return Document(sections)
    if state.error is not None:
        sections.append(Section([], f"what it was at {good.time}:"))
    elif before is not None:
        then = replace(before.plan, config=f"as it was at {before.time}")
        diff = diff_plans(then, replace(good.plan, config="as it is now"))
        sections += diff_document(diff).sections
    header, *others = plan_document(good.plan).sections
    return Document([*sections, replace(header, title=good.plan.config), *others])


def _cut(lines: Sequence[str], room: int, *, color: bool) -> list[str]:
    """Return lines that say where something is missing, for a terminal too narrow for them."""
    texts = [ColoredText.from_ansi(line) for line in lines]
    for text in texts:
        text.truncate(room, overflow="ellipsis")
    return rendered(Group(*texts), width=room, color=color).splitlines()


def _status(state: State) -> Text:
    """Return what is watched, since when it is as it is, and how bad that is."""
    spans: list[str | tuple[str, str]] = ["watching ", (state.config, "bold")]
    if state.files > 1:
        spans.append(f" and {plural(state.files - 1, 'other file')}")
    spans.append((f" · {state.time} · " if state.time else " · ", "dim"))
    spans.append(("…" if state.seconds is None else f"{state.seconds:.2f} s", "dim"))
    if state.error is not None:
        spans.append((" · broken", "bold red"))
    elif state.good is not None:
        findings = state.good.result.diagnostics
        worst = min(findings, key=lambda d: d.severity.rank, default=None)
        color = SEVERITY_COLORS[worst.severity] if worst else "green"
        spans.append((f" · {severities(findings) or 'no findings'}", color))
    return styled(*spans)


def last_lines(printed: bytes, most: int) -> tuple[str, ...]:
    """Return the last lines of what was printed, without blank ones."""
    lines: Sequence[str] = printed.decode(errors="replace").splitlines()
    return tuple(line for line in lines if line.strip())[-most:]
