"""The pictures of the documentation: `python docs/pictures.py` draws them anew."""

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
#: File -> the command that draws it, less the file's name at the end; or whose output it shows.
PICTURES = {
    "finding.svg": f"check {MIXMIM} --select LLD101",
    "inspect.svg": f"inspect {VIT_B} --save-svg",
    "schedule.svg": f"schedule {VIT_H} --epoch-length 1251 --plot",
    "schedule-dark.svg": f"schedule {VIT_H} --epoch-length 1251 --dark --plot",
}


def draw(name: str, folder: Path) -> Path:
    """Draw one of them in this folder."""
    draws = PICTURES[name].endswith(("--save-svg", "--plot"))
    last = str(folder.absolute() / name) if draws else "--color=always"
    command = [sys.executable, "-m", "lldtool", *PICTURES[name].split(), last]
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, env=environment, cwd=HERE.parent, check=False, text=True
    )
    if done.returncode not in ((0,) if draws else (0, 1)):  # 1: there are findings
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    if not draws:
        picture = terminal_svg(done.stdout, width=80, title="lldtool check")
        (folder / name).write_text(picture, encoding="utf-8")
    return folder / name


if __name__ == "__main__":
    for picture in PICTURES:
        print(draw(picture, HERE))
