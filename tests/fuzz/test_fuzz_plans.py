"""Saved plans with bytes or values changed: every command shows them, or there is a clear error."""

import copy
import json
import math

import pytest
from conftest import PLANS
from fuzz import commands
from fuzz.sweeps import NUMBERS, fine, sweep
from hypothesis import strategies as st
from strategies import json_values

SAVED = sorted(PLANS.glob("*.json"))
#: What is done with one; whether by name or by file, each reads it anew.
COMMANDS = [
    ("inspect",), ("inspect", "--params", "--format", "markdown"), ("inspect", "--format", "csv"),
    ("explain",), ("explain", "--keys"), ("explain", "norm"), ("check",),
    ("check", "--format", "json"),
]  # fmt: skip
values = st.one_of(
    json_values, st.sampled_from([math.nan, math.inf, 10**400, -1, 2**63, True, "1", "[/]", [[]]])
)


def shortened(path):
    """The plan of a few parameters."""
    content = json.loads(path.read_text())
    return content | {"parameters": content["parameters"][::20]}


PLANS = [shortened(path) for path in SAVED]


def places(inside, path=()):
    """The path of every value."""
    items = inside.items() if isinstance(inside, dict) else enumerate(inside)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


@st.composite
def changed_plans(draw):
    """A plan in which up to three values are others, or not there."""
    content = copy.deepcopy(draw(st.sampled_from(PLANS)))
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(list(places(content))))
        inside = content
        for key in above:
            inside = inside[key]
        if draw(st.integers(0, 4)):
            inside[last] = copy.deepcopy(draw(values))  # one is a list, which may be changed next
        else:
            del inside[last]
    return json.dumps(content).encode()


@st.composite
def changed_bytes(draw):
    """A plan with some bytes written over, cut out or put in."""
    text = json.dumps(draw(st.sampled_from(PLANS))).encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(st.binary(max_size=4)) + text[start + draw(st.integers(0, 40)) :]
    return text


@pytest.mark.parametrize("number", NUMBERS)
def test_a_changed_plan_is_shown_or_an_error(number, tmp_path):
    path = tmp_path / "plan.json"

    @sweep(number, st.one_of(changed_plans(), changed_bytes()), st.sampled_from(COMMANDS))
    def holds(text, command):
        path.write_bytes(text)
        name, *options = command
        fine(*commands.run((name, path, *options)))


@pytest.mark.parametrize("number", NUMBERS)
def test_a_changed_plan_is_compared_or_an_error(number, tmp_path):
    path = tmp_path / "plan.json"

    @sweep(number, changed_plans(), st.sampled_from(["table", "json", "markdown"]))
    def holds(text, form):
        path.write_bytes(text)
        fine(*commands.run(("diff", SAVED[0], path, "--format", form)))
