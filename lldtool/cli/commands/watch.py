"""`lldtool watch`: the table, the changes and the findings, redrawn when a file changes."""

from __future__ import annotations

import errno
import gc
import importlib.util
import os
import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lldtool.cli.file_watcher import Files
from lldtool.cli.options import ColorOption, ConfigArgument, DryRunOptions, SettingsFile
from lldtool.cli.pager import Screen, read_keys
from lldtool.cli.streams import Color, use_color
from lldtool.config import saved_plan
from lldtool.config.request import Request
from lldtool.config.settings_files import settings_files
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lldtool.dryrun import Capture
    from lldtool.lint.diagnostics import CheckResult
    from lldtool.lint.policy import Policy
    from lldtool.output.watch_screen import State
    from lldtool.workers.pool import Fleet

#: Time limit for a run of the config in seconds, where the settings name none.
TIMEOUT = 60.0
POSITION = 70
#: Runs in parallel: one that is being ended, and the next.
_JOBS = 2
#: Seconds between checks of the files, in case the system reports no changes.
_POLL = 1.0
#: Seconds until the page shows that the config is running.
_PATIENCE = 0.4
#: How much of what a config prints is kept, in bytes (as a pipe holds), and shown, in lines.
_MOST_BYTES, _MOST_PRINTED = 65536, 5

#: The policy, the config as it was run, and the result of checking it.
Seen = tuple["Policy", "Capture", "CheckResult"]
#: What happened, and its value: a key was pressed, a run is done, a folder changed, …
Event = tuple[str, Any]


def watch(
    config: ConfigArgument,
    settings: SettingsFile = None,
    color: ColorOption = Color.auto,
    *,
    run: DryRunOptions,
) -> None:
    """Redraw the table whenever the config changes.

    Also shows what has changed and what `lldtool check` finds. Watches the config and all files
    that it inherits, imports or reads. Press q or Ctrl-C to quit.
    """
    request = run.request(config, with_settings=False)
    if request.checkout is not None:
        raise LldtoolError("a revision does not change", config=config)
    if not _has_terminal():
        hint = f"lldtool inspect {config} prints the table once"
        raise LldtoolError("watch needs a terminal that it can draw on", hint=hint)
    gc.enable()  # it may live for days
    watcher = _Watcher(request, settings, colored=use_color(color, None))
    try:
        with watcher.screen.shown():
            watcher.run()
    except OSError as error:
        if error.errno != errno.EIO:  # the terminal is gone
            raise
        sys.exit(128 + signal.SIGHUP)
    finally:
        watcher.close()


def _has_terminal() -> bool:
    """Return whether stdout is a terminal that can be drawn on."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    can_draw = os.environ.get("TERM") not in (None, "", "dumb")
    return is_terminal and can_draw and importlib.util.find_spec("termios") is not None


class _Watcher:
    """Runs the config when a file has changed, and shows the result."""

    def __init__(self, request: Request, settings: Path | None, *, colored: bool) -> None:
        from lldtool.output.watch_screen import State

        self.screen = Screen()
        self._request = request
        self._settings = settings
        self._colored = colored
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._printed = _Printed()
        self._files = Files(lambda: self._events.put(("changed", None)))
        self._fleet: Fleet | None = None
        self._timeout = TIMEOUT
        #: The number of the last run, its call, and when it began; None when it is done.
        self._look = 0
        self._call: Future[Seen] | None = None
        self._began: float | None = None
        self._modules: frozenset[Path] = frozenset()
        self._state: State = State(request.name)

    def run(self) -> None:
        """Watch until the user quits."""
        for number, event in ((signal.SIGWINCH, "resized"), (signal.SIGTSTP, "stopped")):
            signal.signal(number, lambda *_, event=event: self._events.put((event, None)))
        pressed: Callable[[str], None] = lambda key: self._events.put(("key", key))  # noqa: E731
        threading.Thread(target=read_keys, args=(pressed,), daemon=True).start()
        self._show(self._state)
        self._start_run()
        while True:
            try:
                event, value = self._events.get(timeout=_POLL if self._began is None else _PATIENCE)
            except queue.Empty:
                event, value = "time passed", None
            if event == "key" and value in ("q", ""):
                return
            self._handle(event, value)

    def close(self) -> None:
        """Stop the threads and processes."""
        self._files.stop()
        self._end_fleet()

    def _handle(self, event: str, value: Any) -> None:  # noqa: ANN401
        if event == "key":
            self.screen.scroll(value)
        elif event == "resized":
            self._show(self._state)
        elif event == "stopped":
            self.screen.stop()
        elif event == "through" and value[0] == self._look:
            self._take(value[1])
        elif event in ("changed", "time passed"):
            if self._has_changed() or self._may_be_fixed():
                self._start_run()
            elif self._began is not None and self._state.seconds is not None:
                self._show(replace(self._state, seconds=None))

    def _start_run(self) -> None:
        """Start a run of the config in a separate process, and end the previous one."""
        if self._fleet is not None and self._call is not None:
            self._fleet.end(self._call)
        self._look += 1
        self._began = time.time()
        self._files.follow([self._request.path.absolute()], self._began)
        self._files.remember()
        self._printed.taken()  # by a run that was ended
        number = self._look
        try:
            self._call = call = self._submitted()
        except (LldtoolError, OSError) as error:  # OSError: the working directory is gone
            self._events.put(("through", (number, error)))
            return

        def through(call: Future[Seen]) -> None:
            if not call.cancelled():
                error = call.exception()
                value = error if error is not None else call.result()
                self._events.put(("through", (number, value)))

        call.add_done_callback(through)

    def _submitted(self) -> Future[Seen]:
        """Start a run of the config with the current settings."""
        from concurrent.futures import Future

        from lldtool.dryrun import Capture
        from lldtool.lint.engine import check_plan
        from lldtool.lint.policy import load_policy
        from lldtool.workers.pool import Fleet

        self._files.follow(settings_files(Path.cwd(), self._settings), self._began or 0.0)
        policy, name = load_policy(Path.cwd(), self._settings), self._request.name
        plan = saved_plan(self._request.path, name)
        if plan is not None:
            done: Future[Seen] = Future()
            result = check_plan(policy, plan, name)
            done.set_result((policy, Capture(self._request, plan), result))
            return done
        timeout = policy.timeout or TIMEOUT
        if self._fleet is None or timeout != self._timeout:
            self._end_fleet()
            self._timeout = timeout
            self._fleet = Fleet(_JOBS, timeout, self._printed.descriptor)
        return self._fleet.submit(_looked_at, policy, self._request)

    def _take(self, seen: BaseException | Seen) -> None:
        """Show the result of a run."""
        from lldtool.lint.engine import final_results
        from lldtool.output.watch_screen import Look, last_lines

        now, began, self._began, self._call = time.time(), self._began or 0.0, None, None
        state = replace(
            self._state,
            time=time.strftime("%H:%M:%S"),
            seconds=now - began,
            printed=last_lines(self._printed.taken(), _MOST_PRINTED),
        )
        if isinstance(seen, BaseException):
            text = str(seen)
            if isinstance(seen, LldtoolError) and seen.config == self._request.name:
                text = seen.without_config()
            self._show_error(state, text or type(seen).__name__)
            return
        policy, found, checked = seen
        self._modules = found.modules
        self._files.follow([*found.files, *found.modules], began)
        state = replace(state, files=len(found.files | {self._request.path.absolute()}))
        if found.plan is None:
            self._show_error(state, checked.error or "no plan")
            return
        (result,) = final_results([checked], policy)
        good = Look(state.time, found.plan, result)
        self._show(replace(state, good=good, before=state.good, error=None), from_top=True)

    def _show_error(self, state: State, error: str) -> None:
        self._files.remember_folders()
        self._show(replace(state, error=error))

    def _show(self, state: State, *, from_top: bool = False) -> None:
        from lldtool.output.watch_screen import watch_lines

        self._state = state
        lines = watch_lines(state, width=self.screen.size.columns, color=self._colored)
        self.screen.show(lines, from_top=from_top)

    def _has_changed(self) -> bool:
        """Return whether a file has changed; a changed module needs a new process."""
        changed = self._files.changed()
        if changed & self._modules:
            self._end_fleet()
        return bool(changed)

    def _may_be_fixed(self) -> bool:
        """Return whether a file that was missing may have been added."""
        is_broken = self._state.error is not None and self._began is None
        return is_broken and self._files.folders_changed()

    def _end_fleet(self) -> None:
        if self._fleet is not None:
            self._fleet.shutdown(wait=False, cancel_futures=True)
        self._fleet = self._call = None


def _looked_at(policy: Policy, request: Request) -> Seen:
    """Run and check the config."""
    from lldtool.dryrun import Want
    from lldtool.lint.engine import capture_and_check

    return policy, *capture_and_check(policy, request, Want(files=True))


class _Printed:
    """Collects the end of what the config's code prints."""

    def __init__(self) -> None:
        self._reader, self.descriptor = os.pipe()
        self._kept = b""
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def taken(self) -> bytes:
        """Return the end of what was printed since the last call."""
        with self._lock:
            self._keep()
            kept, self._kept = self._kept, b""
        return kept

    def _read(self) -> None:
        while select.select([self._reader], [], []):
            with self._lock:
                self._keep()

    def _keep(self) -> None:
        """Keep the end of what is in the pipe, which holds no more than is read at once."""
        if select.select([self._reader], [], [], 0)[0]:
            self._kept = (self._kept + os.read(self._reader, _MOST_BYTES))[-_MOST_BYTES:]
