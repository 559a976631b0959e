"""The one exception that a user sees, as one line on stderr."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

_Error = TypeVar("_Error", bound="LldtoolError")


class LldtoolError(Exception):
    """Something that lldtool could not do, in the terms of the user's config.

    Its fields are never changed: `replace` returns another error.

    Args:
        message: what is wrong, without a full stop.
        config: the config it is about, as the user named it.
        hint: the fix, where there is one.
        certain: false for what a stub may have caused, which is worth another try without stubs.
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

    def replace(self: _Error, **fields: object) -> _Error:
        """Return this error, with its traceback and cause, but with other fields."""
        changed = _restored(type(self), vars(self) | fields)
        changed.__cause__ = self.__cause__
        return changed.with_traceback(self.__traceback__)

    def with_config(self: _Error, config: str) -> _Error:
        """Return this error about a config, unless it is about one already."""
        return self if self.config else self.replace(config=config)

    def without_config(self) -> str:
        """Return the message and the hint, for use next to the config's name."""
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields, and the cause as the text of its traceback."""
        cause = self.__cause__
        trace = "".join(traceback.format_exception(cause)) if cause is not None else None
        return _restored, (type(self), vars(self), trace)

    def __str__(self) -> str:
        return f"{self.config}: {self.without_config()}" if self.config else self.without_config()


def _restored(kind: type[_Error], fields: dict[str, Any], trace: str | None = None) -> _Error:
    """Return an error with these fields, and the traceback of its cause in another process."""
    error = kind.__new__(kind, fields["message"])
    vars(error).update(fields)
    if trace is not None:
        error.__cause__ = RemoteError(trace)
    return error


class RemoteError(Exception):
    """Carries the traceback of what another process raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


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


class ResumeError(LldtoolError):
    """What resuming a training fails with, at startup or at its first step."""


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
