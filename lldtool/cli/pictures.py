"""`--plot FILE`: a picture beside the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lldtool.cli.output import check_writable, write_whole
from lldtool.errors import LldtoolError

_OPTION = "--plot"
_FORMS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Plot:
    """Where a picture goes, if there is to be one."""

    file: Path | None = None
    dark: bool = False

    def check(self, output: Path | None, *input_files: Path) -> None:
        """Fail before the work rather than after it.

        Raises:
            LldtoolError: the picture can't be written.
        """
        if self.file is None:
            if self.dark:
                raise LldtoolError(f"--dark is about the picture of {_OPTION} FILE")
            return
        if _form(self.file) not in _FORMS:
            kinds = ", ".join(f".{form}" for form in _FORMS)
            raise LldtoolError(f"{_OPTION} {self.file}: its name ends in none of {kinds}")
        check_writable(self.file, *input_files, option=_OPTION)
        if output is not None and output.resolve() == self.file.resolve():
            raise LldtoolError(f"--output and {_OPTION} would both go to one file")

    def draw(self, picture: Callable[[str, bool], bytes]) -> None:
        """Write the picture, which is given its form and whether it is to be dark.

        Raises:
            LldtoolError: it can't be written.
        """
        if self.file is not None:
            write_whole(self.file, picture(_form(self.file), self.dark), option=_OPTION)


def _form(file: Path) -> str:
    return file.suffix.lower().removeprefix(".")
