"""Who imports a module: library code or the user's own, and what an import failed for."""

from __future__ import annotations

import importlib
import site
import sys
import sysconfig
from collections.abc import Collection
from pathlib import Path
from types import FrameType, TracebackType

#: A stand-in for one of these would change what the dry run shows.
NEVER = {"torch", "numpy", "mmengine", "mmcv"}
#: Their code counts as library code wherever it is installed; `pip install -e` is the custom.
OPENMMLAB = {"mmengine", "mmcv", "mmpretrain", "mmdet", "mmseg", "mmpose", "mmaction", "mmocr"}
OPENMMLAB |= {"mmdet3d", "mmrotate", "mmyolo", "mmrazor", "mmselfsup", "mmagic", "mmfewshot"}

#: What is no user's code wherever it is.
_NO_USERS = OPENMMLAB | NEVER | {"lldtool", "__main__"}
_DRYRUN_FOLDER = str(Path(__file__).parent)
_INSTALLED = (*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path("purelib"))
#: Where Python and what is installed for it are.
LIBRARIES = (*_INSTALLED, sysconfig.get_path("stdlib"))


def is_importing(frame: FrameType | None) -> bool:
    """Whether the frame runs because a library module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_DRYRUN_FOLDER):
            return False
        if frame.f_code.co_name == "<module>" and frame.f_back is not None:
            return runs_a_module(frame)
        frame = frame.f_back
    return False


def runs_a_module(frame: FrameType) -> bool:
    """Whether the frame is the code of a module that is being imported."""
    if frame.f_code.co_name != "<module>" or frame.f_back is None:
        return False
    return frame.f_back.f_code.co_filename.startswith("<frozen importlib")


def importer(frame: FrameType | None) -> str:
    """The top-level package of the code that an import statement is in."""
    machinery = ("<frozen importlib", importlib.__file__)
    while frame is not None and frame.f_code.co_filename.startswith(machinery):
        frame = frame.f_back
    name = frame.f_globals.get("__name__", "") if frame is not None else ""
    return str(name).partition(".")[0]


def is_library(frame: FrameType) -> bool:
    """Whether the frame runs an installed package's code, or OpenMMLab's wherever it is."""
    top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return top in OPENMMLAB or frame.f_code.co_filename.startswith(_INSTALLED)


def is_library_file(module: str, path: str) -> bool:
    """Whether a module, of this name and file, is Python's own or an installed package's."""
    top = module.partition(".")[0]
    return top in _NO_USERS or path.startswith(LIBRARIES)


def user_modules(known: Collection[str]) -> dict[str, str]:
    """Name -> file of the modules imported beyond the known ones that are no library's."""
    new = [name for name in sys.modules if name not in known]
    files = ((name, getattr(sys.modules[name], "__file__", None)) for name in new)
    return {n: f for n, f in files if isinstance(f, str) and not is_library_file(n, f)}


def missing_module(error: BaseException) -> str | None:
    """The module that library code imports and that is missing, or None."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    importer = importing_frames(error.__traceback__)[-1:]
    if not importer or not is_library(importer[0]):
        return None
    return error.name if may_be_missing(error.name) else None


def may_be_missing(module: str) -> bool:
    """Whether a stand-in for a module changes nothing that the dry run shows."""
    return module not in OPENMMLAB | NEVER


def broken_package(error: BaseException) -> str | None:
    """The installed package that library code imports and that fails to, or None."""
    for frame in importing_frames(error.__traceback__):
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if top not in OPENMMLAB | NEVER and is_library(frame):
            return top
    return None


def importing_frames(traceback: TracebackType | None) -> list[FrameType]:
    """The frames of the traceback that were importing a module, outermost first."""
    frames = []
    while traceback is not None:
        if is_importing(traceback.tb_frame) and traceback.tb_frame.f_code.co_name == "<module>":
            frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames
