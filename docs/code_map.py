"""Write the parts of `docs/design.md` that come from the code: `python docs/code_map.py`."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp
from importlinter.api import read_configuration

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lldtool"
PAGE = Path(__file__).parent / "design.md"


def layers() -> list[list[str]]:
    """Return the top-level packages from the top layer to the bottom, as pyproject.toml has them.

    `__init__` and `__main__`, which nothing imports, come first.
    """
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    (contract,) = (one for one in contracts if one["type"] == "layers")
    lines = [line.replace("lldtool.", "").split(" | ") for line in contract["layers"]]
    return [["__init__", "__main__"], *lines]


def arrows() -> dict[str, set[str]]:
    """Return which top-level packages each top-level package imports."""
    graph = grimp.build_graph("lldtool", cache_dir=None)
    found: dict[str, set[str]] = {name: set() for layer in layers() for name in layer}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            found[_top(module)].add(_top(imported))
    return {name: imports - {name} for name, imports in found.items()}


def _top(module: str) -> str:
    _, _, name = module.partition(".")
    return name.partition(".")[0] or "__init__"


def drawing() -> str:
    """Return the arrows as text, one line for each package, from the top layer to the bottom."""
    found, order = arrows(), [name for layer in layers() for name in layer]
    width = max(map(len, order))
    lines = [
        f"{name:{width}} ─► {', '.join(filter(found[name].__contains__, order))}"
        for name in order
        if found[name]
    ]
    return "\n".join(["```text", *lines, "```"])


def modules() -> str:
    """Return a heading for each directory, and a table of its modules with their first lines."""
    parts = []
    for directory in sorted({path.parent for path in PACKAGE.rglob("*.py")}):
        init = directory / "__init__.py"
        files = sorted(set(directory.glob("*.py")) - {init})
        rows = [f"| `{path.name}` | {_first_line(path)} |" for path in files]
        table = ["", "| module | purpose |", "|---|---|", *rows] if rows else []
        title = directory.relative_to(ROOT).as_posix()
        parts.append("\n".join([f"### {title}", "", _first_line(init), *table]))
    return "\n\n".join(parts)


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("|", r"\|")


def with_map(page: str) -> str:
    """Return the page with its generated parts as the code now is."""
    for name, text in (("arrows", drawing()), ("modules", modules())):
        before, start, rest = page.partition(f"<!-- {name}: written by docs/code_map.py -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        page = f"{before}{start}\n{text}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_map(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
