"""What a script gets from `import lldtool`, and what a fleet's worker does, in this process."""

from dataclasses import replace

import pytest
from conftest import TINY_VIT

import lldtool
from lldtool.config.request import Length, Request
from lldtool.dryrun import Want
from lldtool.lint.engine import capture_and_check
from lldtool.lint.policy import Policy

PLAN = "tests/output/plans/vit-base_layer-decay.json"
DECAYED = TINY_VIT.replace(
    "layer_decay_rate=0.75",
    "layer_decay_rate=0.75, norm_decay_mult=0.0, custom_keys={'head.fc.bias': dict(decay_mult=0.)}",
)


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no settings are
    path = tmp_path / "config.py"
    path.write_text(DECAYED)
    return path


def test_check_returns_the_findings_of_a_config(config):
    found = lldtool.check(config)
    assert [(f.code, f.severity.value) for f in found] == [
        ("LLD102", "error"),
        ("LLD104", "warning"),
    ]
    assert [f.code for f in lldtool.check(config, fail_on="error")] == ["LLD102"]
    assert [f.code for f in lldtool.check(config, ignore=["LLD102"])] == ["LLD104"]
    assert lldtool.check(config, select=["LLD101"]) == ()
    excluded = {"optim_wrapper.paramwise_cfg.bias_decay_mult": 0.0}
    found = lldtool.check(config, cfg_options=excluded, ignore=["LLD303"])
    assert [f.code for f in found] == ["LLD104"]


def test_check_of_a_plan_finds_the_same_without_places(config):
    plan = lldtool.dry_run(config)
    found = lldtool.check(plan)
    assert [f.code for f in found] == ["LLD102", "LLD104"]
    assert {(f.place, f.suggestion) for f in found} == {(None, None)}
    assert [f.parameters for f in found] == [f.parameters for f in lldtool.check(config)]


def test_check_of_a_saved_plan():
    assert lldtool.check(PLAN, select=["LLD1"]) == lldtool.check(
        lldtool.load_plan(PLAN), select=["LLD1"]
    )


def test_check_says_what_it_cannot_do(config):
    with pytest.raises(lldtool.LldtoolError, match="fail_on is 'never'"):
        lldtool.check(config, fail_on="never")
    config.write_text("raise ValueError('oh')")
    with pytest.raises(lldtool.LldtoolError, match=r"config\.py: ValueError: oh"):
        lldtool.check(config)


def test_an_attribute_that_there_is_not():
    assert lldtool.__version__
    with pytest.raises(AttributeError, match="nothing"):
        _ = lldtool.nothing


def captured(path, length=None):
    request = Request(path=path, name=path.name, length=length or Length())
    return capture_and_check(Policy(), request, Want(steps=length is not None, files=True))


def test_a_capture_has_the_plan_the_schedule_and_the_files(config):
    (config.parent / "base.py").write_text(DECAYED)
    config.write_text("_base_ = 'base.py'")
    found, result = captured(config, Length(2, None, 3))
    alone = lldtool.dry_run(config)
    assert replace(found.plan, schedule=None) == replace(alone, config=config.name, schedule=None)
    assert (found.plan.schedule.length, found.plan.schedule.iterations) == (3, 6)
    assert [f.code for f in result.diagnostics] == ["LLD102", "LLD104"]
    assert {path.name for path in found.files} == {"base.py", "config.py"}
    assert (found.schedule.steps, found.no_schedule) == (6, None)
    assert captured(config)[0].schedule is None


def test_a_capture_says_why_there_is_no_schedule(config):
    config.write_text(DECAYED + "param_scheduler = dict(type='LinearLR', by_epoch=False, end=3)")
    found, _ = captured(config, Length(None, None, None))
    assert found.plan is not None
    assert "max_epochs" in found.no_schedule.message


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise ValueError('oh')", "ValueError: oh"),
        (DECAYED.replace("AdamW", "AdamV"), "AdamV"),
        (DECAYED.replace(", weight_decay=0.05", ""), "weight_decay"),
    ],
)
def test_a_capture_says_why_there_is_no_plan(config, text, error):
    config.write_text(text)
    found, result = captured(config)
    assert found.plan is None
    assert error in result.error


def test_fixes_that_add_one_dict_are_combined(config):
    (line,) = [line for line in TINY_VIT.splitlines() if "paramwise_cfg" in line]
    config.write_text(TINY_VIT.replace(line, ")"))
    fixes = [f.suggestion for f in lldtool.check(config) if "custom_keys" in (f.suggestion or "")]
    assert len(set(fixes)) == 1
    assert len(fixes) > 1


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ("LLD102", None),
        ("LLD101", "LLD101"),
        ("", None),
        ("LLD1", None),
        ("LLD101, LLD102", "LLD101"),
        ("LLD999", "LLD999"),
    ],
)
def test_a_comment_that_ignores_nothing_is_found(config, codes, message):
    comment = f"# lldtool: ignore[{codes}]" if codes else "# lldtool: ignore"
    (line,) = [line for line in DECAYED.splitlines() if "paramwise_cfg" in line]
    config.write_text(DECAYED.replace(line, f"{line}  {comment}"))
    unused = [f.message for f in lldtool.check(config, select=["ALL"]) if f.name == "unused-ignore"]
    assert len(unused) == (message is not None)
    assert all(message in one for one in unused)


def test_a_constructor_that_raises_is_found_with_its_fix(config):
    frozen = "head=dict(type='LinearClsHead', num_classes=10, in_channels=192)"
    text = DECAYED.replace(", weight_decay=0.05", "")
    assert frozen in text
    config.write_text(text)
    with pytest.raises(lldtool.LldtoolError, match="no weight_decay"):
        lldtool.check(config)
    _, result = captured(config)
    (finding,) = result.diagnostics
    assert "weight_decay=" in finding.suggestion
