"""`lldtool resume`: what training uses once it is resumed from a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lldtool.cli.load_plans import require_resumable
from lldtool.cli.options import (
    ConfigArgument,
    DryRunOptions,
    LengthOptions,
    OutputOptions,
    argument,
    format_option,
)
from lldtool.cli.progress import Bar
from lldtool.config import last_checkpoint
from lldtool.errors import LldtoolError

POSITION = 55


def resume(
    config: ConfigArgument,
    checkpoint: Annotated[str, argument(
        metavar="CHECKPOINT", help="Checkpoint that training is resumed from.",
    )],
    *,
    training: LengthOptions,
    form: Annotated[str, format_option("table", "json")] = "table",
    output: OutputOptions,
    run: DryRunOptions,
) -> None:  # fmt: skip
    """Show what training uses after it is resumed from a checkpoint.

    Runs mmengine's own resume on the config's optimizer and schedulers, without reading a tensor.
    Shows which settings come from the checkpoint, which changes of the config have no effect, what
    is silently accepted, and every lr from there to the end. Exit code 0: nothing to report,
    1: a change without effect, or something silently accepted, 2: it can't be resumed.
    """
    if run.load_from is not None:
        raise typer.BadParameter("CHECKPOINT and --load-from exclude each other")
    request = run.request(config, training.length)
    require_resumable(request)
    file = Path(checkpoint).expanduser()
    file = last_checkpoint(file) or file
    if not file.is_file():
        raise LldtoolError("no such file", config=checkpoint)
    output.check(request.path, file)
    from lldtool.dryrun import resume as resumed

    request = replace(request, resume=checkpoint if file == Path(checkpoint) else str(file))
    found = resumed(request, progress=Bar("stepping the schedulers"))
    if form == "json":
        from lldtool.output.resume_document import resume_json

        text = resume_json(found)
    else:
        from lldtool.output.resume_document import resume_document

        text = output.laid_out(resume_document(found), form)
    output.emit(text)
    raise typer.Exit(1 if found.without_effect or found.problems else 0)
