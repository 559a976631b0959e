"""Which options of its `paramwise_cfg` a constructor looks for, by watching it look."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

from lldtool.dryrun.patching import patched

#: mmengine checks the options of its own constructor here, in every class that inherits from it.
_ONLY_VALIDATES = "_validate_cfg"
#: Methods of a dict that look for one key, and those that take all that is in it.
_BY_KEY = ("__getitem__", "__contains__", "__getattr__", "get", "pop", "setdefault")
_WHOLE = (
    "__iter__", "keys", "values", "items", "copy", "__copy__", "__deepcopy__", "popitem",
    "to_dict", "__repr__", "__str__", "__or__", "__eq__", "__reduce_ex__",
)  # fmt: skip


class WatchedOptions:
    """What was looked for, once a constructor has run within `watching`."""

    def __init__(self) -> None:
        self._looked_for: dict[str, None] = {}
        self._is_seen = False
        self._is_taken_whole = False

    @property
    def read(self) -> tuple[str, ...] | None:
        """The options that were looked for; None where all of them were, or nothing was seen."""
        known = self._is_seen and not self._is_taken_whole
        return tuple(self._looked_for) if known else None

    @contextlib.contextmanager
    def watching(self, constructor: type) -> Iterator[None]:
        """Give the constructor a `paramwise_cfg` that tells what is looked for in it."""
        if constructor.__module__ == "builtins":  # there is none of this name
            yield
            return
        plain: Callable[..., None] = constructor.__init__  # type: ignore[misc]

        @functools.wraps(plain)
        def init(this: Any, *args: Any, **kwargs: Any) -> None:
            options = kwargs.get("paramwise_cfg")
            if isinstance(options, dict):
                kwargs["paramwise_cfg"] = self._watched(options)
            plain(this, *args, **kwargs)

        with patched(constructor, __init__=init):
            yield

    def _watched(self, options: Any) -> Any:
        """The same content, in a class of the same kind."""
        self._is_seen = True
        # Written as they are: mmengine's own dict would make other objects of classes.
        watched = _telling(type(options), self._look, self._take_whole)()
        for key in dict.keys(options):
            dict.__setitem__(watched, key, dict.__getitem__(options, key))
        return watched

    def _look(self, key: object) -> None:
        if key not in self._looked_for and sys._getframe(2).f_code.co_name != _ONLY_VALIDATES:
            self._looked_for[str(key)] = None

    def _take_whole(self) -> None:
        self._is_taken_whole = True


def _telling(kind: Any, look: Callable[[object], None], take_whole: Callable[[], None]) -> Any:
    """A class of dicts that tells which keys are looked for, and when it is taken whole."""

    def by_key(name: str) -> Any:
        plain = getattr(kind, name)

        def method(self: Any, key: Any, *args: Any) -> Any:
            if not (name == "__getattr__" and str(key).startswith("__")):
                look(key)
            return plain(self, key, *args)

        return method

    def whole(name: str) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            take_whole()
            return getattr(kind, name)(self, *args, **kwargs)

        return method

    content = {name: by_key(name) for name in _BY_KEY if hasattr(kind, name)}
    content |= {name: whole(name) for name in _WHOLE if hasattr(kind, name)}
    return type(kind.__name__, (kind,), content)
