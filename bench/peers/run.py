"""Run a script of this directory, with a stub for torchvision if that is not installed.

    python bench/peers/run.py SCRIPT [ARGUMENT...]

The scripts need torchvision only because mmpretrain imports it. The stub is that of the tests.
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
