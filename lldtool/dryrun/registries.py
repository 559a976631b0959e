"""What errors and registries of mmengine say: causes, names, and what is near an unknown name."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

from lldtool.dryrun.import_frames import OPENMMLAB
from lldtool.errors import LldtoolError, text_of

#: More characters of an exception than this say nothing more.
_LONGEST = 300


def type_name(kind: Any) -> str:
    """A config's `type`, a string or a class, as the bare name of the class."""
    if isinstance(kind, str):
        return kind.rpartition(".")[2]
    name = getattr(kind, "__name__", None)  # what a pure-Python config imports has one of any name
    return name if isinstance(name, str) else str(kind).rpartition(".")[2]


def describe(error: BaseException) -> str:
    """`KeyError: 'lr'`: an exception in one line."""
    lines = text_of(error).strip().splitlines()
    text = lines[0] if lines else ""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def class_named(registry: str, kind: Any) -> type | None:
    """The class that a config's `type` names in the config's scope; None where there is none.

    Args:
        registry: the name of one of mmengine's, `HOOKS`.
        kind: a name, or what a pure-Python config has instead of one.
    """
    import mmengine.registry

    with contextlib.suppress(Exception):  # training says so itself
        if isinstance(kind, str):
            root = getattr(mmengine.registry, registry)
            with root.switch_scope_and_registry(None) as scoped:
                kind = scoped.get(kind)
        if inspect.isclass(kind):
            return kind
    return None


@functools.cache
def defaults_of(kind: type) -> dict[str, Any]:
    """Return the defaults of a class's arguments, and of those of its bases."""
    defaults: dict[str, Any] = {}
    for cls in reversed(kind.__mro__):
        with contextlib.suppress(ValueError, TypeError):  # a class without a signature
            arguments = inspect.signature(vars(cls).get("__init__", cls)).parameters.values()
            defaults |= {a.name: a.default for a in arguments if a.default is not a.empty}
    return defaults


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
    """The error for this type, looked for in this place by the config of this name.

    Raises:
        LldtoolError: it is unknown because the package of its scope does not import.
    """
    try:
        for scope in _scopes_of(kind):
            import_scope(scope)
    except LldtoolError as error:
        message = f"unknown type '{kind}'{place}: {error.message}"
        raise error.replace(message=message, config=name) from error.__cause__
    bare = type_name(kind)
    owners = sorted({r.scope for r in registries() if bare in r.module_dict and r.scope})
    near = difflib.get_close_matches(bare, sorted(registered_names()), n=3)
    if owners:
        hint = f"it is in scope {' and '.join(owners)}: write '{owners[0]}.{bare}'"
    elif near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = "is a custom_imports missing?"
    return LldtoolError(f"unknown type '{kind}'{place}", config=name, hint=hint)


def _scopes_of(kind: str) -> Iterator[str]:
    """The scopes in which mmengine looks for a type."""
    from mmengine.registry import DefaultScope

    scope, dot, _ = kind.partition(".")
    if dot:
        yield scope
    current = DefaultScope.get_current_instance()
    if current is not None:
        yield str(current.scope_name)


def import_scope(scope: str, where: str = "") -> None:
    """Import the package of a registry scope, which mmengine does without a word about a failure.

    A scope may also be one that a module of the user's own has made.

    Args:
        scope: its name, that of the package.
        where: ` of default_scope`, for the error.

    Raises:
        LldtoolError: the package can't be imported.
    """
    module = f"{scope}.registry"
    try:
        importlib.import_module(module)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing == module or (missing == scope and scope not in OPENMMLAB):
            return
        subject = f"the package {scope!r}{where}"
        if missing == scope:
            raise LldtoolError(f"{subject} is not installed") from error
        text = f"{subject} does not import: {describe(error)}"
        raise needs_package(error, subject) or LldtoolError(text, certain=False) from error


def needs_package(error: BaseException, subject: str) -> LldtoolError | None:
    """The error for a package that this needs and that is missing; None for another error."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    package = error.name.partition(".")[0]
    hint = "pip install mmcv, or mmcv-lite" if package == "mmcv" else None
    return LldtoolError(
        f"{subject} needs the package {package!r}, which is not installed", hint=hint
    )
