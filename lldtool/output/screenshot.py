"""What rich draws -> text, and colored text -> a picture of a terminal."""

from __future__ import annotations

import re
from io import StringIO

from rich.console import Console, RenderableType
from rich.text import Text

from lldtool.text import printable


def rendered(content: RenderableType, *, width: int, color: bool) -> str:
    """Return what a terminal of this width shows of something that rich draws."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(content)
    assert isinstance(console.file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def terminal_svg(colored: str, *, width: int, title: str) -> str:
    """Return a picture of a terminal of this width, with what `write` gave in colour, as SVG.

    It needs nothing from the network: where its font is not installed, another one is taken.
    """
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(colored))
    svg = console.export_svg(title=printable(title), unique_id="lldtool")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return svg.replace("<text ", '<text xml:space="preserve" ')
