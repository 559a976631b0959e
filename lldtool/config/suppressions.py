"""The comments `# lldtool: ignore[…]` in a config's file."""

from __future__ import annotations

import contextlib
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lldtool.config.files import File
from lldtool.config.location import Location
from lldtool.config.selectors import split_selectors


@dataclass(frozen=True)
class Suppression:
    """A comment `# lldtool: ignore[…]`; without `codes`, it suppresses all findings."""

    file: Path
    line: int
    codes: tuple[str, ...]
    location: Location


#: `# lldtool: ignore`, `# lldtool: ignore[LLD104, LLD301]`; not with brackets and no code in them.
_IGNORE = re.compile(
    r"#\s*lldtool\s*:\s*ignore(?:\s*\[([\s,]*\w[\w\s,-]*)\]|(?!\s*\[|[\w-]))", re.IGNORECASE
)
#: A comment of YAML begins a line or follows a space.
_YAML_COMMENT = re.compile(r"(?:(?<=\s)|^)#.*")


def suppressions_in(file: File) -> Iterator[Suppression]:
    """Yield the comments to ignore findings in a file; JSON has none."""
    if file.path.suffix == ".json" or not _IGNORE.search(file.text):
        return
    comments = _python_comments if file.path.suffix == ".py" else _yaml_comments
    for line, column, comment in comments(file.text):
        for match in _IGNORE.finditer(comment):
            codes = split_selectors((match[1] or "").upper())
            start, end = column + match.start() + 1, column + match.end() + 1
            yield Suppression(file.path, line, codes, Location(file.path, line, start, line, end))


def _python_comments(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield line, column from 0, and text of each comment, up to an error."""
    with contextlib.suppress(SyntaxError, tokenize.TokenError):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield *token.start, token.string


def _yaml_comments(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the same for YAML, whose scanner drops comments: they are what is in no scalar."""
    import yaml

    outside, end = "", 0
    with contextlib.suppress(yaml.YAMLError):
        for token in yaml.scan(text):
            start, end = token.start_mark.index, token.end_mark.index
            if isinstance(token, yaml.ScalarToken):
                outside += text[len(outside) : start] + re.sub(r".", "_", text[start:end])
    outside += text[len(outside) : end]
    for number, line in enumerate(outside.split("\n"), 1):
        for match in _YAML_COMMENT.finditer(line):
            yield number, match.start(), match[0]
