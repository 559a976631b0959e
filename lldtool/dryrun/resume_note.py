"""A config that resumes -> the line that says from where."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from lldtool.checkpoint import read_checkpoint
from lldtool.checkpoint.plans import step_of
from lldtool.config import last_checkpoint
from lldtool.config.request import Request
from lldtool.dryrun.loading import find_file
from lldtool.errors import LldtoolError
from lldtool.text import quoted


def resume_note(config: Any, request: Request) -> str | None:
    """Return a note on a checkpoint that `resume` of the config goes on from, if it is there."""
    if not config.get("resume", False) or request.resume is not None:
        return None
    with contextlib.suppress(LldtoolError, OSError, ValueError):
        named = request.load_from or config.get("load_from", None) or _newest(config, request)
        path = find_file(str(named), request.checkout) if named else None
        if path is not None:
            step = step_of(read_checkpoint(path))
            return (
                f"training is resumed from {quoted(str(named))}, {step}, with the lrs that it has: "
                f"lldtool resume {request.name} {named}"
            )
    return None


def _newest(config: Any, request: Request) -> Path | None:
    """Return the last checkpoint of the config's work_dir, by default that of `tools/train.py`."""
    folder = config.get("work_dir", None) or f"work_dirs/{request.path.stem}"
    return last_checkpoint(Path(str(folder)))
