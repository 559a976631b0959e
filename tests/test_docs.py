"""Every command in the documentation runs, and prints what stands there.

`LLDTOOL_UPDATE_DOCS=1 pytest -n 0 tests/test_docs.py` writes the outputs and the page of commands
anew, `python docs/pictures.py` the pictures.
"""

import html
import importlib
import os
import re
import shlex

import pytest
from commands_page import PAGE as COMMANDS
from commands_page import commands_page
from conftest import ROOT, SAMPLES, lldtool_process
from pictures import PICTURES, draw

import lldtool

UPDATE = bool(os.environ.get("LLDTOOL_UPDATE_DOCS"))
#: ```console, a command, its output.
BLOCK = re.compile(r"```console\n\$ lldtool (?P<command>[^\n]*)\n(?P<output>.*?)```", re.DOTALL)

#: Its commands follow on one another, in a folder with the files that it has.
TUTORIAL = ROOT / "docs" / "tutorial.md"
FILE = re.compile(r'```py title="(?P<file>[^"]+)"\n(?P<content>.*?)```', re.DOTALL)

PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page != TUTORIAL),
]
BLOCKS = [
    pytest.param(page, found["command"], id=f"{page.name}: {found['command']}")
    for page in PAGES
    for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
]


def without_local_notes(text):
    """The text without what depends on which optional packages are installed here."""
    local = re.compile(r"note\b.*(a stand-in|pkg_resources)")
    return [line for line in text.splitlines() if not local.match(line)]


@pytest.mark.parametrize(("page", "command"), BLOCKS)
def test_command_prints_what_stands_there(page, command, tmp_path):
    result = lldtool_process(*shlex.split(command, comments=True), COLUMNS="80")
    printed = result.out + result.err
    text = page.read_text(encoding="utf-8")
    found = next(b for b in BLOCK.finditer(text) if b["command"] == command)
    if UPDATE:
        page.write_text(text[: found.start("output")] + printed + text[found.end("output") :])
    elif "..." in found["output"].splitlines():
        start, _, end = found["output"].partition("...\n")
        assert printed.startswith(start)
        assert printed.endswith(end)
    else:
        assert without_local_notes(printed) == without_local_notes(found["output"])


def test_the_tutorial_can_be_followed_from_start_to_end(tmp_path):
    text = TUTORIAL.read_text(encoding="utf-8")
    for folder in re.search(r"^mkdir (.*)$", text, re.MULTILINE)[1].split():
        (tmp_path / folder).mkdir()
    steps = [*FILE.finditer(text), *BLOCK.finditer(text)]
    outputs = []
    for step in sorted(steps, key=lambda step: step.start()):
        if step.re is FILE:
            (tmp_path / step["file"]).write_text(step["content"], encoding="utf-8")
            continue
        result = lldtool_process(*shlex.split(step["command"]), cwd=tmp_path, COLUMNS="80")
        printed = result.out + result.err
        outputs.append((step, printed))
        if not UPDATE:
            assert without_local_notes(printed) == without_local_notes(step["output"])
    if UPDATE:
        for step, printed in reversed(outputs):
            text = text[: step.start("output")] + printed + text[step.end("output") :]
        TUTORIAL.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_up_to_date(name, tmp_path):
    kept = (ROOT / "docs" / name).read_text(encoding="utf-8")
    drawn = draw(name, tmp_path).read_text(encoding="utf-8")
    if "matplotlib" not in kept:
        assert shown_lines(drawn) == shown_lines(kept)
        return
    maker = re.search(r"Matplotlib v[\d.]+", kept)[0]
    if maker not in drawn:
        pytest.skip(f"it was drawn by {maker}, another one may draw otherwise")
    assert drawn == kept


def shown_lines(svg):
    """The lines of a picture of a terminal, without what depends on what is installed here."""
    lines = {}
    for y, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        lines[y] = lines.get(y, "") + html.unescape(text).replace("\xa0", " ")
    return without_local_notes("\n".join(lines.values()))


def test_there_are_commands_to_run():
    assert len(BLOCKS) >= 3


def test_the_python_of_the_guide_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    (block,) = blocks_of("guide.md", "python")
    exec(compile(block, "guide.md", "exec"), {})


def blocks_of(page, language):
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_config_of_the_readme_is_the_sample():
    from mmengine.config import Config

    (block,) = re.findall(r"```py\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    shown = Config.fromstring(block, ".py").optim_wrapper
    assert shown == Config.fromfile(SAMPLES / "mixmim-base_mended.py").optim_wrapper


def test_the_hooks_of_the_guide_are_those_that_there_are():
    import inspect

    from mmengine.registry import HOOKS

    (block,) = blocks_of("guide.md", "py")
    config = {}
    exec(compile(block, "guide.md", "exec"), config)
    for name in config["custom_imports"]["imports"]:
        importlib.import_module(name)
    for hook in config["custom_hooks"]:
        inspect.signature(HOOKS.get(hook.pop("type"))).bind(**hook)


def test_the_page_of_commands_is_what_typer_says():
    if UPDATE:
        COMMANDS.write_text(commands_page(), encoding="utf-8")
    assert COMMANDS.read_text(encoding="utf-8") == commands_page()


def test_the_page_of_the_python_api_has_every_public_name():
    named = re.findall(r"^::: lldtool\.(\w+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.M)
    assert sorted(named) == sorted(lldtool.__all__)


def test_the_page_of_errors_names_messages_that_there_are():
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in (ROOT / "lldtool").rglob("*.py"))
    messages = re.findall(r"^### (.+)$", page, re.M)
    assert len(messages) > 30
    for message in messages:
        for part in message.split("…"):
            assert part.strip(" :") in code, message


def test_the_map_of_the_code_names_every_module_and_no_other():
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    package = ROOT / "lldtool"
    modules = sorted(path.relative_to(package).as_posix() for path in package.rglob("*.py"))
    assert sorted(re.findall(r"^\| `(\S+\.py)` \|", page, re.M)) == modules


def test_the_layers_of_the_map_are_those_of_the_contract():
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (layers,) = re.findall(r"^layers = \[\n(.*?)^\]", project, re.M | re.S)
    listed = re.findall(r'"(.*)"', layers.replace("lldtool.", ""))
    assert "\n".join(listed) in page
