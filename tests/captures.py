"""What tests ask of a capture."""

from dataclasses import replace

from lldtool.analysis.keys import keys_of
from lldtool.dryrun import Want, capture


def dry_run_schedule(request, length, progress=None, **want):
    """The schedule of a training of this length."""
    request = replace(request, length=length)
    want = Want(steps=True, reasons=False, **want)
    return capture(request, want, progress=progress).required_schedule


def dry_run_keys(request):
    """The plan, and the entries of `paramwise_cfg` with their effects."""
    found = capture(request, Want(effects="all"))
    plan, effects = found.required_plan, found.effects.removed
    return plan, [replace(key, effect=effects[key.path]) for key in keys_of(plan)]
