"""A full-screen pager: text on the whole terminal, scrolled with keys."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

#: Alternate screen, hidden cursor, no line wrapping: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
#: Synchronised output, on terminals that support it:
#: https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_HOME, _REST_OF_LINE = "\x1b[H", "\x1b[K"
#: Key -> by how many screens it scrolls, and by how many lines.
_SCROLLS = {
    **dict.fromkeys(("k", "\x1b[A", "\x1bOA"), (0, -1)),
    **dict.fromkeys(("j", "\x1b[B", "\x1bOB"), (0, 1)),
    **dict.fromkeys(("b", "\x1b[5~"), (-1, 0)),
    **dict.fromkeys((" ", "\x1b[6~"), (1, 0)),
    **dict.fromkeys(("g", "\x1b[H", "\x1bOH", "\x1b[1~"), (-1000, 0)),
    **dict.fromkeys(("G", "\x1b[F", "\x1bOF", "\x1b[4~"), (1000, 0)),
}
#: One key of several that are read at once; and an incomplete one at their end.
_KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO.|.", re.DOTALL)
_UNFINISHED = re.compile(r"\x1b(\[[0-9;]*|O)?$")


@dataclass
class Screen:
    """Shows `lines` on the terminal, from the line `top` on.

    `lines` may have escape sequences for colour, and are at most as wide as the terminal.
    """

    lines: Sequence[str] = ()
    top: int = 0
    _settings: list[object] | None = field(default=None, init=False)

    @property
    def size(self) -> os.terminal_size:
        """The columns and lines of the terminal as it is now, whatever COLUMNS and LINES say."""
        size = os.get_terminal_size(sys.stdout.fileno())
        return size if size.columns and size.lines else os.terminal_size((80, 24))

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Take over the terminal, and restore it at the end."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def show(self, lines: Sequence[str], *, from_top: bool = True) -> None:
        """Show other lines, from the first or at the same position."""
        self.lines, self.top = lines, 0 if from_top else self.top
        self.draw()

    def draw(self) -> None:
        """Draw the lines that fit, and a status line."""
        room = max(1, self.size.lines - 1)
        self.top = max(0, min(self.top, len(self.lines) - room))
        shown = [*self.lines[self.top : self.top + room]]
        shown += [""] * (room - len(shown))
        shown.append(self._last_line(room))
        # Each line is erased before it is written: after one as wide as the terminal the cursor is
        # still on its last character.
        text = "\n".join(f"{_REST_OF_LINE}{line}" for line in shown)
        _write(f"{_BEGIN}{_HOME}{text}{_END}")

    def scroll(self, key: str) -> None:
        """Scroll as a key says; other keys are ignored."""
        screens, lines = _SCROLLS.get(key, (0, 0))
        self.top += screens * max(1, self.size.lines - 2) + lines
        if screens or lines:
            self.draw()

    def _last_line(self, room: int) -> str:
        last = min(self.top + room, len(self.lines))
        text = "q ends it"
        more = f"lines {self.top + 1}–{last} of {len(self.lines)} · ↑ ↓ space b scroll · {text}"
        if len(self.lines) > room and len(more) <= self.size.columns:
            text = more
        return f"\x1b[2m{text}\x1b[0m"

    def _enter(self) -> None:
        import termios
        import tty

        if sys.stdin is not None and sys.stdin.isatty():
            self._settings = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        _write(_ENTER)

    def _leave(self) -> None:
        import termios

        _write(_LEAVE)
        if self._settings is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._settings)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Suspend the process, as Ctrl-Z does, with the terminal restored until it continues."""
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._enter()
        self.draw()


def read_keys(pressed: Callable[[str], None]) -> None:
    """Call the function with each key pressed, such as `j` or the escape sequence of `↓`.

    It is called with an empty string when the terminal is gone.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return
    rest = ""
    with contextlib.suppress(OSError):
        while read := os.read(sys.stdin.fileno(), 64):
            keys, rest = whole_keys(rest + read.decode(errors="replace"))
            for key in keys:
                pressed(key)
    pressed("")


def whole_keys(read: str) -> tuple[list[str], str]:
    """Split what was read into keys and the incomplete key at its end."""
    unfinished = _UNFINISHED.search(read)
    end = len(read) if unfinished is None else unfinished.start()
    return _KEY.findall(read[:end]), read[end:]


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
