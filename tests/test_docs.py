"""The documentation: every command in it is run, and prints what the page shows.

`LLDTOOL_UPDATE_DOCS=1 pytest -n 0 tests/test_docs.py` updates the outputs, the page of commands
and the generated parts of the design page; `python docs/pictures.py` draws the pictures.
"""

import ast
import graphlib
import html
import importlib
import inspect
import os
import re
import shlex
from itertools import chain

import code_map
import commands_page
import pytest
from conftest import ROOT, SAMPLES, lldtool_process
from pictures import PICTURES, draw

import lldtool

UPDATE = bool(os.environ.get("LLDTOOL_UPDATE_DOCS"))
DOCS = ROOT / "docs"
#: ```console, a command, its output.
BLOCK = re.compile(r"```console\n\$ lldtool (?P<command>[^\n]*)\n(?P<output>.*?)```", re.DOTALL)
#: ```py title="config.py", the file.
FILE = re.compile(r'```py title="(?P<file>[^"]+)"\n(?P<content>.*?)```', re.DOTALL)

#: Its commands build on each other, in a directory with the files that it shows.
TUTORIAL = DOCS / "tutorial.md"
PAGES = [ROOT / "README.md", *sorted(set(DOCS.glob("*.md")) - {TUTORIAL})]
BLOCKS = [
    pytest.param(page, found["command"], id=f"{page.name}: {found['command']}")
    for page in PAGES
    for found in BLOCK.finditer(page.read_text("utf-8"))
]
assert BLOCKS


def without_local_notes(text):
    """Return the lines that do not depend on which optional packages are installed."""
    local = re.compile(r"note\b.*\b(stub|stand-in|pkg_resources)\b")
    return [line for line in text.splitlines() if not local.match(line)]


def printed_by(command, **kwargs):
    result = lldtool_process(*shlex.split(command, comments=True), COLUMNS="80", **kwargs)
    return result.out + result.err


@pytest.mark.parametrize(("page", "command"), BLOCKS)
def test_command_prints_what_the_page_shows(page, command):
    printed = printed_by(command)
    text = page.read_text("utf-8")
    found = next(b for b in BLOCK.finditer(text) if b["command"] == command)
    if UPDATE:
        page.write_text(text[: found.start("output")] + printed + text[found.end("output") :])
    else:
        assert without_local_notes(printed) == without_local_notes(found["output"])


def test_tutorial_can_be_followed_from_start_to_end(tmp_path):
    text = TUTORIAL.read_text("utf-8")
    for folder in re.search(r"^mkdir (.*)$", text, re.MULTILINE)[1].split():
        (tmp_path / folder).mkdir()
    outputs = []
    steps = sorted(chain(FILE.finditer(text), BLOCK.finditer(text)), key=re.Match.start)
    for step in steps:
        if step.re is FILE:
            (tmp_path / step["file"]).write_text(step["content"], encoding="utf-8")
            continue
        outputs.append((step, printed_by(step["command"], cwd=tmp_path)))
        if not UPDATE:
            assert without_local_notes(outputs[-1][1]) == without_local_notes(step["output"])
    if UPDATE:
        for step, printed in reversed(outputs):
            text = text[: step.start("output")] + printed + text[step.end("output") :]
        TUTORIAL.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_up_to_date(name, tmp_path):
    kept = (DOCS / name).read_text("utf-8")
    drawn = draw(name, tmp_path).read_text("utf-8")
    if "matplotlib" not in kept:
        assert shown_lines(drawn) == shown_lines(kept)
        return
    version = re.search(r"Matplotlib v[\d.]+", kept)[0]
    if version not in drawn:
        pytest.skip(f"drawn by {version}; another version may draw it differently")
    assert drawn == kept


def shown_lines(svg):
    """Return the lines of a terminal screenshot that do not depend on what is installed."""
    lines = {}
    for y, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        lines[y] = lines.get(y, "") + html.unescape(text).replace("\xa0", " ")
    return without_local_notes("\n".join(lines.values()))


def blocks_of(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def test_python_of_the_guide_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    (block,) = blocks_of(DOCS / "guide.md", "python")
    exec(compile(block, "guide.md", "exec"), {})


def test_config_of_the_readme_is_the_sample():
    from mmengine.config import Config

    (block,) = blocks_of(ROOT / "README.md", "py")
    shown = Config.fromstring(block, ".py").optim_wrapper
    assert shown == Config.fromfile(SAMPLES / "mixmim-base_fixed.py").optim_wrapper


def test_hooks_of_the_guide_exist_and_take_these_arguments():
    from mmengine.registry import HOOKS

    (block,) = blocks_of(DOCS / "guide.md", "py")
    config = {}
    exec(compile(block, "guide.md", "exec"), config)
    for name in config["custom_imports"]["imports"]:
        importlib.import_module(name)
    for hook in config["custom_hooks"]:
        inspect.signature(HOOKS.get(hook.pop("type"))).bind(**hook)


def test_page_of_commands_is_what_typer_says():
    page = commands_page.PAGE
    if UPDATE:
        page.write_text(commands_page.commands_page(), encoding="utf-8")
    assert page.read_text("utf-8") == commands_page.commands_page()


def test_page_of_the_python_api_has_every_public_name():
    named = re.findall(r"^::: lldtool\.(\w+)$", (DOCS / "api.md").read_text("utf-8"), re.M)
    assert sorted(named) == sorted(lldtool.__all__)


def test_page_of_errors_quotes_messages_of_the_code():
    found = re.findall(r"^### (.+)$", (DOCS / "troubleshooting.md").read_text("utf-8"), re.M)
    messages = list(chain.from_iterable(map(strings_of, (ROOT / "lldtool").rglob("*.py"))))
    assert len(found) > 30
    for title in found:
        parts = (re.escape(part.strip(" :")) for part in title.split("…"))
        assert any(map(re.compile(".*".join(parts), re.DOTALL).search, messages)), title


def strings_of(path):
    """Return the strings and f-strings in the code of a file, docstrings excluded."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    strings = [node for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr)]
    return [
        "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…"
            for part in getattr(node, "values", [node])
        )
        for node in strings
        if node not in docstrings
    ]


def test_design_page_has_the_modules_and_imports_of_the_code():
    page = code_map.PAGE.read_text("utf-8")
    if UPDATE:
        code_map.PAGE.write_text(code_map.with_map(page), encoding="utf-8")
    assert code_map.PAGE.read_text("utf-8") == code_map.with_map(page)


def test_packages_import_only_from_the_layers_below_and_in_no_cycle():
    arrows = code_map.arrows()
    layer = {name: depth for depth, names in enumerate(code_map.layers()) for name in names}
    upwards = [(a, b) for a in arrows for b in arrows[a] if layer[a] >= layer[b]]
    assert not upwards
    graphlib.TopologicalSorter(arrows).prepare()  # raises CycleError
