"""Write `docs/commands.md` from the Typer application: `python docs/commands_page.py`."""

from __future__ import annotations

import re
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from lldtool.cli import app

PAGE = Path(__file__).parent / "commands.md"
HEAD = """\
# Commands

<!-- Written by docs/commands_page.py. -->
"""


def commands_page() -> str:
    """Return the output of `typer lldtool.cli utils docs`, adapted to the site."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="lldtool", **group.context_settings)
    text = get_docs_for_click(obj=group, ctx=context, name="lldtool")
    _, _, text = text.partition("\n")
    # A usage is not a command to run, and the tests run every console block.
    text = re.sub(r"```console\n\$ (.*)\n```", r"```text\n\1\n```", text)
    for name, command in group.commands.items():
        first, *_ = command.help.splitlines()
        # Typer shortens it.
        text = re.sub(
            rf"^\* `{name}`: .*$", f"* [`{name}`](#lldtool-{name}): {first}", text, flags=re.M
        )
    return f"{HEAD}{text.rstrip()}\n"


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
