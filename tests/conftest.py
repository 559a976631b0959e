"""What every test may use."""

import functools
import gc
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from processes import (  # noqa: F401
    ROOT,
    Result,
    SharedServer,
    commit,
    eventually,
    git,
    lldtool_process,
    processes_with,
)

from lldtool.cli import main
from lldtool.config import locate
from lldtool.plan import (
    Constructor,
    Model,
    Optimizer,
    OptimWrapper,
    Parameter,
    Plan,
    UntrainedParameter,
)
from lldtool.workers import calls

# A shell that runs the tests in the background ignores Ctrl-C, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Several tests run at a time; torch would take all cores for each of them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# pyproject.toml names the quick profile, .ci/run the thorough one. Both try the same examples in
# each run: a change is not to fail for what was there before it.
hypothesis.settings.register_profile(
    "quick",
    max_examples=10,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
quick = hypothesis.settings.get_profile("quick")
hypothesis.settings.register_profile("thorough", quick, max_examples=50)
hypothesis.settings.register_profile("long", quick, max_examples=500, derandomize=False)
# For mutants: the first example that fails will do.
hypothesis.settings.register_profile(
    "mutation",
    quick,
    max_examples=20,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)

#: Makes a value of a parametrized test a slow one.
slow = functools.partial(pytest.param, marks=pytest.mark.slow)
SAMPLES = ROOT / "sample_configs"
PLANS = ROOT / "tests" / "output" / "plans"
REFERENCE = Path(__file__).parent / "reference.py"

# A small model with layer decay. `_base_` makes mmengine take an `import os` for what
# it is, in a virtual environment too.
TINY_VIT = """
_base_ = []
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=192))
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75))
"""


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("LINES", "NO_COLOR", "FORCE_COLOR", "LLDTOOL_REAL_IMPORTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run lldtool in this process: cheap, as torch is imported once, for workers as well."""
    monkeypatch.setattr(calls, "Server", SharedServer)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        gc.enable()  # this process lives on
        out, err = capsys.readouterr()
        return Result(ended.value.code or 0, out, err)

    return run


def make_parameter(name="backbone.layers.0.ln1.weight", **changes):
    fields = {
        "name": name,
        "shape": (768,),
        "numel": 768,
        "dtype": "float32",
        "module_type": "LayerNorm",
        "layer_id": 1,
        "lr": 1e-3,
        "lr_scale": 0.5,
        "weight_decay": 0.05,
        "group": 0,
    }
    return Parameter(**fields | changes)


def make_plan(*parameters, **changes):
    fields = {
        "config": "config.py",
        "model": Model("ImageClassifier", "VisionTransformer", 768, 768),
        "optim_wrapper": OptimWrapper("OptimWrapper"),
        "optimizer": Optimizer("AdamW", 2e-3, 0.05),
        "constructor": Constructor("LearningRateDecayOptimWrapperConstructor"),
        "parameters": parameters or (make_parameter(),),
        "lldtool_version": "0.1.0",
    }
    return Plan(**fields | changes)


def with_frozen(plan, is_frozen):
    """The plan where the optimizer is not given some of the parameters."""
    frozen = [p for p in plan.parameters if is_frozen(p)]
    return replace(
        plan,
        parameters=tuple(p for p in plan.parameters if not is_frozen(p)),
        frozen=tuple(UntrainedParameter(p.name, p.shape, p.numel) for p in frozen),
    )


def layer_decay_configs():
    """Every zoo config whose text, or whose base's text, names the constructor."""
    root = locate("mmpretrain::_base_/default_runtime.py").path.parent.parent
    paths = [p for p in root.rglob("*.py") if "_base_" not in p.parts]
    named = {p for p in paths if "LearningRateDecayOptimWrapperConstructor" in p.read_text()}
    heirs = {
        p for p in paths for base in named if base.parent == p.parent and base.name in p.read_text()
    }
    return sorted(str(p.relative_to(root)) for p in named | heirs)


def reference(paths, *options, **process):
    """Path -> name -> [lr, lr_scale, weight_decay, layer_id] as mmengine's own API has it."""
    done = subprocess.run(
        [sys.executable, str(REFERENCE), *options, *map(str, paths)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        **process,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["config"]: answer for answer in answers}


def settings(plan):
    """The same of a plan."""
    return {
        p.name: [*(None if v is None else v.hex() for v in (p.lr, p.lr_scale, p.weight_decay)),
                 p.layer_id]
        for p in plan.parameters
    }  # fmt: skip


def unexplained(plan):
    """The parameters of which some setting has no verified reason."""
    return [
        p.name for p in plan.parameters
        if "constructor" in (p.reason.lr.rule, p.reason.weight_decay.rule)
    ]  # fmt: skip
