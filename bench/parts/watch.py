"""How soon `lldtool watch` shows a change: from the write of a config to the frame's last byte."""

import contextlib
import fcntl
import itertools
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from measure import IMPORT_TORCH, Part, Sample, lldtool

CONFIG = Path(__file__).parents[2] / "sample_configs/vit-base_layer-decay.py"
ROWS, COLUMNS = 50, 80
#: Nothing more comes once nothing has come for so long, in seconds.
QUIET = 0.6
#: The most to wait, in seconds.
MOST = 30


@contextlib.contextmanager
def _things():
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.py")
        shutil.copy(CONFIG, config)
        text, numbers = config.read_text(), itertools.count(100)
        with _watching(config) as terminal:

            def edit():
                rate = f"0.7{next(numbers)}1"
                began = time.perf_counter()
                config.write_text(text.replace("0.75", rate))
                last = _read_until_quiet(terminal, f"layer_decay_rate {rate}".encode())
                return Sample(last - began)

            yield {
                "import torch": IMPORT_TORCH,
                "inspect ViT-B": lldtool("inspect", CONFIG),
                "watch ViT-B, from save to frame": edit,
            }


@contextlib.contextmanager
def _watching(config):
    """The terminal of a `watch` that has shown its first frame."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "lldtool", "watch", str(config)]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, env=environment, **streams) as process:
        os.close(theirs)
        try:
            _read_until_quiet(mine, b"All checks passed")
            yield mine
        finally:
            process.terminate()  # Ctrl-C is ignored in the background of a shell


def _read_until_quiet(terminal, wanted):
    """Read until something was seen and nothing has come for a while; when the last byte came."""
    seen, began = b"", time.perf_counter()
    last = began
    while wanted not in seen or time.perf_counter() - last < QUIET:
        if time.perf_counter() - began > MOST:
            raise SystemExit(f"waited {MOST} s for {wanted!r}, saw {seen[-500:]!r}")
        ready, _, _ = select.select([terminal], [], [], QUIET / 4)
        if ready:
            seen += os.read(terminal, 65536)
            last = time.perf_counter()
    return last


def _answer(figures):
    seconds = figures.seconds("watch ViT-B, from save to frame")
    faster = figures.ratio("inspect ViT-B", "watch ViT-B, from save to frame")
    return (
        f"An edit is on the screen {seconds:.2f} s after it was saved, {faster:.1f} × as soon as a "
        "new `inspect` would have it: the imports stay in one warm process."
    )


WATCH = Part("watch", "How soon does `watch` show an edit?", _things, _answer, rounds=10)
