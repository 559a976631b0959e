"""What the page of `lldtool watch` says, from hand-written states."""

from dataclasses import replace

import pytest
from conftest import make_parameter, make_plan

from lldtool.lint.diagnostics import CheckResult
from lldtool.output.watch_screen import Look, State, last_lines, watch_lines
from lldtool.plan import Schedule


def look(time, **changes):
    plan = make_plan(make_parameter("backbone.layers.0.weight", layer_id=0), **changes)
    return Look(time, plan, CheckResult(plan.config))


GOOD = State("config.py", good=look("12:00:01"), time="12:00:01", seconds=0.2)


def page(state, width=80):
    return watch_lines(state, width=width, color=False)


def place(lines, part):
    (number,) = [i for i, line in enumerate(lines) if part in line]
    return number


def test_before_the_first_look_it_says_what_is_watched():
    assert page(State("config.py")) == ["watching config.py · …"]


def test_a_schedule_that_changed_is_named():
    before, after = Schedule("epoch", 10), Schedule("epoch", 20)
    was = look("12:00:01", schedule=before)
    changed = replace(GOOD, before=was, good=look("12:00:02", schedule=after))
    assert any("the schedule differs" in line for line in page(changed))
    same = replace(GOOD, before=was, good=look("12:00:02", schedule=before))
    assert not any("schedule differs" in line for line in page(same))


def test_what_a_broken_config_printed_is_not_told_of_what_it_was():
    lines = page(replace(GOOD, error="it raises", printed=("now",)))
    assert place(lines, "error: it raises") < place(lines, "  now")
    assert place(lines, "  now") < place(lines, "what it was at 12:00:01")


@pytest.mark.parametrize("width", [20, 40, 59])
def test_a_line_that_is_cut_says_so(width):
    lines, whole = page(GOOD, width), page(GOOD, 60)
    assert max(map(len, lines)) <= width
    assert [line.endswith("…") for line in lines if line] == [
        len(line) > width for line in whole if line
    ]


def test_the_last_lines_that_say_something_are_kept():
    assert last_lines(b"a\n\nb\n \xff\n\n", 2) == ("b", " \ufffd")
