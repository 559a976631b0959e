"""Several configs in one process come to what each comes to in a process of its own."""

import json
import os
import subprocess
import sys
from unittest import mock

import pytest
from conftest import ROOT, SAMPLES, TINY_VIT, lldtool_process, settings
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

from lldtool.config import locate
from lldtool.config.request import Request
from lldtool.dryrun import dry_runs
from lldtool.dryrun import model_building as model

RATE = "optim_wrapper.paramwise_cfg.layer_decay_rate"


def request(path, *edits, **options):
    return Request(locate(str(path)).path, str(path), edits=edits, **options)


def alone(path, *options):
    """The plan of a config in a process of its own."""
    done = lldtool_process("inspect", path, "--format", "json", *options, cwd=path.parent)
    assert done.code == 0, done.err
    return by_name(json.loads(done.out))


def by_name(plan):
    return {
        p["name"]: (p["lr"], p["lr_scale"], p["weight_decay"], p["layer_id"])
        for p in plan["parameters"]
    }


def together(*requests):
    return [
        {p.name: (p.lr, p.lr_scale, p.weight_decay, p.layer_id) for p in plan.parameters}
        for plan in dry_runs(requests)
    ]


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """The first dry run of a process tries again where a package is missing."""
    dry_runs([request(SAMPLES / "vit-base_layer-decay.py")])


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files into a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)

    def one(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return one


def test_a_model_that_both_describe_is_built_once(write):
    path = write("x.py", TINY_VIT)
    with mock.patch.object(model, "build_model", side_effect=model.build_model) as build:
        plans = dry_runs([request(path), request(path, f"{RATE}=0.65"), request(path, f"{RATE}=1")])
    assert build.call_count == 1
    assert [p.constructor.paramwise_cfg["layer_decay_rate"] for p in plans] == [0.75, 0.65, 1]
    assert len({plan.parameters[0].lr for plan in plans}) == 3


def test_a_pure_python_config_describes_the_same_model_too():
    path = SAMPLES / "vit-small_pure-python.py"
    with mock.patch.object(model, "build_model", side_effect=model.build_model) as build:
        dry_runs([request(path), request(path, f"{RATE}=0.65")])
    assert build.call_count == 1


@pytest.mark.parametrize(
    "edit", ["model.backbone.arch=deit-small", "model.head.in_channels=7", "default_scope=DELETE"]
)
def test_another_model_is_built(write, edit):
    path = write("x.py", TINY_VIT)
    with mock.patch.object(model, "build_model", side_effect=model.build_model) as build:
        dry_runs([request(path), request(path, edit)])
    assert build.call_count == 2


@pytest.mark.parametrize("name", [path.name for path in sorted(SAMPLES.glob("*.py"))])
def test_each_comes_to_what_it_comes_to_alone(name):
    first = SAMPLES / "vit-base_layer-decay.py"
    both = together(request(first, own_process=False), request(SAMPLES / name))
    assert both == [alone(first), alone(SAMPLES / name)]


FREEZING = """
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.engine import LearningRateDecayOptimWrapperConstructor as Base

@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class Freezing(Base):
    def __call__(self, model):
        model.backbone.cls_token.requires_grad = self.paramwise_cfg['layer_decay_rate'] > 0.7
        return super().__call__(model)
"""


def test_a_constructor_that_changes_the_model_changes_no_other_side(write):
    write("freezing.py", FREEZING)
    extra = "optim_wrapper['constructor'] = 'Freezing'\ncustom_imports = dict(imports='freezing')\n"
    path = write("x.py", TINY_VIT + extra)
    plans = dry_runs([request(path, f"{RATE}=0.5"), request(path)])
    assert [len(plan.frozen) for plan in plans] == [1, 0]


OVERRIDING = """
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.engine import LearningRateDecayOptimWrapperConstructor as Base

@OPTIM_WRAPPER_CONSTRUCTORS.register_module(
    name='LearningRateDecayOptimWrapperConstructor', force=True)
class Other(Base):
    def add_params(self, params, module, **kwargs):
        super().add_params(params, module, **kwargs)
        for group in params:
            group['weight_decay'] = 7.0
"""
PATCHING = """
from mmpretrain.models import VisionTransformer
depth = VisionTransformer.get_layer_depth
VisionTransformer.get_layer_depth = lambda *names, depth=depth: (depth(*names)[0] // 2, 14)
del depth, VisionTransformer
"""
MODEL = """
from mmpretrain.registry import MODELS
from mmpretrain.models import VisionTransformer

@MODELS.register_module(name='VisionTransformer', force=True)
class Mine(VisionTransformer):
    def get_layer_depth(self, name, prefix=''):
        return 3, 14
"""
#: Configs that do something to what others use, and the modules that they need.
MEDDLING = {
    "imports a module": ("custom_imports = dict(imports='overriding')", OVERRIDING),
    "registers": (OVERRIDING, ""),
    "patches": (PATCHING, ""),
    "sets a variable": ("import os\nos.environ['LR'] = '7'\ndel os", ""),
    "imports with the model": ("model['backbone']['type'] = 'overriding.Mine'", MODEL),
}
READING = "import os\noptim_wrapper['optimizer']['lr'] = float(os.environ.get('LR', 1))\ndel os\n"


@pytest.mark.parametrize("meddling", MEDDLING)
def test_what_one_config_does_does_not_work_on_another(write, meddling):
    order, (code, module) = "mpm", MEDDLING[meddling]
    write("overriding.py", module)
    paths = {"p": write("plain.py", TINY_VIT + READING),
             "m": write("meddling.py", f"{TINY_VIT}{code}\n")}  # fmt: skip
    script = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "from lldtool.dryrun import dry_runs\n"
        "from lldtool.plan import plan_to_json\n"
        "from lldtool.config.request import Request\n"
        "requests = [Request(Path(p), p, own_process=True) for p in sys.argv[1:]]\n"
        "print(json.dumps([json.loads(plan_to_json(p)) for p in dry_runs(requests)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *(str(paths[letter]) for letter in order)],
        capture_output=True, text=True, check=False, cwd=paths["p"].parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = {letter: alone(path) for letter, path in paths.items()}
    assert expected["p"] != expected["m"] or meddling == "sets a variable"
    for letter, plan in zip(order, json.loads(done.stdout), strict=True):
        assert by_name(plan) == expected[letter], letter


def test_a_config_with_code_of_its_own_meets_none_but_itself(write):
    write("freezing.py", FREEZING)
    extra = "custom_imports = dict(imports=['freezing'])\n"
    x, y = write("x.py", TINY_VIT + extra), write("y.py", TINY_VIT + extra)
    with mock.patch("lldtool.dryrun.batches.in_fresh_process") as fresh:
        dry_runs([request(x), request(x, f"{RATE}=0.65")])
    assert not fresh.called
    sys.modules.pop("freezing")
    OPTIM_WRAPPER_CONSTRUCTORS.module_dict.pop("Freezing")
    with mock.patch("lldtool.dryrun.batches.in_fresh_process") as fresh:
        dry_runs([request(x), request(y)])
    assert fresh.call_count == 1


@pytest.mark.parametrize("edit", ["num_classes=10.0", "num_classes=True"])
def test_numbers_that_are_equal_and_of_another_type_are_another_model(write, edit):
    path = write("x.py", TINY_VIT.replace("num_classes=10", "num_classes=1 if 'T' else 10"))
    result = lldtool_process("diff", path, "--with", f"model.head.{edit}")
    alone = lldtool_process("inspect", path, "--cfg-options", f"model.head.{edit}")
    assert result.code == (2 if alone.code else 1 if "10.0" in edit else 0)


def test_an_error_names_the_config_that_it_is_about(write):
    good, bad = (
        write("good.py", TINY_VIT),
        write("bad.py", TINY_VIT + "model['backbone']['x'] = 1\n"),
    )
    for paths in ([good, bad], [bad, good]):
        result = lldtool_process("diff", *paths)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"error: {bad}: building VisionTransformer")


def test_a_saved_plan_is_as_good_as_its_config(write, cli):
    path = write("x.py", TINY_VIT)
    assert cli("inspect", path, "--format", "json", "-o", "plan.json").code == 0
    assert cli("diff", "plan.json", path).code == 0
    assert cli("diff", path, "plan.json").code == 0


def test_settings_equal_a_run_of_its_own(write):
    path = write("x.py", TINY_VIT)
    first, second = dry_runs([request(path), request(path, f"{RATE}=0.65")])
    assert settings(dry_runs([request(path)])[0]) == settings(first)
    assert settings(dry_runs([request(path, f"{RATE}=0.65")])[0]) == settings(second)
