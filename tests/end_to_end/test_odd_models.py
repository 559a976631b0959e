"""Models and configs that do unusual things, in a process of their own as a user runs them."""

import json
import textwrap
from importlib.util import find_spec

import pytest
from conftest import PLANS, lldtool_process

CONFIG = """
_base_ = []
default_scope = 'mmengine'
custom_imports = dict(imports=['net'])
model = dict(type='net.Net')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=0.01))
"""
NET = """
from mmengine.model import BaseModel
from torch import nn
import torch

class Net(BaseModel):
    def __init__(self):
        super().__init__()
        {body}
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs
"""


@pytest.fixture
def plan_of(tmp_path):
    def run(body, head="", config=CONFIG, *arguments):
        net = head + NET.replace("{body}", textwrap.indent(textwrap.dedent(body), " " * 8).strip())
        (tmp_path / "net.py").write_text(net)
        (tmp_path / "config.py").write_text(config)
        result = lldtool_process("inspect", "config.py", "--format", "json", cwd=tmp_path)
        assert result.code == 0, result.err
        return json.loads(result.out)

    return run


def shapes(plan):
    return {p["name"]: p["shape"] for p in plan["parameters"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "question",
    [
        "int(cv2.__version__.split('.')[0]) >= 4",
        "not hasattr(cv2, 'no_such_thing')",
        "cv2.INTER_LINEAR == 1",
        "cv2.useOptimized() in (True, False)",
        "'INTER_LINEAR' in dir(cv2)",
        "len(list(cv2.getGaussianKernel(5, 1))) == 5",
    ],
)
def test_user_code_is_answered_by_the_real_package(question, plan_of):
    plan = plan_of(f"self.fc = nn.Linear(5 if {question} else 2, 3)", "import cv2\n")
    assert shapes(plan)["fc.weight"] == [3, 5]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
@pytest.mark.parametrize(
    "question",
    [
        "try:\n    import torchvision\n    HAS = True\nexcept ImportError:\n    HAS = False\n",
        "import importlib.util\nHAS = importlib.util.find_spec('torchvision') is not None\n",
    ],
)
def test_user_code_learns_that_a_package_is_missing(question, plan_of):
    plan = plan_of("self.fc = nn.Linear(5 if HAS else 2, 3)", question)
    assert shapes(plan)["fc.weight"] == [3, 2]


@pytest.mark.parametrize(
    "body",
    [
        """
        m = torch.empty(64, 64)
        nn.init.normal_(m)
        self.w = nn.Parameter(torch.zeros(int(torch.linalg.matrix_rank(m))))
        """,
        """
        h = nn.init.constant_(nn.Parameter(torch.empty(64, 64)), 1 / 64)
        self.w = nn.Parameter(torch.zeros(int(h.sum().item())))
        """,
        """
        h = nn.init.trunc_normal_(nn.Parameter(torch.empty(64, 64)))
        self.w = nn.Parameter(torch.zeros(64 if bool((h.abs() <= 2).all()) else 1))
        """,
    ],
)
def test_values_that_a_model_reads_are_the_true_ones(body, plan_of):
    assert shapes(plan_of(body)) == {"w": [64]}


@pytest.mark.slow
def test_torch_compile_in_a_model(plan_of):
    plan = plan_of("self.fc = nn.Linear(2, 3)\nself.compiled = torch.compile(self.fc)")
    assert shapes(plan)["fc.weight"] == [3, 2]


@pytest.mark.slow
def test_meta_tensors_in_a_model(plan_of):
    plan = plan_of(
        """
        out = nn.Conv2d(3, 8, 3).to('meta')(torch.empty(1, 3, 9, 9).to('meta'))
        self.fc = nn.Linear(out.shape[-1], 3)
        """
    )
    assert shapes(plan)["fc.weight"] == [3, 7]


def test_lazy_parameters_have_no_shape_yet(plan_of):
    plan = plan_of("self.lazy = nn.LazyLinear(5)")
    assert shapes(plan) == {"lazy.weight": [], "lazy.bias": []}


def test_a_submodule_called_module_hides_nothing(plan_of):
    plan = plan_of("self.fc = nn.Linear(2, 3)\nself.module = nn.Linear(5, 5)")
    # mmengine's constructors optimise `model.module` alone
    assert shapes(plan) == {"module.weight": [5, 5], "module.bias": [5]}
    assert {p["name"] for p in plan["left_out"]} == {"fc.weight", "fc.bias"}


CONSTRUCTOR = """
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
class Two:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        pass
    def __call__(self, model):
        {body}
"""


def with_constructor(body):
    return CONSTRUCTOR.format(body=body), CONFIG + "optim_wrapper['constructor'] = 'net.Two'\n"


def test_tensors_of_no_model_are_noted(plan_of):
    head, config = with_constructor(
        "return OptimWrapper(torch.optim.SGD([*model.parameters(), torch.zeros(7)], lr=9))"
    )
    plan = plan_of("self.fc = nn.Linear(2, 3)", head, config)
    assert "1 tensors in param groups are no parameters of the model" in plan["notes"]


def test_an_amp_wrapper_built_by_position(plan_of):
    head, config = with_constructor(
        "return AmpOptimWrapper('dynamic', optimizer=torch.optim.SGD(model.parameters(), lr=9))"
    )
    plan = plan_of("self.fc = nn.Linear(2, 3)", head, config)
    assert {p["lr"] for p in plan["parameters"]} == {9.0}


def test_a_parameter_in_two_optimizers_is_shown_in_both(plan_of):
    head, config = with_constructor(
        "one, two = (OptimWrapper(torch.optim.SGD(model.parameters(), lr=lr)) for lr in (1, 2)); "
        "return OptimWrapperDict(a=one, b=two)"
    )
    plan = plan_of("self.fc = nn.Linear(2, 3)", head, config)
    assert [(p["name"], p["optimizer"], p["lr"]) for p in plan["parameters"]] == [
        ("fc.weight", "a", 1.0), ("fc.weight", "b", 2.0),
        ("fc.bias", "a", 1.0), ("fc.bias", "b", 2.0),
    ]  # fmt: skip


def test_a_parameter_twice_in_one_optimizer_is_an_error(tmp_path):
    head, config = with_constructor(
        "return OptimWrapper(torch.optim.SGD([*model.parameters()] * 2, lr=1))"
    )
    (tmp_path / "net.py").write_text(head + NET.format(body="self.fc = nn.Linear(2, 3)"))
    (tmp_path / "config.py").write_text(config)
    result = lldtool_process("inspect", "config.py", cwd=tmp_path)
    assert result.code == 2
    assert "a parameter is twice in the groups of one optimizer" in result.err
    assert result.err.startswith("error: config.py: ")


def test_numpy_numbers_in_a_config(plan_of):
    config = CONFIG + (
        "optim_wrapper['paramwise_cfg'] = dict("
        "bias_lr_mult=__import__('numpy').float32(0.75), custom_keys=dict())\n"
    )
    plan = plan_of("self.fc = nn.Linear(2, 3)", config=config)
    assert plan["constructor"]["paramwise_cfg"]["bias_lr_mult"] == 0.75


def test_a_swallowed_download_is_noted(plan_of):
    plan = plan_of(
        """
        import urllib.request
        try:
            urllib.request.urlopen('http://weights.example.org/x')
        except OSError:
            pass
        self.fc = nn.Linear(2, 3)
        """
    )
    assert any("tried to reach weights.example.org" in note for note in plan["notes"])


def test_a_module_that_registers_before_a_missing_import_is_tried_again(tmp_path):
    head = (
        "from mmengine.registry import MODELS\n@MODELS.register_module()\nclass Once: pass\n"
        "from mmcv.ops import RoIAlign\n"
    )
    (tmp_path / "net.py").write_text(head + NET.format(body="self.fc = nn.Linear(2, 3)"))
    (tmp_path / "config.py").write_text(CONFIG)
    result = lldtool_process("inspect", "config.py", cwd=tmp_path)
    assert result.code == 0, result.err


PLAN = PLANS / "resnet50_lr-mult.json"


def test_json_is_valid_in_any_encoding(tmp_path):
    plan = PLAN.read_text().replace("backbone.conv1.weight", "größe")
    (tmp_path / "plan.json").write_text(plan, encoding="utf-8")
    result = lldtool_process(
        "inspect", "plan.json", "--format", "json", cwd=tmp_path, PYTHONIOENCODING="ascii"
    )
    assert json.loads(result.out)["parameters"][0]["name"] == "größe"


def test_infinite_settings_are_shown(tmp_path):
    plan = json.loads(PLAN.read_text())
    plan["parameters"][0]["lr"] = plan["parameters"][0]["lr_scale"] = float("inf")
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    result = lldtool_process("inspect", "plan.json", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    assert "inf" in result.out


def test_the_config_is_not_overwritten(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(PLAN.read_text())
    result = lldtool_process("inspect", "plan.json", "-o", "./plan.json", cwd=tmp_path)
    assert result.code == 2
    assert "is the config itself" in result.err
    assert path.read_text() == PLAN.read_text()


def test_a_deeply_nested_json_is_one_line(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 200_000)
    result = lldtool_process("inspect", "deep.json", cwd=tmp_path)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1


NUMBERED = """
import torch
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class Own(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, prefix='', **kwargs):
        for number, (name, tensor) in enumerate(module.named_parameters()):
            params.append(dict(params=[tensor], lr=self.base_lr / (number + 1), {entry}))
"""
OWN = CONFIG.replace(
    "lr=0.1, weight_decay=0.01)", "lr=0.1), constructor='Own', paramwise_cfg=dict(own=1)"
)
STACK = "self.body = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(3)))"


@pytest.mark.parametrize(
    ("entry", "ids"),
    [
        ("layer_id=2.5 - number", [0.5, 1.5, 2.5]),
        ("layer_id=torch.tensor(number)", [0, 1, 2]),
        ("layer_id=['stem', 'body', 'head'][number]", ["stem", "body", "head"]),
        ("layer_id=['2', 10, 9][number]", [9, 10, "2"]),
        ("layer_id=[3, None, 1][number]", [1, 3, None]),
        ("layer_id=(number, 'x')", ["[0, 'x']", "[1, 'x']", "[2, 'x']"]),
        ("layer_id=float('nan')", ["nan", "nan", "nan"]),
        ("group_name=f'layer_{2 - number}_decay'", [0, 1, 2]),
        ("group_name=['layer_²', 'layer_x', 'layer_' + '9' * 5000][number]", [None, None, None]),
    ],
)
def test_a_layer_is_what_the_constructor_calls_it(entry, ids, plan_of, cli, tmp_path):
    plan = plan_of(STACK, NUMBERED.replace("{entry}", entry), OWN)
    assert [layer["layer_id"] for layer in plan["layers"]] == ids
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    for command in (
        "inspect PLAN", "inspect PLAN --params --format markdown", "explain PLAN",
        "explain PLAN *", "diff PLAN PLAN", "compare PLAN PLAN", "report PLAN", "check PLAN",
    ):  # fmt: skip
        result = cli(*command.replace("PLAN", str(tmp_path / "plan.json")).split())
        assert result.code in (0, 1), result.err
        assert "itself" not in result.err
    named = ids[0] if ids[0] is not None else "none"
    result = cli("inspect", tmp_path / "plan.json", "--layer", named, "--format", "csv")
    assert result.code == (2 if named == "none" else 0)


TAKES_ANY = """
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class Own(DefaultOptimWrapperConstructor):
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        super().__init__(optim_wrapper_cfg, dict(any=1))
        options = paramwise_cfg or {}
        self.keys = options if isinstance(options, list) else options.get('custom_keys', ())

    def add_params(self, params, module, prefix='', **kwargs):
        for name, tensor in module.named_parameters():
            lr = 0.5 if any(str(key) in name for key in self.keys) else 0.1
            params.append(dict(params=[tensor], lr=lr))
"""


@pytest.mark.parametrize(
    "options", ["['body.1', 'head']", "dict(custom_keys=['body.1'])", "dict(custom_keys={1: {}})"]
)
def test_a_constructor_may_take_what_mmengines_own_refuses(options, plan_of, tmp_path):
    config = OWN.replace("dict(own=1)", options)
    plan = plan_of(STACK, TAKES_ANY, config)
    assert [p["lr"] for p in plan["parameters"]] == [0.1, 0.5, 0.1]
    checked = lldtool_process("check", "config.py", "--format", "json", cwd=tmp_path)
    assert json.loads(checked.out)["configs"][0]["error"] is None
    keys = lldtool_process("explain", "config.py", "--keys", "--format", "json", cwd=tmp_path)
    settings = [key["effect"]["settings"] for key in json.loads(keys.out)["keys"]]
    assert settings[:1] == [1]


@pytest.mark.parametrize("setting", ["lr", "weight_decay"])
def test_a_setting_of_a_group_that_is_text_is_one_line(setting, tmp_path):
    """torch takes the group, and its step fails."""
    net = NUMBERED.replace("lr=self.base_lr / (number + 1), {entry}", f"{setting}='0.1'")
    body = NET.replace("{body}", STACK)
    (tmp_path / "net.py").write_text(net + body)
    (tmp_path / "config.py").write_text(OWN)
    result = lldtool_process("inspect", "config.py", cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: config.py: the {setting} of a param group is the text '0.1'\n"
