"""Which of the watched files have changed: notified by watchfiles, decided by comparing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

#: How long changes are gathered, in milliseconds: an editor may write a file in several steps.
_STEP, _DEBOUNCE = 15, 100
#: Changes when a file does; None for a file that does not exist.
_Signature = tuple[int, ...] | None


class Files:
    """The watched files, as they were at the last `remember`.

    `notify` is called, by another thread, when anything happens in one of their folders.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._seen: dict[Path, _Signature] = {}
        self._folders_seen: dict[Path, _Signature] = {}
        self._folders: set[tuple[Path, int]] = set()
        self._stop = threading.Event()

    def remember(self) -> None:
        """Record the current state of the files."""
        self._seen = {file: _signature(file) for file in self._seen}

    def follow(self, files: Iterable[Path], since: float) -> None:
        """Watch these files as well.

        Args:
            files: the files to add.
            since: a time in seconds since the epoch; a file written later counts as changed.
        """
        for file in set(files) - self._seen.keys():
            signature = _signature(file)
            is_late = signature is not None and signature[0] > since * 1e9
            self._seen[file] = () if is_late else signature
        self._watch_folders()

    def changed(self) -> set[Path]:
        """Return the files that differ from their recorded state."""
        return {file for file, seen in self._seen.items() if _signature(file) != seen}

    def remember_folders(self) -> None:
        """Record which files exist in the folders of the watched files."""
        self._folders_seen = {folder: _signature(folder) for folder, _ in self._folders}

    def folders_changed(self) -> bool:
        """Return whether a file was added to or removed from one of the folders."""
        return any(_signature(folder) != seen for folder, seen in self._folders_seen.items())

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._folders = set()

    def _watch_folders(self) -> None:
        """Watch the folders of the files and of the targets of links.

        Folders that never had one of the files are not watched; `changed` still checks them.
        """
        files = [file for file, seen in self._seen.items() if seen is not None]
        found = {path.parent for file in files for path in (file, file.resolve())}
        found |= {folder for folder, _ in self._folders}
        there = set()
        for folder in found:
            with contextlib.suppress(OSError):
                there.add((folder, folder.stat().st_ino))
        if there != self._folders:
            self.stop()
            self._folders, self._stop = there, threading.Event()
            arguments = ([folder for folder, _ in there], self._stop)
            threading.Thread(target=self._run, args=arguments, daemon=True).start()

    def _run(self, folders: list[Path], stop: threading.Event) -> None:
        import watchfiles

        with contextlib.suppress(OSError, RuntimeError):  # no more watches; a folder is gone
            for _ in watchfiles.watch(
                *folders, watch_filter=None, step=_STEP, debounce=_DEBOUNCE, stop_event=stop,
                recursive=False, raise_interrupt=False,
            ):  # fmt: skip
                self._notify()


def _signature(file: Path) -> _Signature:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
