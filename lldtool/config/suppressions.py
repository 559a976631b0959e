"""The comments `# lldtool: ignore[…]` in a config's file."""

from __future__ import annotations

import bisect
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
    """A comment `# lldtool: ignore[…]`. Without `codes` it is about all of them."""

    file: Path
    line: int
    codes: tuple[str, ...]
    place: Location


#: `# lldtool: ignore`, `# lldtool: ignore[LLD104, LLD301]`; not with brackets and no code in them.
_IGNORE = re.compile(
    r"#\s*lldtool\s*:\s*ignore(?:\s*\[([\s,]*\w[\w\s,-]*)\]|(?!\s*\[|[\w-]))", re.IGNORECASE
)


def suppressions_in(file: File) -> Iterator[Suppression]:
    """The comments to ignore findings in a file; JSON has none."""
    if file.path.suffix == ".json" or not _IGNORE.search(file.text):
        return
    comments = _comments if file.path.suffix == ".py" else _yaml_comments
    for line, column, comment in comments(file.text):
        for match in _IGNORE.finditer(comment):
            codes = split_selectors((match[1] or "").upper())
            start, end = column + match.start() + 1, column + match.end() + 1
            yield Suppression(file.path, line, codes, Location(file.path, line, start, line, end))


def _comments(text: str) -> Iterator[tuple[int, int, str]]:
    """Line, column from 0, and text of each comment, up to an error."""
    with contextlib.suppress(SyntaxError, tokenize.TokenError):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield *token.start, token.string


def _yaml_comments(text: str) -> Iterator[tuple[int, int, str]]:
    """As `_comments`: a # that is in no string, at the start of a line or after a space."""
    import yaml

    spans, end = [], 0
    with contextlib.suppress(yaml.YAMLError):
        for token in yaml.scan(text):
            end = token.end_mark.index
            if isinstance(token, yaml.ScalarToken):
                spans.append((token.start_mark.index, end))
    starts = [start for start, _ in spans]
    offset = 0
    for number, line in enumerate(text.split("\n"), 1):
        for match in re.finditer(r"(?:(?<=\s)|^)#", line):
            index = offset + match.start()
            before = bisect.bisect_right(starts, index) - 1
            if index < end and (before < 0 or spans[before][1] <= index):
                yield number, match.start(), line[match.start() :]
                break
        offset += len(line) + 1
