"""How soon `lldtool watch` shows a change: `python bench/watch.py [--runs N]`.

In a terminal of 80 × 50, from the write of the config to the last byte of the frame that shows it,
for ViT-B with the files of mmpretrain; beside it, `lldtool inspect` of the same config.
"""

import argparse
import fcntl
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

SAMPLE = Path(__file__).parent.parent / "sample_configs/vit-base_layer-decay.py"
ROWS, COLUMNS = 50, 80
#: Nothing more comes once nothing has come for so long, in seconds.
QUIET = 0.6
#: The most to wait, in seconds.
MOST = 30


def read_until_quiet(terminal, wanted):
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


def delays(runs):
    """Seconds from each write to the last byte of its frame."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.py")
        shutil.copy(SAMPLE, config)
        text = config.read_text()
        mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        command = [sys.executable, "-m", "lldtool", "watch", str(config)]
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        environment = {**os.environ, "TERM": "xterm-256color"}
        with subprocess.Popen(command, env=environment, **streams) as process:
            os.close(theirs)
            try:
                read_until_quiet(mine, b"All checks passed")
                found = []
                for run in range(runs):
                    rate = f"0.7{run:02}1"
                    began = time.perf_counter()
                    config.write_text(text.replace("0.75", rate))
                    last = read_until_quiet(mine, f"layer_decay_rate {rate}".encode())
                    found.append(last - began)
            finally:
                process.send_signal(signal.SIGINT)
    return found


def main():
    """Print the delays."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    found = delays(runs)
    inspects = []
    for _ in range(3):
        began = time.perf_counter()
        command = [sys.executable, "-m", "lldtool", "inspect", str(SAMPLE)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        inspects.append(time.perf_counter() - began)
    middle, whole = statistics.median(found), statistics.median(inspects)
    bounds = f"{min(found):.2f} to {max(found):.2f}"
    print(f"watch: {middle:.2f} s from the write to the last byte ({bounds})")
    print(f"inspect: {whole:.2f} s, {whole / middle:.1f} x")


if __name__ == "__main__":
    main()
