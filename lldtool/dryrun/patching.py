"""Give a module or a class other attributes for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def patched(target: Any, /, **attributes: Any) -> Iterator[None]:
    """Set these attributes of a module or class; afterwards restore or remove each of them."""
    before = {name: vars(target)[name] for name in attributes if name in vars(target)}
    for name, value in attributes.items():
        setattr(target, name, value)
    try:
        yield
    finally:
        for name in attributes:
            if name in before:
                setattr(target, name, before[name])
            else:
                with contextlib.suppress(AttributeError):  # code inside may have removed it
                    delattr(target, name)
