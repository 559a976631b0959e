"""A report with one of everything, and the files that it is about."""

from pathlib import Path

import pytest

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity

BASE = """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.65,
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embedding': dict(decay_mult=0.0)}))
"""
CONFIG = """\
_base_ = './_base_/schedule.py'
optim_wrapper = dict(
\tparamwise_cfg=dict(norm_decay_mult=None, bias_decay_mult=0.0, custom_keys={'.größe': \
dict(lr_mult=2), '.嵌入': dict(lr_mult=10.0), '.head': dict(lr_mult=1)}))
"""
NORMS = tuple(
    f"backbone.stages.{stage}.blocks.{block}.norm{norm}.weight"
    for stage in range(4)
    for block in range(2)
    for norm in (1, 2)
)
PACKAGED = "/opt/site-packages/mmpretrain/.mim/configs/_base_/schedules/adamw.py"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, with the configs in it."""
    (tmp_path / "configs" / "_base_").mkdir(parents=True)
    (tmp_path / "configs" / "_base_" / "schedule.py").write_text(BASE, encoding="utf-8")
    for name in "ab":
        (tmp_path / "configs" / f"{name}.py").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return Path.cwd()


@pytest.fixture
def report(here):
    key = Diagnostic(
        "LLD201", "unmatched-key", Severity.error,
        "the custom key '.pos_embedding' matches no parameter; the nearest name is pos_embed",
        entry=("optim_wrapper", "paramwise_cfg", "custom_keys", ".pos_embedding"),
        location=Location(here / "configs/_base_/schedule.py", 8, 13, 8, 29),
        suggestion="'.pos_embed': dict(decay_mult=0.0)",
    )  # fmt: skip
    own = [
        Diagnostic(
            "LLD302", "strange-lr", Severity.warning,
            "a custom key multiplies the lr of 2 tensors by 10, which is the most of all",
            ("head.fc.weight", "head.fc.bias"),
            location=Location(here / "configs/a.py", 3, 104, 3, 109),
            suggestion="custom_keys={\n    '.嵌入': dict(lr_mult=1.0),\n}",
        ),
        Diagnostic(
            "LLD101", "decayed-norm", Severity.error,
            "16 tensors of normalization layers are decayed at 0.05, which the recipes for this "
            "model leave out of weight decay",
            NORMS,
            location=Location(here / "configs/a.py", 3, 21, 3, 36),
            suggestion="norm_decay_mult=0.0,",
        ),
        Diagnostic(
            "LLD406", "many-groups", Severity.info, "152 param groups with 28 distinct settings",
            entry=("optim_wrapper", "constructor"),
        ),
    ]  # fmt: skip
    packaged = Diagnostic(
        "LLD102", "decayed-bias", Severity.warning, "1 bias is decayed at 0.05",
        ("backbone.layers.0.ln1.bias",), location=Location(Path(PACKAGED), 3, 5, 5, 6),
    )  # fmt: skip
    return [
        CheckResult("configs/a.py", (key, *own)),
        CheckResult("configs/b.py", (key, packaged)),
        *(CheckResult(f"configs/heir{n}.py", (key,)) for n in range(3)),
        CheckResult("mmpretrain::mae/x.py", own[2:]),
        CheckResult(
            "configs/z.py",
            error="the model can't be built: SwinTransformer got an unexpected keyword "
            "argument 'archh'",
        ),
        CheckResult("configs/fine.py"),
    ]
