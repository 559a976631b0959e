"""Errors for the lack of something that this machine or this dry run does not have."""

from __future__ import annotations

import re
import traceback

from lldtool.dryrun.import_frames import importing_frames
from lldtool.dryrun.isolation import NetworkBlockedError
from lldtool.dryrun.registries import chain
from lldtool.dryrun.stubs import current_stubs, stubbed_module

#: What torch and its kin say where there is no GPU.
_NO_GPU = re.compile(
    r"not compiled with CUDA|NVIDIA driver|No CUDA GPUs|CUDA is not available|"
    r"torch\.cuda\.is_available\(\) is False",
    re.IGNORECASE,
)


def missing_resource(error: BaseException | None) -> str | None:
    """What the code needs that raised this, and that is not here; None where it is here.

    The innermost frame tells whether its code used a stub.
    """
    for one in chain(error):
        if isinstance(one, NetworkBlockedError):
            return "needs the network"
        if _NO_GPU.search(str(one)):
            return "needs a GPU"
        if isinstance(one, ModuleNotFoundError) and importing_frames(one.__traceback__):
            return f"needs the package {one.name!r}, which is not installed"
    stubs = current_stubs()
    frames = list(traceback.walk_tb(error.__traceback__)) if error is not None else []
    for frame, _ in frames[-1:]:
        named = [frame.f_globals.get(name) for name in frame.f_code.co_names]
        for value in (*named, *frame.f_locals.values()):
            module = stubbed_module(value)
            state = stubs.unusable.get(stubs.covering(module or "") or "")
            if state is not None:
                return f"needs {module}, which {state}"
    return None
