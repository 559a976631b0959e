"""Draw the pictures of the documentation: `python docs/pictures.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lldtool.output.screenshot import terminal_svg

HERE = Path(__file__).parent
VIT_B = "mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py"
MIXMIM = "mmpretrain::mixmim/benchmarks/mixmim-base_8xb128-coslr-100e_in1k.py"
VIT_H = "mmpretrain::mae/benchmarks/vit-huge-p14_8xb128-coslr-50e_in1k.py"
#: The command that draws each picture, without the file name at its end, or whose output it shows.
PICTURES = {
    "finding.svg": f"check {MIXMIM} --select LLD101",
    "inspect.svg": f"inspect {VIT_B} --save-svg",
    "schedule.svg": f"schedule {VIT_H} --epoch-length 1251 --plot",
    "schedule-dark.svg": f"schedule {VIT_H} --epoch-length 1251 --dark --plot",
}


def draw(name: str, folder: Path) -> Path:
    """Draw a picture in a directory, and return its path."""
    picture = folder.absolute() / name
    writes_it = PICTURES[name].endswith(("--save-svg", "--plot"))
    last = str(picture) if writes_it else "--color=always"
    command = [sys.executable, "-m", "lldtool", *PICTURES[name].split(), last]
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, env=environment, cwd=HERE.parent, check=False, text=True
    )
    if done.returncode not in ((0,) if writes_it else (0, 1)):  # 1: there are findings
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    if not writes_it:
        svg = terminal_svg(done.stdout, width=80, title="lldtool check")
        picture.write_text(svg, encoding="utf-8")
    return picture


if __name__ == "__main__":
    for name in PICTURES:
        print(draw(name, HERE))
