"""Runs a peer's script, which needs torchvision only because mmpretrain imports it.

    python bench/peers/run.py SCRIPT [ARGUMENT...]

Where torchvision is not installed, what the tests' reference has stands in for it.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

if importlib.util.find_spec("torchvision") is None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    import reference

    reference.FAKED = ("torchvision",)
    reference.fake_packages()

del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
