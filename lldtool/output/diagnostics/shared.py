"""What the formats of `check` share: names of files, totals, each diagnostic told once."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity, Status, count
from lldtool.output.contents import patterns
from lldtool.text import plural, printable, shortened

#: More patterns of parameters, or names of configs, than this are cut.
_MOST_PATTERNS, _MOST_CONFIGS = 4, 3
_PACKAGED = re.compile(r".*/([^/]+)/\.mim/configs/(.+)", re.DOTALL)
#: For each config its diagnostics, and the configs that inherit each from its file; escaped.
Merged = list[tuple[CheckResult, dict[Diagnostic, list[str]]]]


def file_name(file: Path) -> str:
    """Return a file for a machine: relative to the working directory if in it, else absolute."""
    here = Path.cwd()
    path = Path(os.path.normpath(here / file))
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def file_shown(file: Path) -> str:
    """Return a file for a person: a package's config as `mmpretrain::mae/x.py`."""
    packaged = _PACKAGED.fullmatch(os.path.normpath(Path.cwd() / file))
    return printable("::".join(packaged.groups()) if packaged else file_name(file))


def is_installed(file: Path) -> bool:
    """Whether a file is one of an installed package, and so of no repository of the user's."""
    return not {"site-packages", "dist-packages", ".mim"}.isdisjoint(file.parts)


def location_to_annotate(
    diagnostic: Diagnostic, annotates: Callable[[Path], bool]
) -> Location | None:
    """Return the location of a diagnostic, or where the user's own file inherits that file.

    Args:
        diagnostic: to annotate.
        annotates: whether a file can be annotated.
    """
    if diagnostic.location is None:
        return None
    locations = (diagnostic.location, *reversed(diagnostic.inheriting))
    return next((one for one in locations if annotates(one.file)), None)


def config_file(config: str) -> Path | None:
    """Return the file of this name, where there is one; a CONFIG argument may name other things."""
    with contextlib.suppress(OSError, ValueError):  # too long, or not to be encoded
        if Path(config).is_file():
            return Path(config)
    return None


def location_shown(location: Location) -> str:
    """`configs/x.py:12:9`."""
    return f"{file_shown(location.file)}:{location.line}:{location.column}"


def details(diagnostic: Diagnostic, heirs: Sequence[str] = ()) -> list[tuple[str, list[str]]]:
    """Return what else there is to say, a label and its items each; not the suggestion."""
    parts = []
    if diagnostic.key and not diagnostic.location:
        parts.append(("key", [printable(diagnostic.key)]))
    if names := diagnostic.parameters:
        parts.append(("parameters", patterns(names, names, _MOST_PATTERNS)))
    return [*parts, *inherited(heirs)]


def inherited(heirs: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return which configs inherit a diagnostic's file, as a label and its items; or nothing."""
    return [("a base of", shortened(heirs, _MOST_CONFIGS))] if heirs else []


def fix_label(heirs: Sequence[str]) -> str:
    """Return the label of a suggestion: what is inherited is fixed in the config itself."""
    if not heirs:
        return "suggested fix"
    return f"suggested fix in {heirs[0] if len(heirs) == 1 else 'each of them'}"


def merged(results: Sequence[CheckResult]) -> Merged:
    """Return each config with its diagnostics, less those of an earlier config with the same base.

    Those of a config as a whole come first, then those in its own file, then those in its bases.
    """
    heirs: dict[tuple[Diagnostic, str], list[str]] = {}
    for result in results:
        for one in result.diagnostics:
            of_base = one.location is not None and not is_in(result, one.location)
            heirs.setdefault(_identity(result, one), []).extend(
                [printable(result.config)] * of_base
            )
    found: Merged = []
    for result in results:
        new = dict.fromkeys(d for d in result.diagnostics if _identity(result, d) in heirs)
        own = {d: list(dict.fromkeys(heirs.pop(_identity(result, d)))) for d in new}
        order = functools.partial(_order, result)
        found.append((result, {d: own[d] for d in sorted(own, key=order)}))
    return found


def _identity(result: CheckResult, diagnostic: Diagnostic) -> tuple[Diagnostic, str]:
    """Return the same for diagnostics that need to be told once only."""
    return diagnostic, "" if diagnostic.location else result.config


def _order(result: CheckResult, diagnostic: Diagnostic) -> tuple[int, str, int, int, str]:
    at = diagnostic.location
    if at is None:
        return 0, "", 0, 0, diagnostic.code
    is_base = not is_in(result, at)
    file = file_shown(at.file) if is_base else ""
    return 1 + is_base, file, at.line, at.column, diagnostic.code


def is_in(result: CheckResult, location: Location) -> bool:
    """Whether a location is in the config's own file, not in a base of it."""
    names = printable(result.config), file_shown(Path(result.config))
    return file_shown(location.file) in names


def severities(diagnostics: Iterable[Diagnostic]) -> str:
    """`3 errors, 4 warnings`; nothing for none."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    return ", ".join(plural(counts[s], s.value) for s in Severity if counts[s])


def summary(results: Sequence[CheckResult]) -> str:
    """Return the last line: `Found 7 findings (3 errors, 4 warnings) in 2 of 21 configs`.

    What is told once counts once. Findings that fail no config do not keep it from passing.
    """
    diagnostics = [one for _, several in merged(results) for one in several]
    configs, number = plural(len(results), "config"), severities(diagnostics)
    errors = count(results, Status.error)
    if not errors and not count(results, Status.failed):
        return f"All checks passed ({', '.join(filter(None, [configs, number]))})"
    found = f"Found {plural(len(diagnostics), 'finding')}"
    if diagnostics:
        found += f" ({number}) in {sum(bool(r.diagnostics) for r in results)} of {configs}"
    return found + (f"; {plural(errors, 'config')} could not be checked" if errors else "")


def encodable(value: Any) -> Any:  # noqa: ANN401
    """Return JSON content with lone surrogates, which no strict reader takes, as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {key: encodable(one) for key, one in value.items()}
    return [encodable(one) for one in value] if isinstance(value, (list, tuple)) else value
