"""Configs whose constructor makes several optimizers, in every view, and against mmengine."""

import csv
import io
import json
from pathlib import Path

import pytest
from conftest import TINY_VIT
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

#: SGD for the matrices of the blocks from `first` on, as Muon has them, and AdamW for the rest;
#: what is called `shared` is in both.
MODULE = """
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

@OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
class MatricesApart:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        self.cfg, self.options = optim_wrapper_cfg['optimizer'], paramwise_cfg or {}

    def __call__(self, model):
        named = dict(model.named_parameters())
        first, shared = self.options.get('first', 0), self.options.get('shared')
        matrices = [
            name for name, p in named.items()
            if p.ndim == 2 and 'backbone.layers.' in name and int(name.split('.')[2]) >= first
        ]
        others = [n for n in named if n not in matrices or shared and shared in n]
        lr, decay = self.cfg['lr'], self.cfg['weight_decay']
        sgd = torch.optim.SGD([named[n] for n in matrices], lr=lr, weight_decay=decay)
        adam = torch.optim.AdamW([named[n] for n in others], lr=lr, weight_decay=decay)
        return OptimWrapperDict(matrices=OptimWrapper(sgd), others=OptimWrapper(adam))
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write a config with these options of the constructor, and return its name."""
    (tmp_path / "matrices_apart.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def write(name="a.py", **options):
        (tmp_path / name).write_text(
            f"{TINY_VIT}\ncustom_imports = dict(imports=['matrices_apart'])\n"
            f"optim_wrapper['constructor'] = 'MatricesApart'\n"
            f"optim_wrapper['paramwise_cfg'] = {options!r}\n"
            "param_scheduler = dict(type='CosineAnnealingLR', T_max=4)\n"
            "train_cfg = dict(by_epoch=True, max_epochs=4)\n"
        )
        return name

    return write


def plan_of(cli, config):
    return json.loads(cli("inspect", config, "--format", "json").out)


@pytest.mark.parametrize("shared", [None, ".0.attn."])
def test_each_parameter_names_the_optimizers_that_mmengine_gives_it(cli, config, shared):
    plan = plan_of(cli, config(shared=shared))
    built = Config.fromfile("a.py")
    model = MODELS.build(dict(built.model, _scope_="mmpretrain"))
    names = {id(p): name for name, p in model.named_parameters()}
    expected = {
        (names[id(p)], key, type(wrapper.optimizer).__name__)
        for key, wrapper in build_optim_wrapper(model, built.optim_wrapper).items()
        for group in wrapper.optimizer.param_groups
        for p in group["params"]
    }
    kinds = {key: one["type"] for key, one in plan["optimizer"]["options"].items()}
    found = [(p["name"], p["optimizer"], kinds[p["optimizer"]]) for p in plan["parameters"]]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_one_optimizer_has_no_name(cli, config):
    path = config()
    with Path(path).open("a") as file:
        file.write("optim_wrapper['constructor'] = 'DefaultOptimWrapperConstructor'\n")
    plan = plan_of(cli, path)
    assert {p["optimizer"] for p in plan["parameters"]} == {None}
    assert "optimizer" not in cli("inspect", path).out.partition("\n\n")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect",), ("inspect", "--params"), ("inspect", "--format", "csv"),
        ("inspect", "--format", "markdown"), ("inspect", "--format", "markdown", "--params"),
        ("explain", "layers.0.attn.qkv.weight", "cls_token"), ("report",),
        ("schedule",), ("schedule", "--format", "csv"), ("schedule", "--format", "json"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_view_names_both_optimizers(cli, config, arguments):
    command, *options = arguments
    out = cli(command, config(), *options).out
    assert "matrices" in out
    assert "others" in out


def test_the_header_has_a_line_for_each_optimizer(cli, config):
    head = cli("inspect", config()).out
    assert "optimizer    matrices: SGD · lr 0.001" in head
    assert "optimizer    others: AdamW · lr 0.001" in head


def test_a_csv_has_a_row_for_each_optimizer_of_a_parameter(cli, config):
    out = cli("inspect", config(shared=".0.attn.qkv.weight"), "--format", "csv").out
    rows = [r for r in csv.DictReader(io.StringIO(out)) if r["name"].endswith(".0.attn.qkv.weight")]
    assert [row["optimizer"] for row in rows] == ["matrices", "others"]


def test_a_shared_parameter_is_counted_once(cli, config):
    alone, shared = (cli("inspect", config(shared=one)).out for one in (None, ".0.attn."))
    (total,) = (line for line in alone.splitlines() if " trained, " in line)
    assert total in shared
    assert "2 tensors are in several optimizers, and shown in each" in shared
    assert cli("check", "a.py", "--select", "LLD402").code == 0


@pytest.mark.slow
def test_a_diff_shows_what_moves_from_one_optimizer_to_the_other(cli, config):
    result = cli("diff", config("a.py"), config("b.py", first=3))
    assert result.code == 1
    assert result.out.startswith("optimizer differs for 12 of 152 parameters\n")
    assert "~ matrices → others 12 " in result.out
    listed = cli("diff", "a.py", "b.py", "--params").out
    assert "~ backbone.layers.2.attn.qkv.weight       matrices → others" in listed
    changed = json.loads(cli("diff", "a.py", "b.py", "--format", "json").out)["changed"]
    assert [one["optimizer"] for one in changed] == [{"a": "matrices", "b": "others"}] * 12


def test_a_diff_shows_that_a_second_optimizer_takes_a_parameter(cli, config):
    result = cli("diff", config("a.py"), config("b.py", shared=".0.attn."))
    assert result.code == 1
    assert "+ not in others → trained 2 layers.0.attn.qkv.weight" in result.out


def test_a_saved_plan_knows_its_optimizers(cli, config):
    shown = cli("inspect", config(shared=".0.attn.")).out
    cli("inspect", "a.py", "--format", "json", "--output", "plan.json")
    assert cli("inspect", "plan.json").out == shown
    assert cli("diff", "a.py", "plan.json").code == 0
