"""Resume -> what `lldtool resume` shows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from lldtool.analysis.resume import Change, Resume
from lldtool.config.edit import DELETE
from lldtool.output.document import (
    Column,
    Document,
    Facts,
    Notes,
    Pair,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
    listed,
    styled,
)
from lldtool.output.json_formats import plan_json_with
from lldtool.output.schedule_document import remark_lines, schedule_table
from lldtool.output.schedule_words import scheduler_words
from lldtool.plan import Parameter, Plan
from lldtool.text import literal, lr, plural, printable, setting, value

CHECKPOINT, CONFIG = "checkpoint", "config"
#: Entry of the config -> that of the checkpoint that replaces its settings, and what it is called.
_KEEPERS = {
    "optim_wrapper": ("optimizer", "param groups"),
    "auto_scale_lr": ("optimizer", "param groups"),
    "param_scheduler": ("param_schedulers", "schedulers"),
}
_HANGING = 2


def resume_document(resume: Resume) -> Document:
    """Return what the settings come from, what goes wrong, and the lrs to the end."""
    where = Facts([("checkpoint", printable(resume.checkpoint)), ("resumes", position(resume))])
    rows = [Row([name, shown, origin]) for name, shown, origin in sources(resume)]
    columns = [Column("setting", style="bold"), Column("value", least=20), Column("from")]
    sections = [Section([where]), Section([Table(columns, rows, gap=2)])]
    if resume.without_effect:
        lines = [
            Paragraph(styled(("– ", "red"), without_effect(resume, change)), hang=_HANGING)
            for change in resume.without_effect
        ]
        lines.append(Paragraph(styled(("  fix: ", "dim"), _fix(resume)), hang=_HANGING))
        sections.append(Section(lines, title="changes without effect"))
    if resume.problems:
        sections.append(Section(list(_problems(resume)), title="silently accepted"))
    sections.append(Section(_curves(resume), title="lr from here to the end"))
    if resume.plan.notes:
        sections.append(Section([Notes(resume.plan.notes)]))
    return Document([x for x in sections if x.blocks], title=resume.plan.config)


def _problems(resume: Resume) -> Iterator[Paragraph]:
    """Yield each problem, and after those with the same fix what that is."""
    for fix, problems in groupby(resume.problems, lambda problem: problem.fix):
        for problem in problems:
            yield Paragraph(styled(("! ", "bold red"), printable(problem.message)), hang=_HANGING)
        yield Paragraph(styled(("  fix: ", "dim"), printable(fix)), hang=_HANGING)


def resume_json(resume: Resume) -> str:
    """Return the plan after resuming and all that is said of it, as JSON."""
    return plan_json_with(
        resume.plan,
        {
            "checkpoint": resume.checkpoint,
            "without_effect": [change.key for change in resume.without_effect],
            "changes": [
                {
                    "key": change.key,
                    "old": change.values[0],
                    "new": change.values[1],
                    "has_effect": change.has_effect,
                }
                for change in resume.changes
            ],
            "problems": [vars(problem) for problem in resume.problems],
            "sources": [
                {"setting": name, "value": str(shown), "from": origin}
                for name, shown, origin in sources(resume)
            ],
        },
    )


def position(resume: Resume) -> Text:
    """`epoch 3 of 9, iteration 9 · 6 epochs left`."""
    step, schedule = resume.plan.step, resume.plan.schedule
    assert step is not None
    items = [f"iteration {step.iteration:,}"]
    if schedule is None:
        return listed([f"epoch {step.epoch:,}", *items])
    if schedule.by == "epoch":
        items.insert(0, f"after {step.epoch:,} of {plural(schedule.length, 'epoch')}")
    else:
        items = [f"after {step.iteration:,} of {plural(schedule.length, 'iteration')}"]
    return listed([*items, f"{plural(resume.left, schedule.by)} left"], " · ")


def sources(resume: Resume) -> Iterator[tuple[str, str | Text, str]]:
    """Yield setting, value and what that comes from."""
    plan, entries = resume.plan, resume.entries
    of_optimizer = CHECKPOINT if "optimizer" in entries else CONFIG
    yield "lr", _range(plan.parameters, "lr"), of_optimizer
    yield "weight decay", _range(plan.parameters, "weight_decay"), of_optimizer
    yield "optimizer state", _state_words(resume), of_optimizer
    yield from _schedulers(resume)
    yield from _length(plan)
    yield from _weights(resume)
    for name in ("clip_grad", "accumulative_counts"):
        shown = (plan.optim_wrapper.options or {}).get(name)
        if shown not in (None, 1):
            yield name, printable(literal(shown)), CONFIG
    ema = resume.fresh.schedule.ema if resume.fresh.schedule is not None else None
    if ema is not None:
        is_saved = "ema_state_dict" in entries
        yield "average", ema["type"], CHECKPOINT if is_saved else "the weights resumed"


def _range(parameters: tuple[Parameter, ...], name: str) -> str:
    values = sorted({getattr(p, name) for p in parameters} - {None})
    form = lr if name == "lr" else setting
    return " to ".join(dict.fromkeys(form(v) for v in (values[:1] + values[-1:]))) or "–"


def _state_words(resume: Resume) -> str:
    kind = resume.plan.optimizer.type
    return kind if "optimizer" in resume.entries else f"{kind}, empty"


def _schedulers(resume: Resume) -> Iterator[tuple[str, str, str]]:
    schedule = resume.plan.schedule
    options = schedule.schedulers if schedule is not None else ()
    taken_over = "param_schedulers" in resume.entries
    pairs = [pair for pair in resume.pairs if pair.new is not None]
    for i, one in enumerate(options):
        old = pairs[i].old if i < len(pairs) and taken_over else None
        origin = CONFIG if old is None else CHECKPOINT
        if old is None:
            origin += ", from its step 0"
        elif old != pairs[i].new:
            origin += f", of {old}"
        yield ("schedulers" if i == 0 else ""), printable(scheduler_words(one)), origin
    if not options:
        yield "schedulers", "none: every lr stays as it is", CONFIG


def _length(plan: Plan) -> Iterator[tuple[str, str, str]]:
    schedule = plan.schedule
    if schedule is None:
        return
    yield "length", plural(schedule.length, schedule.by), CONFIG
    if schedule.by == "epoch" and schedule.epoch_length is not None:
        origin = schedule.epoch_length_from or CONFIG
        shown = plural(schedule.epoch_length, "iteration")
        yield "epoch", shown, origin.removeprefix("the ")


def _weights(resume: Resume) -> Iterator[tuple[str, str, str]]:
    everything = {p.name: p for p in resume.plan.every_parameter}
    filled = sum(p.start == "resumed" for p in everything.values())
    shown = f"{filled:,} of {plural(len(everything), 'parameter')}"
    yield "weights", "not known" if resume.plan.loaded is None else shown, CHECKPOINT


def without_effect(resume: Resume, change: Change) -> str:
    """`optim_wrapper.optimizer.lr 0.001 → 0.0005 has no effect: … keep 0.001`."""
    old, new = (_shown(v) for v in (change.old, change.new))
    said = f"{printable(change.key)} {Pair(old, new)} has no effect"
    entry, keeper = _KEEPERS.get(change.path[0], ("", ""))
    if entry not in resume.entries:
        return f"{said} on the rest of the training"
    keeps = f"keep {old}"
    if change.path[0] == "auto_scale_lr":
        keeps = "replace the lrs that it scales"
    elif change.old is DELETE:
        keeps = "are as without it"
    return f"{said}: the checkpoint's {keeper} {keeps}"


def _shown(content: Any) -> str:  # noqa: ANN401  # any value of a config
    return "none" if content is DELETE else value(content)


def _fix(resume: Resume) -> str:
    return (
        f"load_from = {resume.checkpoint!r} without resume: a new optimizer and schedule, from the "
        "weights; or resume from a copy of the checkpoint without 'optimizer' and "
        "'param_schedulers': both start over, and the epoch counter goes on"
    )


def _curves(resume: Resume) -> list[Table | Paragraph]:
    curves, schedule = resume.curves, resume.plan.schedule
    if resume.left == 0:
        return []
    if curves is None:
        why = schedule.unknown[-1] if schedule is not None and schedule.unknown else "not known"
        return [Paragraph(why)]
    if not curves.curves:
        return [Paragraph("every lr stays 0: nothing is trained")]
    quarters = {f"{25 * n}%": curves.steps * n // 4 for n in (1, 2, 3)}
    table = schedule_table(curves, {"now": 0, **quarters, "end": curves.steps - 1})
    return [table, *remark_lines(curves)]
