"""The additions that CONTRIBUTING.md shows: each is the one file in it, added to a copy of lldtool.

`LLDTOOL_UPDATE_DOCS=1 pytest -n 0 -m slow tests/test_contributing.py` updates the outputs there.
"""

import os
import re
import shlex
import shutil

import pytest
from conftest import ROOT, SAMPLES, lldtool_process

PAGE = ROOT / "CONTRIBUTING.md"
SECTION = re.compile(r"^## (A new .+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
FILE = re.compile(r'```py title="(?P<path>[^"]+)"\n(?P<content>.*?)```', re.DOTALL)
#: A line to add after another one.
LINE = re.compile(r'```diff title="(?P<path>[^"]+)"\n (?P<after>[^\n]+\n)\+(?P<line>[^\n]+\n)```')
COMMAND = re.compile(r"```console\n\$ lldtool (?P<command>[^\n]*)\n(?P<output>.*?)```", re.DOTALL)
SECTIONS = {
    title: text for title, text in SECTION.findall(PAGE.read_text("utf-8")) if FILE.search(text)
}
#: What a section may change, besides the file that it adds.
REGISTRATIONS = {"A new output format": 1}


@pytest.fixture
def copy(tmp_path):
    """A copy of lldtool and of the sample configs."""
    for folder in (ROOT / "lldtool", SAMPLES):
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("*.pyc"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("title", SECTIONS)
def test_an_addition_is_one_file(title, copy):
    text = SECTIONS[title]
    added = [file["path"] for file in FILE.finditer(text) if file["path"].startswith("lldtool/")]
    assert len(added) == 1
    for file in FILE.finditer(text):
        path = copy / file["path"]
        assert path.parent.is_dir()
        assert not path.exists()
        path.write_text(file["content"], encoding="utf-8")
    lines = [*LINE.finditer(text)]
    assert len(lines) == REGISTRATIONS.get(title, 0)
    for line in lines:
        path = copy / line["path"]
        code = path.read_text("utf-8")
        assert code.count(line["after"]) == 1
        path.write_text(code.replace(line["after"], line["after"] + line["line"]), "utf-8")
    commands = [*COMMAND.finditer(text)]
    assert commands
    for shown in commands:
        printed = printed_by(shown["command"], copy)
        if os.environ.get("LLDTOOL_UPDATE_DOCS"):
            page = PAGE.read_text("utf-8")
            PAGE.write_text(page.replace(shown[0], shown[0].replace(shown["output"], printed)))
        else:
            assert printed == shown["output"]


def printed_by(command, folder):
    """The output of a pipeline of lldtool and, where the page says so, `grep`."""
    command, _, searched = command.partition(" | grep ")
    result = lldtool_process(*shlex.split(command), cwd=folder, PYTHONPATH=str(folder))
    assert result.err == ""
    lines = result.out.splitlines(keepends=True)
    return "".join(line for line in lines if searched.strip("'") in line)


def test_every_kind_of_addition_is_shown():
    assert SECTIONS.keys() == {
        "A new rule",
        "A new command",
        "A new output format",
        "A new constructor tracer",
    }
