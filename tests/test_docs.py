"""Every command in the documentation runs, and prints what stands there.

`LLDTOOL_UPDATE_DOCS=1 pytest tests/test_docs.py` writes the outputs, and the picture, anew.
"""

import html
import os
import re
import shlex

import pytest
from conftest import ROOT, lldtool_process

UPDATE = bool(os.environ.get("LLDTOOL_UPDATE_DOCS"))
PICTURE = ROOT / "docs" / "inspect.svg"
PICTURED = "inspect mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py"
#: ```console, a command, its output.
BLOCK = re.compile(r"```console\n\$ lldtool (?P<command>[^\n]*)\n(?P<output>.*?)```", re.DOTALL)

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(page, found["command"], id=f"{page.name}: {found['command']}")
    for page in PAGES
    for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
]


def without_local_notes(text):
    """The text without what depends on which optional packages are installed here."""
    local = re.compile(r"(\x1b\S*m)*note\b.*(a stand-in|pkg_resources)")
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


def test_the_picture_is_what_lldtool_prints():
    result = lldtool_process(*PICTURED.split(), "--color", "always", COLUMNS="80")
    if UPDATE:
        draw(result.out)
    plain = "".join(re.sub(r"\x1b\[[0-9;]*m", "", "".join(without_local_notes(result.out))).split())
    drawn = "".join(re.findall(r"<text [^>]*>(.*?)</text>", PICTURE.read_text(encoding="utf-8")))
    assert plain in "".join(html.unescape(drawn).split())


def draw(colored):
    from io import StringIO

    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=80, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(without_local_notes(colored))))
    svg = console.export_svg(title="lldtool inspect", unique_id="lldtool")
    svg = svg.replace("<text ", '<text xml:space="preserve" ')
    PICTURE.write_text(svg, encoding="utf-8")


def test_there_are_commands_to_run():
    assert len(BLOCKS) >= 3


def test_the_python_of_the_readme_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
