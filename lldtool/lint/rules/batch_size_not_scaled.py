"""LLD513 batch-size-not-scaled."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example
from lldtool.text import plural, setting

#: Batch sizes that differ by a smaller factor go with the same lr.
_FACTOR = 2
_EPOCHS = {"by_epoch": True, "max_epochs": 40}


class BatchSizeNotScaled(Rule):
    """The lr is meant for another batch size than that of the training, and is not scaled.

    `auto_scale_lr.base_batch_size` is the batch size, over all GPUs, that the config's lr was
    chosen for. mmengine multiplies the lr by the ratio of the two batch sizes only with
    `auto_scale_lr.enable`, or where the script is run with `--auto-scale-lr`. Reported is a
    batch of twice or half the size or further off, with `--world-size` as the number of GPUs; where
    that is not known, a batch on one GPU that is too large alone.

    Enable the scaling. Where the lr was chosen for this batch size, it is `base_batch_size` that is
    wrong, often an inherited one: with the scaling enabled, the lr would be.
    """

    severity = Severity.info
    passes = (
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "train_dataloader": {"batch_size": 32},
                "auto_scale_lr": {"base_batch_size": 256},
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "train_dataloader": {"batch_size": 128},
                "auto_scale_lr": {"base_batch_size": 32, "enable": True},
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "train_dataloader": {"batch_size": 128},
                "auto_scale_lr": {"base_batch_size": 32},
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if the batch is twice or half as large as the lr is meant for."""
        schedule = subject.plan.schedule
        if schedule is None:
            return
        batch, base = schedule.total_batch_size, schedule.base_batch_size
        gpus = schedule.world_size
        if batch is None or base is None:
            return
        with_accumulation = batch * schedule.accumulative_counts
        is_small = gpus is not None and with_accumulation * _FACTOR <= base
        if not is_small and batch < base * _FACTOR:
            return
        where = f"on {plural(gpus, 'GPU')}" if gpus is not None else "on one GPU alone"
        size = with_accumulation if is_small else batch
        yield self.diagnostic(
            f"a batch has {size:,} samples {where}, {setting(size / base, 3)} × "
            f"auto_scale_lr.base_batch_size {base:,}, and the lr is not scaled",
            ("auto_scale_lr", "base_batch_size"),
        )
