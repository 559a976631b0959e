"""`lldtool diff` as a user meets it."""

import json
import subprocess
import sys

import pytest
from conftest import PLANS, ROOT, SAMPLES, TINY_VIT, git, lldtool_process, reference

from lldtool.plan import plan_from_json

VIT = PLANS / "vit-base_layer-decay.json"
TRAPS = VIT.with_name("traps.json")
RATE = "optim_wrapper.paramwise_cfg.layer_decay_rate"
KEYS = "optim_wrapper.paramwise_cfg.custom_keys"
MAE = "mmpretrain::mae/benchmarks/vit-{}-p16_8xb128-coslr-{}e_in1k.py"
BEIT = "mmpretrain::beit{}/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py"
SAMPLE = SAMPLES / "vit-base_layer-decay.py"


def without_notes(text):
    return "".join(f"{x}\n" for x in text.splitlines() if not x.startswith("note")).rstrip()


@pytest.mark.parametrize(
    "arguments",
    [
        (SAMPLE.relative_to(ROOT), "--with", f"{RATE}=0.65"),
        (SAMPLE.relative_to(ROOT), "sample_configs/vit-base_layer-decay_keys-only.py"),
        (MAE.format("base", 100), MAE.format("large", 50)),
        (BEIT.format(""), BEIT.format("v2")),
    ],
    ids=["variant", "sample", "MAE", "BEiT"],
)
@pytest.mark.parametrize("form", ["table", "markdown"])
def test_real_configs(cli, monkeypatch, snapshot, arguments, form):
    monkeypatch.chdir(ROOT)
    result = cli("diff", *arguments, "--format", form)
    assert result.code == 1
    assert without_notes(result.out.replace("\n> ", "\nnote")) == snapshot


TINY = TINY_VIT + "optim_wrapper['paramwise_cfg']['norm_decay_mult'] = 0.\n"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    return path


def values(answer):
    return {
        n: [None if v is None else float.fromhex(v) for v in s[:3]] + [s[3]]
        for n, s in answer["settings"].items()
    }


#: Changes to a config, as `--with` takes them.
EDITS = [
    f"{RATE}=0.65",
    "optim_wrapper.paramwise_cfg.norm_decay_mult=1.5",
    f"{KEYS}..cls_token.decay_mult=0",
    "optim_wrapper.optimizer.lr=3e-4",
    "optim_wrapper.optimizer.weight_decay=0.3",
    "model.backbone.frozen_stages=3",
    "model.backbone.arch=deit-small",
    "optim_wrapper.constructor=DefaultOptimWrapperConstructor",
]


def written(line):
    """The same change as code at the end of a config."""
    key, value = line.split("=")
    if key.startswith(KEYS):
        return "optim_wrapper['paramwise_cfg']['custom_keys'] = {'.cls_token': {'decay_mult': 0}}"
    start, *parts = key.split(".")
    items = "".join(f"[{part!r}]" for part in parts)
    return f"{start}{items} = {value if value[0].isdigit() else repr(value)}"


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Change -> the settings that mmengine makes of the config with it; None for without any."""
    folder = tmp_path_factory.mktemp("edited")
    paths = {}
    for number, line in enumerate([None, *EDITS]):
        paths[line] = folder / f"{number}.py"
        paths[line].write_text(f"{TINY}{written(line) if line else ''}\n")
    answers = reference(paths.values())
    return {line: values(answers[str(path)]) for line, path in paths.items()}


@pytest.mark.parametrize("line", EDITS)
def test_both_sides_are_what_mmengine_makes_of_them(cli, tiny, truth, line):
    """The diff applied to mmengine's settings of A gives mmengine's settings of B."""
    result = cli("diff", tiny, "--with", line, "--format", "json")
    content = json.loads(result.out)
    a, b = truth[None], truth[line]
    assert result.code == (0 if a == b and not content["reshaped"] else 1)
    settings = ("lr", "lr_scale", "weight_decay", "layer_id")
    changed = {c["name"]: c for c in content["changed"]}
    for name in a.keys() & b.keys():
        one = changed.get(name)
        pair = (a[name], b[name])
        assert pair == (
            tuple([one[s][side] for s in settings] for side in "ab") if one else (a[name], a[name])
        )
    status = {s["name"] for s in content["status"]}
    assert a.keys() ^ b.keys() == status | {*content["added"], *content["removed"]}


def test_exit_codes(cli, tiny):
    assert cli("diff", VIT, VIT).code == 0
    assert cli("diff", VIT, TRAPS).code == 1
    assert cli("diff", VIT, "nowhere.py").code == 2


def test_a_custom_key_with_dots_is_deleted(cli):
    result = cli("diff", SAMPLE, "--with", f"{KEYS}..pos_embed=DELETE")
    assert result.code == 1
    assert result.out.startswith("weight decay differs for 1 of 152 parameters\n")
    assert "custom key '.pos_embed' → base weight decay" in result.out


def test_edits_add_up_and_come_after_cfg_options(cli, tiny):
    edits = ("--with", f"{RATE}=0.5", "--with", "optim_wrapper.optimizer.lr=1e-4")
    result = cli("diff", tiny, *edits, "--cfg-options", f"{RATE}=0.9", "--format", "json")
    pairs = {s["key"]: (s["a"], s["b"]) for s in json.loads(result.out)["settings"]}
    assert pairs == {RATE: (0.9, 0.5), "optim_wrapper.optimizer.lr": (1e-3, 1e-4)}


def test_a_config_that_only_inherits_one_of_a_package_is_identical(cli, tmp_path):
    base = MAE.format("base", 100)
    (tmp_path / "own.py").write_text(f"_base_ = ['{base}']\n")
    assert cli("diff", base, tmp_path / "own.py").code == 0


def test_two_ways_to_say_the_same_are_identical(cli, tiny):
    result = cli("diff", tiny, "--with", f"{KEYS}..absent.decay_mult=0")
    assert result.code == 0
    assert result.out.startswith(
        "identical lr, lr_scale, weight decay and layer of 152 parameters ·\n"
        "1 config entry without effect on them\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([VIT], "give exactly one of OTHER, --with and --against"),
        ([VIT, TRAPS, "--with", "a=1"], "give exactly one of OTHER, --with and --against"),
        ([VIT, "--with", "a=1"], "a saved plan can't be overridden"),
        ([VIT, TRAPS, "--cfg-options", "a=1"], "a saved plan can't be overridden"),
        ([VIT, TRAPS, "--rtol", "-1"], "--rtol -1.0: expected a number from 0 to 1"),
        ([VIT, TRAPS, "--rtol", "nan"], "--rtol nan: expected a number from 0 to 1"),
        ([VIT, TRAPS, "--match", "layers"], "did you mean '*layers*'?"),
        ([VIT, TRAPS, "-o", TRAPS], "is the config itself"),
        ([VIT, TRAPS, "--rtol", "1"], "--rtol 1.0: expected a number from 0 to 1"),
        (["tiny.py", "--with", f"{RATE}"], "expected KEY=VALUE"),
        (["tiny.py", "--with", f"{RATE}s=DELETE"], "(did you mean 'layer_decay_rate'?)"),
        (["tiny.py", "--against", "main"], "not a git repository"),
    ],
)
def test_what_cannot_be_done_is_one_line(cli, tiny, arguments, message):
    result = cli("diff", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in " ".join(result.err.replace("│", " ").split())


def test_a_plan_of_a_newer_lldtool_is_an_error_that_says_so(cli, tmp_path):
    newer = tmp_path / "newer.json"
    newer.write_text(VIT.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    result = cli("diff", newer, VIT)
    assert result.code == 2
    assert "schema_version 2; this lldtool reads up to 1" in result.err
    assert "pip install --upgrade lldtool" in result.err


def test_a_plan_of_an_older_lldtool_is_compared_in_what_it_has(cli, tmp_path):
    content = json.loads(VIT.read_text())
    for header in ("optimizer", "optim_wrapper"):
        del content[header]["options"]
    older = tmp_path / "older.json"
    older.write_text(json.dumps(content))
    result = cli("diff", older, VIT)
    assert result.code == 0
    assert "A was saved by an lldtool that recorded lr and weight decay only" in " ".join(
        result.out.split()
    )


def test_a_reviewed_plan_against_the_config_of_today(cli, tiny):
    assert cli("inspect", tiny, "--format", "json", "-o", "reviewed.json").code == 0
    assert cli("diff", "reviewed.json", tiny).code == 0
    tiny.write_text(tiny.read_text().replace("0.75", "0.7"))
    assert cli("diff", "reviewed.json", tiny).code == 1
    ignored = ("--ignore", "lr", "--ignore", "lr_scale")
    result = cli("diff", "reviewed.json", tiny, *ignored)
    assert result.code == 0
    assert "not compared: lr, lr_scale" in result.out


def test_match_narrows_the_comparison(cli):
    result = cli("diff", VIT, TRAPS, "--match", "backbone.layers.3.*", "--ignore", "lr",
                 "--ignore", "lr_scale")  # fmt: skip
    assert result.out.startswith("weight decay differs for 8 of 12 parameters\n")
    assert "only names like backbone.layers.3.*" in result.out


def test_match_takes_classes_of_modules(cli):
    both = [cli("diff", VIT, TRAPS, "--match", m, "--format", "json").out
            for m in ("*.ln*", "type:LayerNorm")]  # fmt: skip
    by_name, by_class = (json.loads(out) for out in both)
    assert by_class["compared"] == by_name["compared"]
    assert by_class["changed"] == by_name["changed"] != []


def test_rtol_forgives(cli, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(VIT.read_text().replace('"lr": 0.004,', '"lr": 0.0040001,'))
    assert cli("diff", VIT, other).code == 1
    assert cli("diff", VIT, other, "--rtol", "1e-3").code == 0


BLOCKS = """
from mmpretrain.registry import MODELS
from mmpretrain.models import VisionTransformer

@MODELS.register_module()
class Mine(VisionTransformer):
    def get_layer_depth(self, name, prefix=''):
        depth, top = super().get_layer_depth(name, prefix)
        return (DEPTH if 'layers.3.' in name else depth), top
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A config, its base and its model's module; base and module were changed after `main`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.py").write_text(TINY_VIT)
    (tmp_path / "blocks.py").write_text(BLOCKS.replace("DEPTH", "depth"))
    (tmp_path / "x.py").write_text(
        "_base_ = ['base.py']\ncustom_imports = dict(imports=['blocks'])\n"
        "model = dict(backbone=dict(type='Mine'))\n"
    )
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_against_a_revision_the_base_of_the_revision_counts(repository):
    assert lldtool_process("diff", "x.py", "--against", "main", cwd=repository).code == 0
    (repository / "base.py").write_text(TINY_VIT.replace("0.75", "0.65"))
    result = lldtool_process("diff", "x.py", "--against", "main", cwd=repository)
    assert result.code == 1
    assert result.out.startswith("lr differs in 13 of 14 layers\n− A  x.py@main\n+ B  x.py\n")
    assert f"{RATE} 0.75 → 0.65" in result.out


def test_against_a_revision_its_own_modules_count(repository):
    (repository / "blocks.py").write_text(BLOCKS.replace("DEPTH", "0"))
    for arguments in (("x.py", "--against", "main"), ("x.py@main", "x.py")):
        result = lldtool_process("diff", *arguments, "--format", "json", cwd=repository)
        assert result.code == 1
        changed = json.loads(result.out)["changed"]
        assert {c["layer_id"]["a"] for c in changed} == {4}
        assert {c["layer_id"]["b"] for c in changed} == {0}
        assert {c["name"].rsplit("layers.3.")[0] for c in changed} == {"backbone."}


def test_a_saved_plan_at_a_revision(repository, cli):
    (repository / "plan.json").write_text(VIT.read_text())
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "two")
    (repository / "plan.json").write_text(TRAPS.read_text())
    assert cli("diff", "plan.json", "--against", "HEAD").code == 1
    assert cli("diff", "plan.json@HEAD", VIT).code == 0


def test_json_goes_to_the_file_and_nothing_to_stdout(cli, tmp_path):
    path = tmp_path / "diff.json"
    result = cli("diff", VIT, TRAPS, "--format", "json", "--output", path)
    assert (result.code, result.out, result.err) == (1, "", "")
    assert json.loads(path.read_text())["identical"] is False


def test_two_saved_plans_need_no_torch():
    script = (
        "import sys; from lldtool.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert not {'torch', 'mmengine', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "diff", str(VIT), str(TRAPS)], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 1, done.stderr


def test_the_diff_of_a_plan_is_that_of_its_json(cli, tiny):
    out = cli("inspect", tiny, "--format", "json").out
    assert plan_from_json(out).optimizer.options["betas"] == [0.9, 0.999]
    assert plan_from_json(out).optim_wrapper.options == {
        "accumulative_counts": 1, "clip_grad": None
    }  # fmt: skip


def test_a_directory_is_answered_with_a_config_in_it(cli):
    result = cli("diff", SAMPLES, SAMPLES / "traps.py")
    assert (result.code, result.out) == (2, "")
    assert f"name a config in it, such as {SAMPLES}/beit-base.py; lldtool check" in result.err


NET = """
from mmengine.model import BaseModel
from torch import nn

class Net(BaseModel):
    def __init__(self, frozen):
        super().__init__()
        self.backbone = nn.ModuleDict(dict(low=nn.Linear(2, 2), high=nn.Linear(2, 2)))
        self.head = nn.Linear(2, 2)
        self.backbone[frozen].requires_grad_(False)
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs
"""
DISJOINT = """
_base_ = []
default_scope = 'mmengine'
custom_imports = dict(imports=['net'])
model = dict(type='net.Net', frozen='high')
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=2e-3, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'backbone.high': dict(lr_mult=0.25)}))
"""


@pytest.mark.parametrize("form", ["table", "markdown", "json"])
def test_parts_that_only_one_side_trains_are_not_compared_with_each_other(tmp_path, form):
    """Both have a layer `backbone`, and no parameter of it in common."""
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "a.py").write_text(DISJOINT)
    change = "model.frozen=low"
    result = lldtool_process("diff", "a.py", "--with", change, "--format", form, cwd=tmp_path)
    assert (result.code, result.err) == (1, "")
    if form == "json":
        rows = json.loads(result.out)["layers"]
        assert [row["status"] for row in rows if row["differs"]] == [
            {"a": "trained", "b": "frozen"}, {"a": "frozen", "b": "trained"}
        ]  # fmt: skip
        assert [row["lr"] for row in rows] == [
            {"a": 2e-3, "b": None}, {"a": None, "b": 5e-4}, {"a": 2e-3, "b": 2e-3}
        ]  # fmt: skip
    else:
        assert "2.00e-3 → frozen" in result.out
        assert "frozen → 5.00e-4" in result.out
        assert "×" not in result.out
        assert "lr differs" not in result.out
