"""`lldtool watch`: the table, what changed and the findings, anew whenever a file changes."""

from __future__ import annotations

import importlib.util
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    ColorOption,
    ConfigArgument,
    Device,
    Settings,
    Traceback,
    WorldSize,
    requests,
)
from lldtool.cli.output import Color, use_color
from lldtool.cli.screen import Screen, read_keys
from lldtool.errors import LldtoolError
from lldtool.request import Request
from lldtool.source import saved_plan

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lldtool.checking import Survey
    from lldtool.dryrun.fleet import Fleet
    from lldtool.policy import Policy
    from lldtool.render.watch import State

#: Seconds that a look at the config may take, when the settings do not say.
TIMEOUT = 60.0
#: Looks at a time: a config that hangs must not keep its mended version waiting.
_JOBS = 4
#: How long changes are gathered, in milliseconds: an editor may write a file in several steps.
_STEP, _DEBOUNCE = 15, 100
#: How often files are looked at where the system does not tell of changes, in seconds.
_POLL = 1.0
#: How long a look may take before the page says that there is one, in seconds.
_PATIENCE = 0.4
_MOST_PRINTED = 5

#: What happened: a key was pressed, a look is through, something in a folder changed, …
Event = tuple[str, Any]
#: Path -> what changes when the file does; None where there is none.
Signatures = dict[Path, tuple[int, ...] | None]


def watch(
    config: ConfigArgument,
    settings: Settings = None,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Show the table anew whenever the config changes.

    With what changed and what `lldtool check` finds. Watched are the config and all files that it
    inherits, imports or reads. Ctrl-C or q ends it.
    """
    request = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)(config)
    if request.checkout is not None:
        raise LldtoolError("a revision does not change", config=config)
    if not _has_terminal():
        hint = f"lldtool inspect {config} prints the table once"
        raise LldtoolError("watch needs a terminal that it can draw on", hint=hint)
    with tempfile.TemporaryFile() as printed:
        watcher = _Watcher(request, settings, printed, colored=use_color(color, None))
        try:
            with watcher.screen.shown():
                watcher.run()
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        finally:
            watcher.close()


def _has_terminal() -> bool:
    """Whether stdout is a terminal that can be drawn on, of a system that has such."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    can_draw = os.environ.get("TERM") not in (None, "", "dumb")
    return is_terminal and can_draw and importlib.util.find_spec("termios") is not None


class _Watcher:
    """Looks at the config when a file has changed, and shows what it sees."""

    def __init__(
        self, request: Request, settings: Path | None, printed: IO[bytes], *, colored: bool
    ) -> None:
        from lldtool.render.watch import State

        self.screen = Screen()
        self._request = request
        self._path = request.path.absolute()
        self._settings = settings
        self._printed = printed
        self._colored = colored
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._fleet: Fleet | None = None
        self._folders = _Folders(lambda: self._events.put(("changed", None)))
        self._seen: Signatures = {}
        #: The last look, by its number, and when it began; None when it is through.
        self._look = 0
        self._began: float | None = None
        self._modules: frozenset[Path] = frozenset()
        self._state: State = State(request.name)

    def run(self) -> None:
        """Go on until the user ends it."""
        signal.signal(signal.SIGWINCH, lambda *_: self._events.put(("resized", None)))
        pressed: Callable[[str], None] = lambda key: self._events.put(("key", key))  # noqa: E731
        threading.Thread(target=read_keys, args=(pressed,), daemon=True).start()
        self._look_again()
        while True:
            try:
                event, value = self._events.get(timeout=_POLL if self._began is None else _PATIENCE)
            except queue.Empty:
                event, value = "changed", None
                if self._began is not None and self._state.seconds is not None:
                    self._show(replace(self._state, seconds=None))
            if event == "key":
                if value in ("q", "\x1b"):
                    return
                self.screen.scroll(value)
            elif event == "resized":
                self._show(self._state)
            elif event == "through" and value[0] == self._look:
                self._take(value[1])
            elif event == "changed" and self._has_changed():
                self._look_again()

    def close(self) -> None:
        """End all that was started."""
        self._folders.stop()
        if self._fleet is not None:
            self._fleet.shutdown(wait=False, cancel_futures=True)

    def _look_again(self) -> None:
        """Begin to look at the config, in a process of its own."""
        from lldtool.checking import Survey, check_plan, survey
        from lldtool.dryrun.fleet import Fleet
        from lldtool.policy import load_policy

        self._look += 1
        self._began = time.monotonic()
        self._seen = _signatures(self._seen or [self._path])
        try:
            policy = load_policy(Path.cwd(), self._settings)
            plan = saved_plan(self._request.path, self._request.name)
        except LldtoolError as error:
            self._events.put(("through", (self._look, error)))
            return
        if plan is not None:
            outcome = check_plan(policy, plan, self._request.name)
            seen = (policy, Survey(outcome, plan, files=frozenset([self._path])))
            self._events.put(("through", (self._look, seen)))
            return
        if self._fleet is None:
            self._fleet = Fleet(_JOBS, policy.timeout or TIMEOUT, self._printed.fileno())
        number = self._look
        future = self._fleet.submit(survey, policy, self._request)

        def through(future: Future[Survey]) -> None:
            error = future.exception()
            value = error if error is not None else (policy, future.result())
            self._events.put(("through", (number, value)))

        future.add_done_callback(through)

    def _take(self, seen: BaseException | tuple[Policy, Survey]) -> None:
        """Show what was seen."""
        from lldtool.checking import report_of
        from lldtool.render.watch import Look, last_lines

        now, seconds = time.strftime("%H:%M:%S"), time.monotonic() - (self._began or 0.0)
        self._began = None
        printed = last_lines(self._newly_printed(), _MOST_PRINTED)
        state = replace(self._state, time=now, seconds=seconds, printed=printed)
        if isinstance(seen, BaseException):
            text = seen.without_config() if isinstance(seen, LldtoolError) else repr(seen)
            self._show(replace(state, error=text))
            return
        policy, found = seen
        self._modules = found.modules
        self._watch([*found.files, *found.modules], policy)
        state = replace(state, files=len(found.files | {self._path}))
        if found.plan is None:
            self._show(replace(state, error=found.outcome.error))
            return
        good = Look(now, found.plan, report_of([found.outcome], policy))
        self._show(replace(state, good=good, before=state.good, error=None))

    def _show(self, state: State) -> None:
        from lldtool.render.watch import watch_lines

        self._state = state
        width = max(60, self.screen.size.columns)
        self.screen.show(watch_lines(state, width=width, color=self._colored))

    def _watch(self, files: Iterable[Path], policy: Policy) -> None:
        """Watch these files as well as those that were watched before, the settings too."""
        from lldtool.policy import SETTINGS_FILES

        root = policy.root or Path.cwd()
        new = {*files, *(root / name for name in SETTINGS_FILES)} - self._seen.keys()
        self._seen |= _signatures(new)
        self._folders.watch({path.parent for file in self._seen for path in (file, file.resolve())})

    def _has_changed(self) -> bool:
        """Whether a file is not as it was at the last look; new modules need a new process."""
        now = _signatures(self._seen)
        changed = {path for path in now if now[path] != self._seen[path]}
        if changed & self._modules and self._fleet is not None:
            self._fleet.shutdown(wait=False, cancel_futures=True)
            self._fleet = None
        return bool(changed)

    def _newly_printed(self) -> bytes:
        self._printed.seek(0)
        printed = self._printed.read()
        self._printed.seek(0)
        self._printed.truncate()
        return printed


def _signatures(files: Iterable[Path]) -> Signatures:
    return {file: _signature(file) for file in files}


def _signature(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class _Folders:
    """Tells when something in one of the folders changes; of what is in folders within, nothing."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._watched: set[tuple[Path, int]] = set()
        self._stop = threading.Event()

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these folders, and no others."""
        there = {(folder, folder.stat().st_ino) for folder in folders if folder.is_dir()}
        if there == self._watched:
            return
        self.stop()
        self._watched, self._stop = there, threading.Event()
        arguments = ([folder for folder, _ in there], self._stop)
        threading.Thread(target=self._run, args=arguments, daemon=True).start()

    def stop(self) -> None:
        """Watch nothing any more."""
        self._stop.set()
        self._watched = set()

    def _run(self, folders: list[Path], stop: threading.Event) -> None:
        import watchfiles

        try:
            for _ in watchfiles.watch(
                *folders, watch_filter=None, step=_STEP, debounce=_DEBOUNCE, stop_event=stop,
                recursive=False, raise_interrupt=False,
            ):  # fmt: skip
                self._changed()
        except (OSError, RuntimeError):  # no more watches to be had, a folder is gone
            pass  # files are looked at now and then all the same
