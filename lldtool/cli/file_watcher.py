"""Which of some files have changed, told when it happens or found by looking."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

#: How long changes are gathered, in milliseconds: an editor may write a file in several steps.
_STEP, _DEBOUNCE = 15, 100
#: What changes when a file does; None where there is no file.
_Signature = tuple[int, ...] | None


class Files:
    """Files as they were when they were last looked at.

    `changed` is called, by another thread, when anything happens in one of their folders.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._seen: dict[Path, _Signature] = {}
        self._folders_seen: dict[Path, _Signature] = {}
        self._folders: set[tuple[Path, int]] = set()
        self._stop = threading.Event()

    def look(self) -> None:
        """Remember how they are now."""
        self._seen = {file: _signature(file) for file in self._seen}

    def follow(self, files: Iterable[Path], since: float) -> None:
        """Look out for these files as well.

        Args:
            files: which.
            since: the time of day, in seconds; a file that was written later counts as changed.
        """
        for file in set(files) - self._seen.keys():
            signature = _signature(file)
            is_late = signature is not None and signature[0] > since * 1e9
            self._seen[file] = () if is_late else signature
        self._watch_folders()

    def changed(self) -> set[Path]:
        """The files that are not as they were."""
        return {file for file, seen in self._seen.items() if _signature(file) != seen}

    def look_at_folders(self) -> None:
        """Remember which files there are now in the folders of these files, by name."""
        self._folders_seen = {folder: _signature(folder) for folder, _ in self._folders}

    def others_have_come(self) -> bool:
        """Whether a file has come to one of the folders, or is gone."""
        return any(_signature(folder) != seen for folder, seen in self._folders_seen.items())

    def stop(self) -> None:
        """Be told of nothing any more."""
        self._stop.set()
        self._folders = set()

    def _watch_folders(self) -> None:
        """Be told of what happens in the folders of the files, and of what links lead to.

        A folder where none of the files ever was is only looked at by `changed`.
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
                self._changed()


def _signature(file: Path) -> _Signature:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
