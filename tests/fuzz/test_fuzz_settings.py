"""Any settings: `check` follows them, or there is one line that says what is wrong with them."""

import json
import shutil

import pytest
from conftest import PLANS
from fuzz import commands
from fuzz.sweeps import NUMBERS, fine, sweep
from hypothesis import strategies as st
from strategies import HOSTILE, json_values

from lldtool.lint.settings import settings_schema

PLAN = PLANS / "traps.json"
EXAMPLES = {key: entry["examples"][0] for key, entry in settings_schema()["properties"].items()}
LINES = "\n".join(f"{key} = {value!r}".lower() for key, value in EXAMPLES.items())
#: What a setting may be set to: what is meant for it or for another, patterns, and anything.
texts = st.sampled_from(
    [*HOSTILE, "ALL", "LLD1", "LLD999", "**", "[", "type:", "*", "/", "~x", "\\"]
)
values = st.one_of(
    st.sampled_from(list(EXAMPLES.values())), texts, json_values, st.lists(texts, max_size=3),
    st.dictionaries(texts, st.one_of(texts, st.lists(texts, max_size=2)), max_size=2),
)  # fmt: skip
tables = st.dictionaries(st.one_of(st.sampled_from(list(EXAMPLES)), texts), values, max_size=4)


def toml(value):
    """A value in TOML; JSON has the same texts."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return '""' if value is None else json.dumps(value).replace("\x7f", "\\u007f")


@st.composite
def structured(draw):
    table = draw(tables)
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items())


@st.composite
def spoilt(draw):
    """Settings with some bytes written over, cut out or put in."""
    text = LINES.encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(st.binary(max_size=4)) + text[start + draw(st.integers(0, 40)) :]
    return text.decode("latin-1")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", ["lldtool.toml", "pyproject.toml"])
def test_settings_are_followed_or_an_error(name, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(PLAN, "plan.json")

    @sweep(number, st.one_of(structured(), spoilt()), st.sampled_from(["plan.json", "."]))
    def holds(text, checked):
        head = "[tool.lldtool]\n" if name == "pyproject.toml" else ""
        (tmp_path / name).write_bytes((head + text).encode("utf-8", "surrogatepass"))
        fine(*commands.run(("check", checked)))
