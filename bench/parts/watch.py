"""How soon `lldtool watch` shows an edit: from saving the config to the last byte of the frame."""

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

from measure import IMPORT_TORCH, Benchmark, Sample, lldtool

CONFIG = Path(__file__).parents[2] / "sample_configs/vit-base_layer-decay.py"
ROWS, COLUMNS = 50, 80
#: A frame is complete after this many seconds without output.
QUIET = 0.6
#: The longest time to wait for a frame, in seconds.
TIMEOUT = 30


@contextlib.contextmanager
def _cases():
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
    """Start `watch`, wait for its first frame, and provide its terminal."""
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
    """Read until the output has the wanted bytes and stops; return the time of the last byte."""
    seen, began = b"", time.perf_counter()
    last = began
    while wanted not in seen or time.perf_counter() - last < QUIET:
        if time.perf_counter() - began > TIMEOUT:
            raise SystemExit(f"waited {TIMEOUT} s for {wanted!r}, saw {seen[-500:]!r}")
        ready, _, _ = select.select([terminal], [], [], QUIET / 4)
        if ready:
            seen += os.read(terminal, 65536)
            last = time.perf_counter()
    return last


def _answer(results):
    seconds = results.seconds("watch ViT-B, from save to frame")
    faster = results.ratio("inspect ViT-B", "watch ViT-B, from save to frame")
    return (
        f"An edit is on the screen {seconds:.2f} s after it was saved. A new `inspect` takes "
        f"{faster:.1f} × as long, because `watch` keeps the imports in a warm process."
    )


WATCH = Benchmark("watch", "How soon does `watch` show an edit?", _cases, _answer, rounds=10)
