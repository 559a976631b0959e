"""What `check` shows in a terminal."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity
from lldtool.output.diagnostics.text import _excerpt, report_text

INFO = Diagnostic("LLD406", "many-groups", Severity.info, "152 param groups")
WARNING = replace(INFO, code="LLD102", severity=Severity.warning)
ERROR = replace(INFO, code="LLD101", severity=Severity.error)


def text_of(*configs, width=80):
    return report_text(configs, width=width, color=False)


def failed(config, *findings):
    return CheckResult(config, findings)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_table(report, width, snapshot):
    text = report_text(report, width=width, color=False)
    assert text == snapshot
    # A header is never broken: terminals and editors make links of its beginning.
    assert max(cell_len(x) for x in text.splitlines() if x[:1] in ("", " ")) <= width


def test_colour_is_escape_sequences_around_the_same_text(report, snapshot):
    colored = report_text(report, width=80, color=True)
    assert colored == snapshot
    plain = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert [x.rstrip() for x in plain.splitlines()] == report_text(
        report, width=80, color=False
    ).splitlines()


@pytest.mark.parametrize(
    ("configs", "line"),
    [
        ([CheckResult("a")], "All checks passed (1 config)"),
        ([CheckResult("a", (INFO, INFO, replace(INFO, name="x")))] * 1,
         "All checks passed (1 config, 2 infos)"),
        ([CheckResult("a", (WARNING,), fail_on=Severity.error), CheckResult("b")],
         "All checks passed (2 configs, 1 warning)"),
        ([failed("a", ERROR, WARNING), failed("b", INFO), CheckResult("c")],
         "Found 3 findings (1 error, 1 warning, 1 info) in 2 of 3 configs"),
        ([CheckResult("a", error="no such file")],
         "Found 0 findings; 1 config could not be checked"),
        ([CheckResult("a", (ERROR,), "raised"), CheckResult("b", (), "x")],
         "Found 1 finding (1 error) in 1 of 2 configs; 2 configs could not be checked"),
    ],
)  # fmt: skip
def test_the_last_line_is_the_summary(configs, line):
    assert text_of(*configs, width=200).splitlines()[-1] == line


def test_the_finding_of_a_shared_base_is_merged_with_its_configs(here):
    place = Location(here / "configs/_base_/schedule.py", 2, 5, 2, 14)
    shared = replace(ERROR, location=place)
    text = text_of(*(failed(f"configs/{n}.py", shared) for n in range(15)))
    assert text.count("LLD101") == 1
    assert "= a base of: configs/0.py, configs/1.py, configs/2.py, 12 more\n" in text


def test_a_config_that_is_also_a_base_is_no_heir_of_itself(here):
    shared = replace(ERROR, location=Location(here / "configs/a.py", 1, 1, 1, 7))
    text = text_of(failed("./configs/a.py", shared), failed("configs/b.py", shared))
    assert "= a base of: configs/b.py\n" in text


def test_a_finding_without_a_place_is_told_for_each_config():
    assert text_of(failed("a.py", ERROR), failed("b.py", ERROR)).count("LLD101") == 2


def test_findings_come_in_the_order_of_the_files_lines(here):
    def at(name, line):
        return replace(ERROR, location=Location(here / "configs" / name, line, 1, line, 2))

    base = at("_base_/schedule.py", 1)
    text = text_of(failed("configs/a.py", base, at("a.py", 3), at("a.py", 1), ERROR))
    headers = [line.split(" ")[0] for line in text.splitlines() if "LLD101" in line]
    assert headers == [
        "configs/a.py:", "configs/a.py:1:1:", "configs/a.py:3:1:", "configs/_base_/schedule.py:1:1:"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", [None, b"one line\n", b"# coding: nonsense\n\n\n", b"\n\n\xff\n", b"\0"]
)
def test_a_line_that_can_not_be_read_is_left_out(tmp_path, content):
    file = tmp_path / "x.py"
    if content is not None:
        file.write_bytes(content)
    text = text_of(failed("x.py", replace(ERROR, location=Location(file, 3, 1, 3, 2))))
    assert f"{file}:3:1: error LLD101" in text
    assert "|" not in text


@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 5000, ""])
def test_a_place_in_no_file_at_all(name):
    text = text_of(failed("x.py", replace(ERROR, location=Location(Path(name), 3, 1, 3, 2))))
    assert "error LLD101" in text


@pytest.mark.parametrize(
    ("source", "marked"),
    [
        ("\tx = dict(", "x"), ("a\tx\t= 1", "x"), ("größe = dict(嵌入='x')", "嵌入"),
        ("'\x1b[31m' = x", "x"), ("'\x1b[31m' = 1", "\x1b"), ("é" * 200 + "key" + "é" * 200, "key"),
        ("嵌入" * 60 + "key = 1", "key"), ("key = [" + "1, " * 100, "key"), ("x" * 300, "x" * 300),
    ],
)  # fmt: skip
@pytest.mark.parametrize("width", [60, 80])
def test_carets_stand_under_the_place(tmp_path, source, marked, width):
    file = tmp_path / "x.py"
    file.write_text(f"\n\n{source}\n", encoding="utf-8")
    column = source.index(marked) + 1
    place = Location(file, 3, column, 3, column + len(marked))
    text = text_of(failed("x.py", replace(ERROR, location=place)), width=width)
    code, carets = re.findall(r"^  3 \|(.*)\n    \|(.*)$", text, re.MULTILINE)[0]
    assert cell_len(code) + 5 <= width
    before, pointed = carets.index("^"), carets.count("^")
    under = "".join(c for i, c in enumerate(code) if cell_len(code[:i]) in range(
        before, before + pointed))  # fmt: skip
    assert under in marked.replace("\x1b", r"\x1b")
    assert len(under) > 40 or under == marked.replace("\x1b", r"\x1b")


@given(
    st.text(max_size=300).filter(lambda line: not set(line) & set("\r\n")),
    st.integers(1, 400), st.integers(1, 400), st.integers(20, 100),
)  # fmt: skip
def test_an_excerpt_fits_and_its_carets_are_in_it(line, start, length, room):
    place = Location(Path("x.py"), 1, start, 1, start + length)
    code, first, end = _excerpt(line, place, room)
    assert sum(map(cell_len, code)) <= room
    assert 0 <= first < end <= max(room, sum(map(cell_len, code)) + 1)


def test_a_place_of_several_lines_is_marked_to_the_end_of_its_first(here):
    place = Location(here / "configs/_base_/schedule.py", 4, 19, 8, 51)
    text = text_of(failed("configs/a.py", replace(ERROR, location=place)))
    assert "  4 |     paramwise_cfg=dict(\n    |                   ^^^^^\n" in text


def test_config_text_to_write_is_never_broken():
    code = "custom_keys={'" + "backbone." * 20 + "': dict(decay_mult=0.0)}"
    assert code in text_of(failed("x.py", replace(ERROR, suggestion=code)), width=60)
