"""The one exception that a user sees, as one line on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


class LldtoolError(Exception):
    """Something that lldtool could not do, in the terms of the user's config.

    Args:
        message: what is wrong, without a full stop.
        config: the config it is about, as the user named it.
        hint: the mend, where there is one.
        certain: false for what may be a stand-in's doing and is worth another try without.
    """

    def __init__(
        self,
        message: str,
        *,
        config: str | None = None,
        hint: str | None = None,
        certain: bool = True,
    ) -> None:
        super().__init__(message)
        self.certain = certain
        self.message = message
        self.config = config
        self.hint = hint
        #: The user's own files that were read until then, where that was noted.
        self.files: frozenset[Path] = frozenset()

    def without_config(self) -> str:
        """What it says, for where the config's name stands beside it."""
        mend = f" ({self.hint})" if self.hint else ""
        return f"{self.message}{mend}"

    def __str__(self) -> str:
        return f"{self.config}: {self.without_config()}" if self.config else self.without_config()


@dataclass(frozen=True)
class Culprit:
    """The entry of a config that makes its constructor raise, as running it otherwise has shown.

    `entry` are the keys that lead to it, `problem` says what is wrong with it. To fix that, the
    entries `removed` go, and those `written` get these values; there may be no known fix.
    """

    entry: tuple[str, ...]
    problem: str
    removed: tuple[tuple[str, ...], ...] = ()
    written: tuple[tuple[tuple[str, ...], object], ...] = ()


class ConstructorError(LldtoolError):
    """The constructor raised, and so would training, at startup.

    `kind` is `parameter-in-two-groups`, `nothing-trainable` or `constructor-raises`. `culprit` is
    the entry of the config to blame, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        config: str | None = None,
        hint: str | None = None,
        certain: bool = True,
        kind: str = "constructor-raises",
        culprit: Culprit | None = None,
    ) -> None:
        super().__init__(message, config=config, hint=hint, certain=certain)
        self.kind = kind
        self.culprit = culprit


def text_of(error: BaseException) -> str:
    """What an exception says, nothing where its own `__str__` fails."""
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # code of the user's
        return ""


@contextlib.contextmanager
def translated(translate: Callable[[BaseException], LldtoolError]) -> Iterator[None]:
    """Whatever is raised inside, a config's `sys.exit` too, becomes an error in its terms."""
    try:
        yield
    except (LldtoolError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise translate(error) from error
