"""What errors and registries of mmengine say: causes, names, and what is near an unknown name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from lldtool.errors import LldtoolError, text_of


def type_name(kind: Any) -> str:
    """A config's `type`, a string or a class, as the bare name of the class."""
    if isinstance(kind, str):
        return kind.rpartition(".")[2]
    name = getattr(kind, "__name__", None)  # what a pure-Python config imports has one of any name
    return name if isinstance(name, str) else str(kind).rpartition(".")[2]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, what caused that, and so on; each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def registries() -> list[Any]:
    """mmengine's registries and their children in the packages that have been imported."""
    import mmengine.registry as root

    parents = [r for r in vars(root).values() if isinstance(r, root.Registry)]
    return [*parents, *(child for parent in parents for child in parent.children.values())]


def registered_names() -> set[str]:
    """Every name in every registry that has been imported."""
    return {name for registry in registries() for name in registry.module_dict}


def unknown_type(error: BaseException, name: str) -> LldtoolError | None:
    """The error for a `type` that no registry knows, with near names; None for another error.

    Args:
        error: what mmengine's `build_from_cfg` raised.
        name: the config, as the user named it.
    """
    missed = re.search(r"(\S+) is not in the (\S+)::", text_of(error))
    failed = re.search(r"Failed to get (\S+)", text_of(error))
    if isinstance(error, KeyError) and missed:
        kind, place = missed[1].lstrip("'\""), f" in scope {missed[2]}"
    elif isinstance(error, RuntimeError) and failed:
        kind, place = failed[1], ""
    else:
        return None
    return unknown_name(kind, place, name)


def unknown_name(kind: str, place: str, name: str) -> LldtoolError:
    """The error for this type, looked for in this place by the config of this name."""
    near = difflib.get_close_matches(type_name(kind), sorted(registered_names()), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "is a custom_imports missing?"
    return LldtoolError(f"unknown type '{kind}'{place}", config=name, hint=hint)
