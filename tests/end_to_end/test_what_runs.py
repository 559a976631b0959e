"""What runs of each input that SECURITY.md lists: every row of its table has its test here."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from conftest import PLANS, ROOT, SAMPLES, TINY_VIT, commit, git, lldtool_process

PLAN = PLANS / "resnet50_lr-mult.json"
#: Ends Python code: says that it ran.
TRAP = "\n__import__('pathlib').Path({name!r}).touch()\n"
ROWS = [
    line.split("|")[1].strip()
    for line in (ROOT / "SECURITY.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("|--", "| input"))
]
TESTS = {}


def runs_of(row):
    """Make a function the test of a row."""

    def register(test):
        TESTS[row] = test
        return test

    return register


@pytest.fixture
def inputs(tmp_path):
    """Writes files, runs lldtool beside them, and tells what ran."""
    return Inputs(tmp_path)


class Inputs:
    def __init__(self, folder):
        self.folder = folder

    def trap(self, name):
        return TRAP.format(name=str(self.folder / f"ran-{name}"))

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def run(self, *arguments, code=0, **process):
        done = lldtool_process(*arguments, cwd=self.folder, **process)
        assert done.code == code, done.err
        return done

    @property
    def ran(self):
        return {path.name.removeprefix("ran-") for path in self.folder.glob("ran-*")}


def test_every_row_has_a_test():
    assert [*TESTS] == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_what_runs(row, inputs):
    TESTS[row](inputs)


class Opened:
    """A pickle that touches a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@runs_of("a Python config and its bases")
def _python(inputs):
    inputs.write("base.py", TINY_VIT + inputs.trap("base"))
    inputs.write("config.py", "_base_ = 'base.py'" + inputs.trap("config"))
    inputs.run("inspect", "config.py")
    assert inputs.ran == {"base", "config"}


@runs_of("a JSON or YAML config and its bases")
def _data(inputs):
    tag = f"!!python/object/apply:os.system ['touch {inputs.folder}/ran-tag']"
    inputs.write("base.yaml", f"model: {tag}\n")
    inputs.write("config.yaml", "_base_: base.yaml\n")
    inputs.write("config.json", json.dumps({"_base_": "base.yaml"}))
    for name in ("config.yaml", "config.json"):
        assert "in base.yaml line 1 is refused" in inputs.run("inspect", name, code=2).err
    inputs.write("named.py", inputs.trap("named"))
    inputs.write("names.json", json.dumps({"custom_imports": {"imports": ["named"]}}))
    assert "no model in the config" in inputs.run("inspect", "names.json", code=2).err
    assert inputs.ran == {"named"}


CLASSES = """
import functools

import torch
from mmengine.evaluator import Evaluator
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import (DATASETS, EVALUATOR, MODELS, OPTIMIZERS,
                               OPTIM_WRAPPER_CONSTRUCTORS, VISUALIZERS)
from mmpretrain.models import ImageClassifier

def register(registry, parent):
    @functools.wraps(parent.__init__)
    def init(self, *args, **kwargs):
        open(FOLDER + '/ran-' + registry.name, 'w').close()
        parent.__init__(self, *args, **kwargs)
    name = 'Trap' + registry.name.title().replace(' ', '')
    registry.register_module(name=name)(type(name, (parent,), {'__init__': init}))

for registry, parent in {
    DATASETS: object, EVALUATOR: Evaluator, VISUALIZERS: object, MODELS: ImageClassifier,
    OPTIMIZERS: torch.optim.AdamW, OPTIM_WRAPPER_CONSTRUCTORS: DefaultOptimWrapperConstructor,
}.items():
    register(registry, parent)
"""
NAMING = """
custom_imports = dict(imports=['classes'])
model['type'] = 'mmengine.TrapModel'
optim_wrapper['optimizer']['type'] = 'mmengine.TrapOptimizer'
optim_wrapper['constructor'] = 'mmengine.TrapOptimizerWrapperConstructor'
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(type='mmengine.TrapDataset'))
val_evaluator = dict(type='mmengine.TrapEvaluator')
visualizer = dict(type='mmengine.TrapVisualizer')
"""


@runs_of("what a config names: modules to import, model, optimizer, constructor")
def _named(inputs):
    inputs.write("classes.py", CLASSES.replace("FOLDER", repr(str(inputs.folder))))
    inputs.write("config.py", TINY_VIT + NAMING)
    inputs.run("inspect", "config.py")
    assert inputs.ran >= {"model", "optimizer", "optimizer wrapper constructor"}


@runs_of("what a config names: data sets, evaluators, visualizers")
def _not_built(inputs):
    _named(inputs)
    inputs.run("schedule", "config.py", "--epochs", 2, "--epoch-length", 2)
    assert inputs.ran == {"model", "optimizer", "optimizer wrapper constructor"}


@runs_of("checkpoints (`load_from`, `init_cfg`, `--load-from`)")
def _checkpoints(inputs):
    opened = {"state_dict": {}, "opened": Opened(inputs.folder / "ran-checkpoint")}
    inputs.write("pickle.pth", pickle.dumps(opened))
    torch.save(opened, inputs.folder / "zip.pth")
    for name in ("pickle.pth", "zip.pth"):
        named = f"""
load_from = {str(inputs.folder / name)!r}
model['init_cfg'] = dict(type='Pretrained', checkpoint=load_from)
model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=load_from)
"""
        inputs.write("config.py", TINY_VIT + named)
        inputs.run("inspect", "config.py")
        inputs.run("check", "config.py", code=1)
    inputs.run("inspect", "config.py", "--load-from", inputs.folder / "zip.pth")
    inputs.run("inspect", "config.py", "--load-from", inputs.folder / "pickle.pth", code=2)
    assert inputs.ran == set()


@runs_of("a checkpoint given as CONFIG")
def _checkpoint_as_config(inputs):
    config = TINY_VIT.replace("_base_ = []\n", "")
    opened = {"opened": Opened(inputs.folder / "ran-checkpoint"), "state_dict": {}}
    for name, more in (("plain", ""), ("code", inputs.trap("config"))):
        meta = {"epoch": 1, "iter": 2, "cfg": config + more}
        torch.save({**opened, "meta": meta}, inputs.folder / f"{name}.pth")
        inputs.run("inspect", f"{name}.pth")
        inputs.run("explain", f"{name}.pth")
        inputs.run("check", f"{name}.pth", code=2)
    inputs.write("pickle.pth", pickle.dumps(opened))
    inputs.run("inspect", "pickle.pth", code=2)
    assert inputs.ran == set()


@runs_of("the checkpoint of `lldtool resume`")
def _resumed(inputs):
    content = torch.load(SAMPLES / "checkpoints" / "vit-base_epoch_100.pth", weights_only=False)
    content["meta"] |= {"cfg": inputs.trap("cfg"), "config": inputs.trap("config")}
    content["opened"] = Opened(inputs.folder / "ran-checkpoint")
    torch.save(content, inputs.folder / "epoch.pth")
    inputs.run("resume", SAMPLES / "vit-base_layer-decay.py", "epoch.pth")
    assert inputs.ran == set()


@runs_of("`package::config.py`")
def _package(inputs):
    inputs.write("pack/__init__.py", inputs.trap("package"))
    inputs.write("pack/named.py", inputs.trap("named"))
    naming = "custom_imports = dict(imports=['pack.named'])"
    inputs.write("pack/.mim/configs/config.py", TINY_VIT + naming + inputs.trap("config"))
    inputs.write("pack-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: pack\nVersion: 1\n")
    inputs.write("pack-1.dist-info/top_level.txt", "pack\n")
    done = lldtool_process(
        "inspect", "pack::config.py", cwd=ROOT, PYTHONPATH=f"{ROOT}:{inputs.folder}"
    )
    assert done.code == 0, done.err
    assert inputs.ran == {"package", "named", "config"}


def repository(inputs):
    """A commit with a config and a module, and others in the working tree."""
    naming = "custom_imports = dict(imports=['named'])"
    for when in ("old", "new"):
        inputs.write("named.py", inputs.trap(f"{when} module"))
        inputs.write("config.py", TINY_VIT + naming + inputs.trap(f"{when} config"))
        if when == "old":
            inputs.write("plan.json", PLAN.read_text())
            commit(inputs.folder)


@runs_of("`config.py@revision`")
def _revision(inputs):
    repository(inputs)
    inputs.run("inspect", "config.py@HEAD")
    assert inputs.ran == {"old config", "old module"}


@runs_of("the repository of a `config.py@revision`")
def _repository(inputs):
    """`tests/config/test_git_traps.py` has a test of each."""
    repository(inputs)
    program = inputs.folder / "program"
    program.write_text(f"#!/bin/sh\ntouch '{inputs.folder / 'ran-program'}'\ncat\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "filter.x.smudge", "core.pager", "diff.external"):
        git(inputs.folder, "config", key, program)
    inputs.write(".git/info/attributes", "*.json filter=x\n")
    inputs.run("inspect", "plan.json@HEAD")
    inputs.run("diff", "plan.json", "--against", "HEAD")
    assert inputs.ran == set()


@runs_of("a directory given to `check`")
def _directory(inputs):
    inputs.write("configs/config.py", TINY_VIT + inputs.trap("config"))
    inputs.write("configs/tool.py", "import os\n" + inputs.trap("tool"))
    inputs.write("configs/conftest.py", inputs.trap("conftest"))
    inputs.write("configs/__init__.py", inputs.trap("init"))
    inputs.run("check", "configs", code=1)
    assert inputs.ran == {"config"}


@runs_of("a saved plan, also at a revision")
def _plan(inputs):
    repository(inputs)
    for command in ("inspect", "explain", "check"):
        lldtool_process(command, "plan.json", cwd=inputs.folder)
    plan = json.loads(PLAN.read_text())
    plan["constructor"]["type"] = plan["model"]["type"] = "named.Class"
    plan["config"] = "config.py"
    inputs.write("named.json", json.dumps(plan))
    inputs.run("inspect", "named.json")
    inputs.run("inspect", "plan.json@HEAD")
    inputs.run("diff", "named.json", "plan.json", code=1)
    assert inputs.ran == set()


@runs_of("`lldtool.toml`, `pyproject.toml`, a baseline")
def _settings(inputs):
    code = f"__import__('pathlib').Path({str(inputs.folder / 'ran-settings')!r}).touch()"
    inputs.write("pyproject.toml", f"[tool.lldtool]\nno-decay = [{json.dumps(code)}]\n")
    inputs.write("baseline.json", json.dumps({"schema_version": 1, "findings": [code]}))
    inputs.write("plan.json", PLAN.read_text())
    assert inputs.run("check", "plan.json").err == ""
    inputs.run("check", "plan.json", "--baseline", "baseline.json", code=2)
    assert inputs.ran == set()


@runs_of("values of `--cfg-options` and `--with`")
def _values(inputs):
    inputs.write("config.py", TINY_VIT)
    code = f"__import__('pathlib').Path({str(inputs.folder / 'ran-value')!r}).touch()"
    inputs.run("inspect", "config.py", "--cfg-options", f"work_dir={code}")
    inputs.run("diff", "config.py", "--with", f"work_dir={code}")
    inputs.run("diff", "config.py", "--with", f"work_dir={{'a': {code}}}", code=2)
    assert inputs.ran == set()


@runs_of("an installed package with the entry point `lldtool.tracers`")
def _tracers(inputs):
    inputs.write("named.py", inputs.trap("tracer") + "\ndef trace(setup):\n    return {}\n")
    inputs.write("other.py", inputs.trap("other"))
    inputs.write("pack-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: pack\nVersion: 1\n")
    inputs.write("pack-1.dist-info/entry_points.txt", (
        "[lldtool.tracers]\nown.Constructor = named:trace\nother.Constructor = other:trace\n"
    ))  # fmt: skip
    inputs.write("own.py", (
        "from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS\n"
        "from mmengine.optim import DefaultOptimWrapperConstructor\n"
        "@OPTIM_WRAPPER_CONSTRUCTORS.register_module()\n"
        "class Constructor(DefaultOptimWrapperConstructor): pass\n"
    ))  # fmt: skip
    naming = (
        "custom_imports = dict(imports=['own'])\noptim_wrapper['constructor'] = 'Constructor'\n"
    )
    inputs.write("config.py", TINY_VIT + naming)
    inputs.run("inspect", "config.py", forked=False)  # entry points are read once
    assert inputs.ran == {"tracer"}


@runs_of("`lldtool rules`, `lldtool rule`, `--help`, `--version`")
def _helps(inputs):
    inputs.write("config.py", TINY_VIT + inputs.trap("config"))
    for arguments in (
        ["rules"],
        ["rule", "LLD101"],
        ["--help"],
        ["check", "--help"],
        ["--version"],
    ):
        inputs.run(*arguments)
    assert inputs.ran == set()
