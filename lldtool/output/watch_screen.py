"""What `lldtool watch` shows: a line on what is watched, what changed, the table, the findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Group, RenderableType
from rich.text import Text

from lldtool.analysis.diff import diff_plans
from lldtool.lint.diagnostics import CheckResult
from lldtool.output.diagnostics.shared import severities
from lldtool.output.diagnostics.text import SEVERITY_COLORS, report_text
from lldtool.output.diff_table import diff_text
from lldtool.output.terminal import plan_text, rendered, wrapped
from lldtool.output.words import scheduler_notes
from lldtool.plan import Plan
from lldtool.text import plural, printable

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
    """The lines of the page.

    Args:
        state: what to show.
        width: columns of the terminal.
        color: with escape sequences for colour.
    """
    room, width = width, max(_NARROWEST, width)
    parts: list[RenderableType] = [_status(state)]
    if state.error is not None:
        words = ["error:", *printable(state.error).split(" ")]
        parts += [Text(), Text("\n  ".join(wrapped(words, " ", width - 2)), "bold red")]
    if state.printed:
        parts += [Text(), Text("the config printed:", "dim")]
        parts += [Text(f"  {printable(line)}", overflow="ellipsis") for line in state.printed]
    if state.error is not None and state.good is not None:
        parts += [Text(), Text(f"what it was at {state.good.time}:", "bold")]
    text = rendered(Group(*parts), width=width, color=color)
    if state.good is not None:
        if state.error is None and state.before is not None:
            text += f"\n{_changes(state.before, state.good, width=width, color=color)}"
        text += f"\n{plan_text(state.good.plan, width=width, color=color)}"
        text += f"\n{report_text([state.good.result], width=width, color=color, brief=True)}"
    lines = text.splitlines()
    return lines if room >= width else _cut(lines, room, color=color)


def _cut(lines: Sequence[str], room: int, *, color: bool) -> list[str]:
    """Lines that say where something is missing, of a terminal that is too narrow for them."""
    texts = [Text.from_ansi(line) for line in lines]
    for text in texts:
        text.truncate(room, overflow="ellipsis")
    return rendered(Group(*texts), width=room, color=color).splitlines()


def _status(state: State) -> Text:
    """What is watched, since when it is as it is, and how bad that is."""
    line = Text.assemble("watching ", (printable(state.config), "bold"))
    if state.files > 1:
        line.append(f" and {plural(state.files - 1, 'other file')}")
    line.append(f" · {state.time} · " if state.time else " · ", "dim")
    line.append("…" if state.seconds is None else f"{state.seconds:.2f} s", "dim")
    if state.error is not None:
        line.append(" · broken", "bold red")
    elif state.good is not None:
        findings = state.good.result.diagnostics
        worst = min(findings, key=lambda d: d.severity.rank, default=None)
        found = severities(findings) or "no findings"
        line.append(f" · {found}", SEVERITY_COLORS[worst.severity] if worst else "green")
    return line


def _changes(before: Look, now: Look, *, width: int, color: bool) -> str:
    """What is different since the look before."""
    then = replace(before.plan, config=f"as it was at {before.time}")
    diff = diff_plans(then, replace(now.plan, config="as it is now"))
    return diff_text(diff, width=width, color=color, notes=scheduler_notes(diff))


def last_lines(printed: bytes, most: int) -> tuple[str, ...]:
    """The last lines of what was printed, without those that say nothing."""
    lines: Sequence[str] = printed.decode(errors="replace").splitlines()
    return tuple(line for line in lines if line.strip())[-most:]
