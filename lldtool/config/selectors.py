"""The three grammars by which a user selects: rules, parameters, and paths of configs.

A rule selector is a code (`LLD101`), the beginning of codes (`LLD1`), a name (`decayed-norm`) or
`ALL`, in any case. A parameter pattern is a glob of the full name, or `type:` and a glob of the
module's class. A path pattern is a line of a .gitignore.
"""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from lldtool.plan import Parameter, UntrainedParameter

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

#: How specific the selector of a single rule is: as long as a code.
ONE_RULE = len("LLD101")
_TYPE = "type:"


class Named(Protocol):
    """What a rule selector looks at in a rule."""

    code: ClassVar[str]
    name: ClassVar[str]


def selects(selector: str, rule: Named) -> bool:
    """Whether a rule selector includes a rule."""
    word = selector.upper()
    is_prefix = word.startswith("LLD") and rule.code.startswith(word)
    return is_prefix or word in ("ALL", rule.name.upper())


def specificity(selector: str) -> int:
    """Rank a rule selector as ruff does: ALL, a short prefix, a longer one, a single rule."""
    word = selector.upper()
    if word == "ALL":
        return 0
    return len(word) if word.startswith("LLD") else ONE_RULE


def selector_words(rules: Sequence[Named]) -> list[str]:
    """Every rule selector that there is."""
    prefixes = {rule.code[:end] for rule in rules for end in range(3, ONE_RULE + 1)}
    return ["ALL", *sorted(prefixes), *(rule.name for rule in rules)]


def split_selectors(text: str) -> tuple[str, ...]:
    """`LLD1, decayed-norm` -> both; commas, spaces or both separate rule selectors."""
    return tuple(re.findall(r"[^\s,]+", text))


def did_you_mean(word: str, choices: Iterable[str]) -> str | None:
    """Return a hint at the choice that is nearest, in any case and with _ for -.

    Of several that are as near it is the one with the most letters in the same place.
    """
    plain = {choice.upper(): choice for choice in choices}
    word = word.upper().replace("_", "-")

    def nearness(choice: str) -> tuple[float, int]:
        ratio = difflib.SequenceMatcher(None, choice, word).ratio()
        return ratio, sum(map(str.__eq__, choice, word))

    near = difflib.get_close_matches(word, plain, n=len(plain) or 1, cutoff=0.7)
    return f"did you mean {plain[max(near, key=nearness)]}?" if near else None


def matching_pattern(patterns: Iterable[str], p: Parameter | UntrainedParameter) -> str | None:
    """Return the first of the parameter patterns that matches a parameter.

    `type:` matches no parameter outside the optimizer: a plan does not have its module's class.
    """
    for pattern in patterns:
        of_class = pattern.removeprefix(_TYPE)
        if of_class == pattern:
            matches = fnmatchcase(p.name, pattern)
        else:
            matches = isinstance(p, Parameter) and fnmatchcase(p.module_type, of_class)
        if matches:
            return pattern
    return None


def anywhere(text: str) -> str:
    """Return a parameter pattern for names that contain a text, unless it is a pattern itself."""
    is_pattern = text.startswith(_TYPE) or any(sign in text for sign in "*?[")
    return text if is_pattern else f"*{text}*"


def matches_path(patterns: Sequence[str], name: str, *, is_directory: bool = False) -> bool:
    """Whether valid path patterns match a config's `stable_name`, or a directory that it is in.

    As in a .gitignore, the last pattern that matches decides, and `!` takes names out again.
    """
    path = f"{name}/" if is_directory else name
    return bool(patterns) and _spec(tuple(patterns)).match_file(path)


def is_path_pattern(pattern: str) -> bool:
    """Whether git could read a path pattern: `[z-a]` and a lone `!` are none."""
    try:
        _spec((pattern,))
    except (ValueError, re.error):
        return False
    return True


def from_root(pattern: str, root: Path | None) -> str:
    """Make a path pattern that is relative to the working directory relative to the root."""
    if root is None or "/" not in pattern.rstrip("/"):
        return pattern
    slash = "/" if pattern.endswith("/") else ""
    return Path(os.path.relpath(pattern, root)).as_posix() + slash


@lru_cache(maxsize=256)
def _spec(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of re, at `[[`
        return GitIgnoreSpec.from_lines(map(_line, patterns))


def _line(pattern: str) -> str:
    """Write a pattern as git takes it, which knows neither `./configs` nor `.` nor `a//b`."""
    if pattern.strip().rstrip("/") in ("", "."):
        return "**"
    return re.sub(r"(?:^(!?)\.)?/(?:\.?/)*", r"\1/", pattern)
