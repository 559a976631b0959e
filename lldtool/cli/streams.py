"""Writing results to stdout or a file, and notes to stderr; what the terminal can show."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from enum import Enum
from pathlib import Path

from lldtool.errors import LldtoolError
from lldtool.text import printable, to_encoding


class Color(str, Enum):
    """When to use colour."""

    auto = "auto"
    always = "always"
    never = "never"


def use_color(choice: Color, output: Path | None) -> bool:
    """Return whether to use colour: on a terminal, unless the user or the environment says else.

    NO_COLOR (https://no-color.org) and FORCE_COLOR count if they are not empty.
    """
    if choice is not Color.auto:
        return choice is Color.always
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return output is None and terminal and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Return the number of columns to use: COLUMNS, else the terminal's, else 80; at least 60."""
    return max(60, shutil.get_terminal_size((80, 24)).columns)


def check_writable(output: Path | None, *input_files: Path, option: str = "--output") -> None:
    """Check, before the work is done, that a file can be written and is not an input.

    Raises:
        LldtoolError: the file can't be written, or is an input.
    """
    if output is None:
        return
    name = option if "=" in option else f"{option} {output}"
    try:
        if output.is_dir():
            raise LldtoolError("is a directory", config=name)
        if output.exists() and any(f.exists() and output.samefile(f) for f in input_files):
            raise LldtoolError("is the config itself", config=name)
        target = output if output.exists() else output.absolute().parent
        with contextlib.suppress(FileNotFoundError):
            output.stat()  # raises for links that lead in a circle
        if not target.exists():
            raise LldtoolError("no such directory", config=name)
        if not os.access(target, os.W_OK):
            raise LldtoolError("permission denied", config=name)
    except (OSError, ValueError) as error:  # a name too long
        raise LldtoolError(getattr(error, "strerror", None) or str(error), config=name) from error


def emit(text: str, output: Path | None, *, utf8: bool = False) -> None:
    """Write the result to a file, or to stdout if `output` is None.

    A closed pipe, as of `| head`, is not an error. With `utf8`, stdout gets UTF-8 whatever its
    encoding is, as an HTML page declares its own.

    Raises:
        LldtoolError: the file can't be written.
    """
    if output is not None:
        write_whole(output, text.encode("utf-8", "backslashreplace"))
        return
    if sys.stdout is None:
        raise LldtoolError("stdout is closed", hint="use --output FILE")
    try:
        if utf8 and hasattr(sys.stdout, "buffer"):
            sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        else:
            sys.stdout.write(to_encoding(text, sys.stdout.encoding or "utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        # Nothing more can be written; the interpreter's last flush must not say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise LldtoolError(f"can't write to stdout: {error.strerror}") from error


def write_whole(path: Path, data: bytes, *, option: str = "--output") -> None:
    """Write a file atomically.

    Args:
        path: the file.
        data: its new content.
        option: the option that named it, for the error.

    Raises:
        LldtoolError: the file can't be written.
    """
    try:
        _write_whole(path, data)
    except OSError as error:
        raise LldtoolError(f"{error.strerror}", config=f"{option} {path}") from error


def _write_whole(path: Path, data: bytes) -> None:
    if str(path).startswith(("/dev/", "/proc/")):  # /dev/stdout may be a file, with more in it
        with path.open("ab") as stream:
            stream.write(data)
        return
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):  # /dev/stdout, a pipe
        path.write_bytes(data)
        return
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def say(line: str) -> None:
    """Write one line to stderr, with what it can't show escaped."""
    if sys.stderr is not None:
        text = printable(" ".join(line.split("\n")))
        with contextlib.suppress(OSError):  # it is full, or nobody reads it any more
            sys.stderr.write(f"{to_encoding(text, sys.stderr.encoding or 'utf-8')}\n")
            sys.stderr.flush()
