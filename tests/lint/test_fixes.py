"""A suggested fix is the narrowest, works, and changes nothing that its message does not say."""

import json

import pytest
from captures import dry_run_schedule
from pasting import pasted
from small_configs import ADAMW, LAYERS, MODEL, RESNET, SGD, SOUND, SWIN_V2, wrapper

from lldtool.config.edit import DELETE, PARAMWISE_CFG, Edit
from lldtool.config.request import Length, Request
from lldtool.dryrun import capture, warm
from lldtool.lint.diagnostics import Severity
from lldtool.lint.engine import check_config
from lldtool.lint.fixes import with_fixes
from lldtool.lint.policy import Policy
from lldtool.lint.rules import Rule
from lldtool.lint.rules.base import Fix

SWIN = SWIN_V2.replace("SwinTransformerV2", "SwinTransformer").replace("[2, 2, 2, 2]", "2")
CUSTOM_KEYS = (*PARAMWISE_CFG, "custom_keys")


@pytest.fixture
def findings(tmp_path, monkeypatch):
    """The findings in a config; other files beside it by name."""
    monkeypatch.syspath_prepend(tmp_path)

    def found(text, **others):
        for name, content in others.items():
            (tmp_path / f"{name}.py").write_text(content)
        path = tmp_path / "config.py"
        path.write_text(text)
        result = check_config(Policy(), Request(path, "config.py", own_process=bool(others)))
        assert result.error is None
        return result.diagnostics

    return found


@pytest.fixture
def plan_of(cli):
    def plan(path):
        return json.loads(cli("inspect", path, "--format", "json").out)["parameters"]

    return plan


def only(findings, code):
    (one,) = (finding for finding in findings if finding.code == code)
    return one


BASE = SOUND.replace("_base_ = []\n", "")
CHANGED = "_base_ = 'base.py'\noptim_wrapper = dict(paramwise_cfg=dict(%s))"


def test_misspelt_option_beside_the_right_one_is_to_be_deleted(findings):
    one = only(findings(CHANGED % "norm_decy_mult=0.", base=BASE), "LLD304")
    line = next(i for i, text in enumerate(BASE.splitlines(), 1) if "norm_decay_mult" in text)
    assert one.message.endswith(
        f"it is misspelt, and norm_decay_mult is 0 already (base.py:{line})"
    )
    assert one.suggestion == "# in optim_wrapper.paramwise_cfg, delete 'norm_decy_mult'"


@pytest.mark.parametrize(
    ("option", "code"), [("norm_decy_mult=0.5", "LLD304"), ("decay_rate=0.9", "LLD305")]
)
def test_where_both_names_have_a_value_it_is_said_which_counts_and_nothing_suggested(
    findings, option, code
):
    one = only(findings(CHANGED % option, base=BASE), code)
    counts = {"LLD304": "norm_decay_mult=0 counts", "LLD305": "layer_decay_rate=0.75 counts"}
    assert f"{counts[code]}; if you meant {option.partition('=')[2]}, write that" in one.message
    assert one.suggestion is None


@pytest.mark.parametrize(
    ("keys", "said", "suggestion"),
    [
        (
            "'backbone.layer0': dict(lr_mult=0.)",
            "there are 'backbone.layer1' to 'backbone.layer4' only",
            ["delete 'backbone.layer0'"],
        ),
        ("'v_bias': dict(decay_mult=0.), '.bias': dict(decay_mult=0.)", "matches no parameter",
         ["delete 'v_bias'"]),
        (
            "'backbne.layer1': dict(lr_mult=0.)",
            "did you mean 'backbone.layer1'?; with the fix, 30 tensors no longer train",
            ["'backbone.layer1': dict(lr_mult=0.0)"],
        ),
        # It would change nothing, as another key decides.
        ("'layr4': dict(lr_mult=.5), 'layer4.': dict(lr_mult=.5)", "matches no parameter",
         ["delete 'layr4'"]),
        (
            "'layer4.9.bn1': dict(lr_mult=.5), 'layer4.7.bn2': dict(lr_mult=.5)",
            "custom keys 'layer4.9.bn1' and 'layer4.7.bn2' match no parameter: "
            "'layer4' has 3 blocks only, 0 to 2",
            ["delete 'layer4.9.bn1'", "delete 'layer4.7.bn2'"],
        ),
        (
            "'layer1.0.bm1': dict(lr_mult=.5), 'layer1.1.bm1': dict(lr_mult=.5)",
            "did you mean 'layer1.0.bn1'?",
            ["'layer1.0.bn1': dict(lr_mult=0.5)", "'layer1.1.bn1': dict(lr_mult=0.5)"],
        ),
        (
            "'layer4.*.conv1': dict(lr_mult=.5)", "a key is a part of a name, not a pattern",
            ["'.layer4.0.conv1.'", "'.layer4.1.conv1.'", "'.layer4.2.conv1.'"],
        ),
        (
            r"'layer\\d.0.downsample': dict(lr_mult=.5)", "not a pattern",
            ["'.downsample.': dict(lr_mult=0.5)"],
        ),
    ],
)  # fmt: skip
def test_a_key_without_a_match_is_answered_with_what_the_model_has(
    findings, keys, said, suggestion
):
    one = only(findings(RESNET + wrapper(SGD, f"custom_keys={{{keys}}}")), "LLD301")
    assert said in one.message
    assert all(part in one.suggestion for part in suggestion)
    assert ("did you mean" in one.message) is ("did you mean" in said)


def test_keys_for_blocks_that_the_model_does_not_have_are_one_finding(findings):
    keys = ", ".join(
        f"'backbone.layers.{i}.{name}': dict(lr_mult=0.1)"
        for i in range(24)
        for name in ("ln1", "ln2")
    )
    one = only(findings(MODEL + wrapper(ADAMW, f"custom_keys={{{keys}}}")), "LLD301")
    assert one.message == (
        "24 custom keys, 'backbone.layers.12.ln1' to 'backbone.layers.23.ln2', match no parameter: "
        "'backbone.layers' has 12 blocks only, 0 to 11"
    )
    assert one.suggestion.count("delete") == 24


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        (
            RESNET + wrapper(SGD, "norm_decay_mult=0., custom_keys={'backbone': dict()}"),
            "delete 'backbone'",
        ),
        (
            RESNET + wrapper(SGD, "norm_decay_mult=0., custom_keys={'layer': dict(decay_mult=1)}"),
            "delete 'layer'",
        ),
        (
            MODEL + wrapper(LAYERS, "layer_decay_rate=.75, norm_decay_mult=0., bias_decay_mult=0., "
                            "custom_keys={'backbone': dict()}"),
            "delete 'backbone'",
        ),
        (
            RESNET + wrapper(SGD, "norm_decay_mult=0., custom_keys={'backbone': dict(lr_mult=.1)}"),
            "instead of 'backbone'\n'.conv': dict(lr_mult=0.1),\n"
            "# in optim_wrapper.paramwise_cfg.custom_keys\n"
            "'.downsample.0.': dict(lr_mult=0.1),\n"
            "'.bn': dict(lr_mult=0.1, decay_mult=0.0),\n"
            "'.downsample.1.': dict(lr_mult=0.1, decay_mult=0.0),",
        ),
    ],
)  # fmt: skip
def test_a_key_that_undoes_an_option_is_deleted_or_narrowed(
    findings, plan_of, tmp_path, text, suggestion
):
    found = findings(text)
    one = only(found, "LLD307")
    assert one.suggestion.partition("custom_keys, ")[2] == suggestion
    assert only(found, "LLD101").suggestion == one.suggestion
    path = tmp_path / "config.py"
    before = {p["name"]: p for p in plan_of(path)}
    pasted(one.suggestion, path)
    for p in plan_of(path):
        assert p["lr"] == before[p["name"]]["lr"]
        may_change = p["name"] in one.parameters
        assert (p["weight_decay"] == before[p["name"]]["weight_decay"]) is not may_change


def test_a_fix_in_the_default_constructor_names_the_narrowest_keys(findings):
    keys = "norm_decay_mult=0., bias_decay_mult=0., custom_keys={'.cls_token': dict(decay_mult=0.)}"
    one = only(findings(MODEL + wrapper(ADAMW, keys)), "LLD104")
    assert one.suggestion.splitlines()[1:] == ["'.pos_embed': dict(decay_mult=0.0),"]


KEYS_OF_TABLES = """norm_decay_mult=0., custom_keys={
    'absolute_pos_embed': dict(decay_mult=0.), 'relative_position_bias_table': dict(decay_mult=0.)}
"""


@pytest.mark.parametrize(
    ("text", "code", "severity"),
    [
        # Swin's recipe decays biases on purpose.
        (SWIN + wrapper(ADAMW, KEYS_OF_TABLES), "LLD102", Severity.info),
        (SWIN + wrapper(SGD, KEYS_OF_TABLES), "LLD102", None),
        (SWIN + wrapper(ADAMW, "custom_keys={'.bias': dict(decay_mult=0.)}"), "LLD101",
         Severity.error),
        (SWIN + wrapper(ADAMW, "custom_keys={'norm1': dict(decay_mult=0.)}"), "LLD101",
         Severity.error),
        (SWIN + wrapper(ADAMW, "custom_keys={'.gn': dict(decay_mult=0.)}"), "LLD101",
         Severity.error),
        (SWIN + wrapper(ADAMW, "custom_keys={'head': dict(decay_mult=0.)}"), "LLD102",
         Severity.info),
        (MODEL + wrapper(LAYERS, "layer_decay_rate=.75"), "LLD101", Severity.warning),
        (MODEL + wrapper(LAYERS, "layer_decay_rate=.75"), "LLD102", Severity.warning),
        (MODEL + wrapper(LAYERS, "layer_decay_rate=.75"), "LLD104", Severity.warning),
        (MODEL + wrapper(LAYERS, "layer_decay_rate=.75, custom_keys={'.ln1': "
                         "dict(decay_mult=0.)}"), "LLD101", Severity.error),
    ],
)  # fmt: skip
def test_weight_decay_is_as_serious_as_the_config_says_of_the_kind(findings, text, code, severity):
    found = {finding.code: finding.severity for finding in findings(text)}
    assert found.get(code) is severity


FLOOR = "param_scheduler = [%s]\ntrain_cfg = dict(by_epoch=True, max_epochs=40)\n"
COSINE = "dict(type='CosineAnnealingLR', eta_min=%s, begin=%s, end=%s, T_max=20)"


@pytest.mark.parametrize(
    ("schedulers", "severities"),
    [
        # The lr goes up to a peak and comes down again, as in mmdet3d's cyclic schedules.
        (f"{COSINE % (1e-2, 0, 20)}, {COSINE % (0, 20, 40)}", []),
        (f"{COSINE % (1e-2, 0, 20)}, {COSINE % (1e-4, 20, 40)}", [Severity.error]),
        (f"{COSINE % (1e-4, 0, 20)}, {COSINE % (0, 20, 40)}", [Severity.warning]),
        (f"{COSINE % (1e-2, 0, 20)}, dict(type='MultiStepLR', milestones=[30], begin=20)",
         [Severity.error]),
        (COSINE % (1e-2, 0, 20), [Severity.error]),
    ],
)  # fmt: skip
def test_a_rise_is_an_error_where_the_lr_ends_above_its_start(findings, schedulers, severities):
    found = [f for f in findings(SOUND + FLOOR % schedulers) if f.code == "LLD205"]
    assert [f.severity for f in found] == severities


def test_a_floor_above_lrs_that_keys_give_becomes_a_ratio_of_the_base_lr(findings):
    keys = "custom_keys={'backbone': dict(lr_mult=1e-3), 'head': dict(lr_mult=10.)}"
    text = RESNET + wrapper(ADAMW, keys) + FLOOR % (COSINE % (1e-5, 0, 40))
    assert "eta_min_ratio=0.01," in only(findings(text), "LLD205").suggestion


def test_a_floor_that_trains_what_a_key_froze_is_fixed_and_the_message_says_so(findings):
    text = RESNET + wrapper(SGD, "custom_keys={'backbone': dict(lr_mult=0.)}")
    one = only(findings(text + FLOOR % (COSINE % (1e-5, 0, 40))), "LLD205")
    assert one.message.endswith("; with the fix, 159 tensors no longer train")
    assert "eta_min_ratio" in one.suggestion


@pytest.mark.parametrize("options", ["total_steps=50", "total_steps=100", "begin=0, end=50"])
def test_a_cosine_in_the_place_of_one_cycle_never_rises_again(findings, tmp_path, options):
    scheduler = f"param_scheduler = [dict(type='OneCycleLR', eta_max=1e-3, {options})]\n"
    one = only(findings(SOUND + "train_cfg = dict(max_epochs=100)\n" + scheduler), "LLD206")
    path = tmp_path / "config.py"
    path.write_text(SOUND + "train_cfg = dict(max_epochs=100, by_epoch=True)\n" + one.suggestion)
    schedule = dry_run_schedule(Request(path, "config.py"), Length())
    assert schedule.steps == 100
    for curve in schedule.curves:
        assert list(curve.lrs) == sorted(curve.lrs, reverse=True)
        assert curve.lrs[-1] < curve.lrs[0] / 1000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MODEL + wrapper(ADAMW, "layer_decay_rate=.5"),
         "LearningRateDecayOptimWrapperConstructor' decays the lr by layers"),
        (MODEL + wrapper(ADAMW, "decay_rate=.5"), "and calls the rate 'layer_decay_rate'"),
        (MODEL + wrapper(f"{ADAMW}, constructor='Plain'", "layer_decay_rate=.5"),
         "LearningRateDecayOptimWrapperConstructor' decays the lr by layers"),
        # It does not know the depth of this one's layers.
        (RESNET.replace("depth=50", "depth=18").replace("2048", "512")
         + wrapper(SGD, "layer_decay_rate=.5"), None),
    ],
)  # fmt: skip
def test_the_constructor_that_knows_layers_is_named_where_it_works(findings, text, said):
    own = (
        "from mmengine.optim import DefaultOptimWrapperConstructor\n"
        "from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS\n"
        "@OPTIM_WRAPPER_CONSTRUCTORS.register_module()\n"
        "class Plain(DefaultOptimWrapperConstructor):\n    pass\n"
    )
    text += "custom_imports = dict(imports=['plain_constructor'])\n"
    one = only(findings(text, plain_constructor=own), "LLD305")
    assert ("decays the lr by layers" in one.message) is (said is not None)
    assert said is None or said in one.message
    assert "constructor=" in (one.suggestion or "") or said is None


@pytest.mark.parametrize(("value", "hint"), [("0.", True), ("1.", False)])
def test_an_entry_is_called_misspelt_where_the_right_one_has_an_effect(findings, value, hint):
    keys = f"custom_keys={{'.cls_token': dict(decay_mul={value})}}"
    one = only(findings(MODEL + wrapper(ADAMW, keys)), "LLD308")
    assert ("did you mean 'decay_mult'?" in one.message) is hint
    assert ("decay_mult=" in one.suggestion) is hint


def test_entries_of_keys_that_the_constructor_never_reads_are_one_finding(findings):
    """As in mmpose's ViTPose: it prints its options, and reads the rate alone."""
    own = (
        "from mmpretrain.engine import LearningRateDecayOptimWrapperConstructor\n"
        "from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS\n"
        "@OPTIM_WRAPPER_CONSTRUCTORS.register_module()\n"
        "class Prints(LearningRateDecayOptimWrapperConstructor):\n"
        "    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):\n"
        "        print(paramwise_cfg)\n"
        "        rate = paramwise_cfg.get('layer_decay_rate')\n"
        "        super().__init__(optim_wrapper_cfg, dict(layer_decay_rate=rate))\n"
    )
    keys = "custom_keys={'bias': dict(decay_multi=0.), 'norm': dict(decay_mult=0.)}"
    text = MODEL + wrapper(f"{ADAMW}, constructor='Prints'", f"layer_decay_rate=.75, {keys}")
    text += "custom_imports = dict(imports=['prints_options'])\n"
    codes = [f.code for f in findings(text, prints_options=own) if f.code.startswith("LLD3")]
    assert codes == ["LLD305"]


class Proposing(Rule):
    """A rule that finds something and proposes what it is told to."""

    code = name = "LLD999"

    def __init__(self, *fixes, **flags):
        self.found = self.diagnostic("something", ("x",), (), fixes, **flags)


def fixed(tmp_path, text, rule):
    """What comes of a rule's finding when its fixes are tried on a config."""
    path = tmp_path / "config.py"
    path.write_text(text)
    with warm():
        found = capture(Request(path, "config.py"))
        (one,) = with_fixes([rule.found], [rule], Policy(), found)
    return one


FREEZE = Edit((*CUSTOM_KEYS, "backbone."), {"lr_mult": 0.0})


@pytest.mark.parametrize(
    ("proposed", "message"),
    [
        (Fix([FREEZE]), None),
        (Fix([FREEZE], "; hint", may_retrain=True),
         "something; hint; with the fix, 159 tensors no longer train"),
        (Fix([Edit((*CUSTOM_KEYS, "backbone.layer1"), DELETE)], must_change=True), None),
        (Fix([Edit(("optim_wrapper", "optimizer", "type"), "Nothing")]), None),
        (Fix([Edit(("model", "type"), "x")]), None),
    ],
)  # fmt: skip
def test_a_fix_is_kept_only_where_it_does_what_the_rule_allows(tmp_path, proposed, message):
    one = fixed(tmp_path, RESNET + wrapper(SGD, "custom_keys={}"), Proposing(proposed))
    assert list(one.fixes) == ([proposed.edits] if message else [])
    assert one.message == (message or "something")


def test_what_starts_to_train_with_a_fix_is_said(tmp_path):
    text = RESNET + wrapper(SGD, "custom_keys={'head.fc.bias': dict(lr_mult=0.)}")
    thaw = Fix([Edit((*CUSTOM_KEYS, "head.fc.bias"), DELETE)], may_retrain=True)
    one = fixed(tmp_path, text, Proposing(thaw))
    assert one.message == "something; with the fix, 1 more tensor trains"


@pytest.mark.parametrize(
    ("length", "T_max", "works"),
    [
        ("train_cfg = dict(by_epoch=True, max_epochs=100)", 50, False),
        ("train_cfg = dict(by_epoch=True, max_epochs=100)", 100, True),
        ("", 50, False),
        ("train_cfg = dict(type='IterBasedTrainLoop', max_iters=60)", 50, False),
        # Too long to be stepped in a check.
        ("train_cfg = dict(type='IterBasedTrainLoop', max_iters=160000)", 50, True),
    ],
)
def test_a_schedule_that_rises_again_is_not_suggested(tmp_path, length, T_max, works):  # noqa: N803
    scheduler = {"type": "CosineAnnealingLR", "T_max": T_max, "by_epoch": "Iter" not in length}
    rule = Proposing([Edit(("param_scheduler",), [scheduler])])
    one = fixed(tmp_path, f"{SOUND}\n{length}\n", rule)
    assert bool(one.fixes) is works


def test_a_schedule_that_rises_as_before_is_suggested(tmp_path):
    text = SOUND + FLOOR % "dict(type='CosineAnnealingLR', T_max=10, eta_min=1e-4)"
    rule = Proposing([Edit(("param_scheduler", "0", "eta_min"), 0.0)])
    assert fixed(tmp_path, text, rule).fixes
