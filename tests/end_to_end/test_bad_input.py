"""Whatever a config does, the user gets one line that names it, and exit code 2."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PLANS, TINY_VIT, lldtool_process

PLAN = PLANS / "resnet50_lr-mult.json"

BAD_CONFIGS = {
    "syntax_error": ("a = 1\nb = = 2\n", r"syntax error in .*config\.py line 2"),
    "exception": ("a = 1\nb = {}['lr']\n", r"KeyError: 'lr' in .*config\.py line 2"),
    "name_error": (
        TINY_VIT + "lr = base_lr * 2\n",
        r"NameError: .*base_lr.* in .*config\.py line 12",
    ),
    "missing_base": ("_base_ = ['./nowhere.py']\n", r"missing base or file.*nowhere\.py"),
    "circle": (
        "_base_ = ['./config.py']\n",
        r"bases inherit each other in a circle: config\.py → ",
    ),
    "lazy_circle": (
        "from mmengine.config import read_base\nwith read_base():\n    from .config import *\n",
        r"bases inherit each other in a circle: config\.py → config\.py",
    ),
    "cause_is_itself": (
        "a = ValueError('a')\na.__cause__ = a\nraise a",
        r"ValueError: a in config\.py line 3",
    ),
    "causes_in_a_circle": (
        "a, b = ValueError('a'), KeyError('b')\na.__cause__, b.__context__ = b, a\nraise a",
        r"ValueError: a in config\.py line 3",
    ),
    "message_raises": (
        "class Odd(Exception):\n    def __str__(self): raise SystemExit(3)\nraise Odd('x')",
        r"config\.py: Odd in config\.py line 3",
    ),
    "message_is_no_text": (
        "class Odd(Exception):\n    def __str__(self): return None\nraise Odd('x')",
        r"config\.py: Odd in config\.py line 3",
    ),
    "message_is_large": (
        "class Odd(Exception):\n    def __str__(self): return 'x' * 10**7\nraise Odd('x')",
        r"Odd: x+… in config\.py line 3",
    ),
    "no_model": (
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=1))",
        "no model in the config",
    ),
    "no_optim_wrapper": (TINY_VIT + "optim_wrapper = None", "no optim_wrapper in the config"),
    "old_style": (
        TINY_VIT + "optim_wrapper = None\noptimizer = dict(type='SGD', lr=1)",
        "mmengine reads `optim_wrapper`",
    ),
    "no_optimizer": (TINY_VIT + "optim_wrapper = dict(type='OptimWrapper')", "has no optimizer"),
    "model_is_no_dict": (TINY_VIT + "model = 3", "unusable model"),
    "unknown_model": (
        TINY_VIT.replace("ImageClassifier", "ImageClasifier"),
        r"unknown type 'ImageClasifier'.*did you mean ImageClassifier",
    ),
    "unknown_backbone": (
        TINY_VIT.replace("VisionTransformer", "VisionTransfomer"),
        r"unknown type 'VisionTransfomer'.*did you mean VisionTransformer",
    ),
    "unknown_optimizer": (TINY_VIT.replace("AdamW", "AdamWW"), r"unknown type 'AdamWW'.*AdamW"),
    "unknown_constructor": (
        TINY_VIT.replace("LearningRateDecayOptim", "LearningRateDecayOptm"),
        r"unknown type .*did you mean LearningRateDecayOptimWrapperConstructor",
    ),
    "bad_argument": (
        TINY_VIT.replace("arch='deit-tiny'", "arch='deit-tiny', depth=3"),
        r"building VisionTransformer: TypeError: .*depth",
    ),
    "scope_not_installed": (
        TINY_VIT.replace("'mmpretrain'", "'mmrotate'"),
        r"the package 'mmrotate' of default_scope is not installed",
    ),
    "custom_import_missing": (
        TINY_VIT + "custom_imports = dict(imports=['no_such_package.models'])",
        r"custom_imports failed: ModuleNotFoundError: No module named 'no_such_package'",
    ),
    "no_lr": (TINY_VIT.replace("lr=1e-3, ", ""), r"has no lr: training fails at startup"),
    "no_weight_decay": (
        TINY_VIT.replace(", weight_decay=0.05", ""),
        r"has no weight_decay: training fails at startup .*KeyError.*set weight_decay",
    ),
    "no_weight_decay_with_mult": (
        TINY_VIT.replace(", weight_decay=0.05", "").replace("0.75", "0.75, norm_decay_mult=0."),
        r"has no weight_decay: training fails at startup .*ValueError.*set weight_decay",
    ),
    "no_numbers": (
        TINY_VIT.replace("'AdamW'", "'Lamb'").replace("weight_decay=0.05", "weight_decay=[1, 2]")
        + "optim_wrapper.pop('constructor'), optim_wrapper.pop('paramwise_cfg')",
        r"the weight_decay of a param group is no number: \[1, 2\]",
    ),
    "optimizer_is_no_dict": (
        TINY_VIT + "optim_wrapper['optimizer'] = 0.5",
        r"training fails at startup .*'float' object has no attribute",
    ),
    "no_get_layer_depth": (
        TINY_VIT.replace(
            "'VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16", "'LeNet5'"
        ),
        r"needs get_layer_depth",
    ),
    "everything_frozen": (
        TINY_VIT + "custom_imports = dict(imports=['lldtool_test_frozen'])\n"
        "model = dict(type='FrozenModel')\n",
        r"every parameter is frozen",
    ),
    "in_two_groups": (
        TINY_VIT + "custom_imports = dict(imports=['lldtool_test_frozen'])\n"
        "model = dict(type='SharedModel')\n",
        r"a parameter is in two groups",
    ),
    "downloads": (
        TINY_VIT + "custom_imports = dict(imports=['lldtool_test_frozen'])\n"
        "model = dict(type='DownloadingModel')\n",
        r"tried to download from weights\.example\.org while it was built.*--allow-network",
    ),
    "control_characters": (
        TINY_VIT.replace("'ImageClassifier'", r"'Image\x1b[31mClassifier\n'"),
        r"unknown type 'Image\\x1b\[31mClassifier",
    ),
}

MODELS = """
import urllib.request
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

class Tiny(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
    def get_layer_depth(self, name):
        return 0, 1
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs

@MODELS.register_module()
class FrozenModel(Tiny):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)

@MODELS.register_module()
class SharedModel(Tiny):
    def __init__(self):
        super().__init__()
        self.again = self.fc.weight

@MODELS.register_module()
class DownloadingModel(Tiny):
    def __init__(self):
        super().__init__()
        urllib.request.urlopen('https://weights.example.org/x.pth')
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty working directory with a module of models beside it, on the path."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "lldtool_test_frozen.py").write_text(MODELS)
    monkeypatch.syspath_prepend(modules)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture(autouse=True, scope="module")
def _forget_models():
    yield
    from mmengine.registry import MODELS

    for name in ("FrozenModel", "SharedModel", "DownloadingModel"):
        MODELS.module_dict.pop(name, None)


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_bad_config_is_one_line_and_exit_code_2(case, cli, project):
    text, message = BAD_CONFIGS[case]
    (project / "config.py").write_text(text)

    result = cli("inspect", "config.py")

    assert (result.code, result.out) == (2, "")
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert result.err.startswith("error: config.py: ")
    assert re.search(message, result.err), result.err
    assert [path.name for path in project.iterdir()] == ["config.py"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "nowhere.py: no such file"),
        (["vit.pyy"], r"no such file \(did you mean vit.py\?\)"),
        (["no/such/vit.py"], "there is no directory no/such"),
        (
            ["."],
            r"is a directory, not a config \(name a config in it, such as \S+\.py; lldtool check",
        ),
        (["notes.txt"], "not a config: its name ends in none of .py"),
        (["mmpretrain::mae/nowhere.py"], "mmpretrain::mae/nowhere.py: no such file"),
        (["mmnothing::x.py"], "the package 'mmnothing' is not installed"),
        (["mmpretrian::x.py"], r"is not installed \(did you mean mmpretrain::x.py\?\)"),
        (["mmpretrain:x.py"], r"no such file \(did you mean mmpretrain::x.py\?\)"),
        (
            ["mmpretrain::resnet50_8xb32_in1k.py"],
            r"no such file \(did you mean mmpretrain::resnet/resnet50_8xb32_in1k.py\?\)",
        ),
        (
            ["mmpretrain::resnet/resnet50_8xb32_in1.py"],
            r"no such file \(did you mean mmpretrain::resnet/resnet50_8xb32_in1k.py\?\)",
        ),
        (
            ["mmpretrain::mae"],
            r"is a directory, not a config \(name a config in it, such as mmpretrain::mae/\S+\.py",
        ),
        (["vit.py", "--cfg-options", "model"], "expected KEY=VALUE"),
        (["vit.py", "--cfg-options", "model.head=[1,2"], "brackets"),
        (["vit.py", "--cfg-options", "model.type.x=1"], "--cfg-options model.type.x"),
        (["vit.py", "--layer", "99"], "no layer 99: there are layers 0 to 13"),
        (["vit.py", "--match", "*.nrom.weight"], "no parameter's name is like"),
        (["vit.py", "--match", "head"], r"did you mean '\*head\*'"),
        (["vit.py", "--decayed", "--undecayed"], "exclude each other"),
        (
            ["vit.py", "--device", "cuda"],
            "--device cuda: this torch .* (finds no GPU|without CUDA)",
        ),
        (["vit.py", "--device", "tpu"], "--device tpu: "),
        (["vit.py", "--auto-scale-lr"], "--auto-scale-lr needs auto_scale_lr.base_batch_size"),
        (["vit.py", "--output", "no/such/dir/x"], "no such directory"),
        (["vit.py", "--output", "."], "is a directory"),
        (["broken.json"], "JSON"),
        (["plan.json", "--cfg-options", "a=1"], "a saved plan can't be overridden"),
        (["newer.json"], "schema_version 2; this lldtool reads up to 1"),
        (["odd.json"], "not a saved plan: .*parameters"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(arguments, message, cli, project):
    (project / "vit.py").write_text(TINY_VIT)
    (project / "notes.txt").write_text("")
    (project / "broken.json").write_text("{")
    (project / "newer.json").write_text('{"schema_version": 2}')
    (project / "odd.json").write_text('{"schema_version": 1, "config": "x", "parameters": [1]}')
    assert cli("inspect", "vit.py", "--format", "json", "--output", "plan.json").code == 0

    result = cli("inspect", *arguments)

    assert (result.code, result.out) == (2, "")
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert re.search(message, result.err), result.err


def in_a_pipe_or_circle(cli, *arguments):
    """The error of arguments that name a pipe or a link to itself; neither is waited for."""
    os.mkfifo("pipe.py")
    os.mkfifo("pipe.json")
    Path("circle.py").symlink_to("circle.py")
    Path("config.py").write_text(TINY_VIT)
    Path("inherits.py").write_text("_base_ = ['pipe.py']\n")
    Path("inherits_circle.py").write_text("_base_ = ['circle.py']\n")
    Path("plan.json").write_text(PLAN.read_text())
    result = cli(*arguments)
    assert (result.code, result.out) == (2, "")
    (line,) = result.err.splitlines()
    return line.removeprefix("error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("inspect pipe.py", "pipe.py: is not a regular file"),
        ("diff plan.json pipe.json", "pipe.json: is not a regular file"),
        ("inspect inherits.py", "inherits.py: .*pipe.py is not a regular file"),
        ("check plan.json --baseline pipe.json", "pipe.json: can't read .*: it is a named pipe"),
        ("check plan.json --config pipe.json", "pipe.json: can't read .*: it is a named pipe"),
        ("inspect circle.py", "circle.py: is a link that leads to no file"),
        ("inspect inherits_circle.py", "Too many levels of symbolic links"),
        ("check plan.json --baseline circle.py", "circle.py: can't read the baseline: Too many"),
        ("check plan.json --config circle.py", "circle.py: can't read the settings: Too many"),
        ("inspect plan.json -o circle.py", "--output circle.py: Too many levels of symbolic"),
        ("inspect plan.json -o circle.py/x", "--output circle.py/x: Too many levels of symbolic"),
        ("inspect plan.json --save-svg circle.py", "--save-svg circle.py: Too many levels"),
        ("report plan.json -o circle.py", "--output circle.py: Too many levels of symbolic"),
        ("check plan.json --write-baseline circle.py", "--write-baseline circle.py: Too many"),
    ],
)
def test_pipes_and_links_in_a_circle_are_one_line(arguments, message, cli, project):
    assert re.search(message, in_a_pipe_or_circle(cli, *arguments.split()))


def test_settings_that_nobody_named_are_no_pipe(cli, project):
    os.mkfifo("lldtool.toml")
    Path("plan.json").write_text(PLAN.read_text())
    assert cli("check", "plan.json").err == ""


@pytest.mark.parametrize(
    "command", ["inspect", "check", "explain", "diff a::b.py", "compare a::b.py"]
)
def test_two_colons_in_the_name_of_a_file(command, cli, project):
    Path("a::b.py").write_text(TINY_VIT)
    result = cli(*command.split(), "a::b.py")
    assert (result.err, "a::b.py" in result.out) == ("", True)


def test_output_is_checked_before_the_work(cli, project):
    (project / "config.py").write_text("a = {}['lr']\n")
    result = cli("inspect", "config.py", "--output", "no/such/dir/x")
    assert "no such directory" in result.err


def test_unknown_option_is_a_usage_error(cli):
    result = cli("inspect", "x.py", "--fromat", "json")
    assert result.code == 2
    assert "No such option: --fromat" in result.err


def test_traceback_is_shown_when_asked_for(cli, project):
    (project / "config.py").write_text("a = 1\nb = {}['lr']\n")
    result = cli("inspect", "config.py", "--traceback")
    assert result.code == 2
    assert "Traceback (most recent call last)" in result.err
    assert result.err.splitlines()[-1].startswith("error: config.py: KeyError")


def test_syntax_error_in_a_base_names_the_base(cli, project):
    (project / "base.py").write_text("x = 1\ny = (\n")
    (project / "config.py").write_text("_base_ = ['./base.py']\n")
    result = cli("inspect", "config.py")
    assert re.search(r"syntax error in base\.py line 2", result.err), result.err


def test_exception_in_a_base_names_the_base(cli, project):
    (project / "base.py").write_text("x = 1\ny = 1 / 0\n")
    (project / "config.py").write_text("_base_ = ['./base.py']\n")
    result = cli("inspect", "config.py")
    assert re.search(r"ZeroDivisionError.* in base\.py line 2", result.err), result.err


def test_nothing_is_written_beside_config_and_its_modules(project):
    (project / "my_models.py").write_text("from mmpretrain.models import VisionTransformer\n")
    (project / "config.py").write_text(
        TINY_VIT + "custom_imports = dict(imports=['my_models'], allow_failed_imports=False)\n"
    )
    result = lldtool_process("inspect", "config.py", cwd=project)
    assert result.code == 0, result.err
    assert sorted(path.name for path in project.iterdir()) == ["config.py", "my_models.py"]


def test_without_mmcv_the_error_says_what_to_install(project):
    (project / "config.py").write_text(TINY_VIT)
    code = (
        "import sys; sys.modules['mmcv'] = None\n"
        "from lldtool.cli import main; main(['inspect', 'config.py'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs the package 'mmcv'" in done.stderr
    assert "pip install mmcv, or mmcv-lite" in done.stderr
