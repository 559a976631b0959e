"""A capture is data, an error included; trials give the plans of edited configs."""

import pickle
from dataclasses import replace

import pytest
from conftest import TINY_VIT

from lldtool.config.edit import DELETE, PARAMWISE_CFG, Edit
from lldtool.config.request import Request
from lldtool.dryrun import Want, capture, dry_run, trial, warm
from lldtool.dryrun.capturing import _kept
from lldtool.errors import ConstructorError, Culprit, LldtoolError

RATE = (*PARAMWISE_CFG, "layer_decay_rate")
EDITS = [
    [Edit(RATE, 0.5)],
    [Edit(("optim_wrapper", "optimizer", "type"), "Nothing")],
    [Edit(("model", "backbone", "frozen_stages"), 3)],
    [Edit(RATE, DELETE)],
    [Edit(("default_hooks", "logger"), None)],
]


@pytest.fixture
def request_of(tmp_path):
    def written(text):
        path = tmp_path / "config.py"
        path.write_text(text)
        return Request(path, "config.py")

    return written


def test_a_capture_is_plain_data(request_of):
    found = capture(request_of(TINY_VIT), Want(effects="all", files=True))
    again = pickle.loads(pickle.dumps(found))
    assert (again.plan, again.effects) == (found.plan, found.effects)
    assert "config.py" in {path.name for path in again.files}
    assert set(found.effects.removed) == {("layer_decay_rate",)}


def test_an_error_is_part_of_a_capture_and_can_be_sent(request_of):
    request = request_of("_base_ = 'gone.py'")
    found = pickle.loads(pickle.dumps(capture(request, Want(files=True))))
    assert found.plan is None
    assert found.error.config == "config.py"
    assert "config.py" in {path.name for path in found.files}
    with pytest.raises(LldtoolError, match=r"gone\.py"):
        dry_run(request)


def test_the_files_of_an_error_in_a_fresh_process_are_known(request_of, tmp_path):
    (tmp_path / "reads_values.py").write_text(
        "from mmengine.optim import DefaultOptimWrapperConstructor\n"
        "from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS\n"
        "@OPTIM_WRAPPER_CONSTRUCTORS.register_module()\n"
        "class ReadsValues(DefaultOptimWrapperConstructor):\n"
        "    def __call__(self, model):\n"
        "        if float(next(model.parameters()).sum()) != 1e9:\n"  # starts over
        f"            open({str(tmp_path / 'only_then.txt')!r}).close()\n"
        "            raise ValueError('oh')\n"
    )
    (tmp_path / "only_then.txt").write_text("")
    text = TINY_VIT.replace("LearningRateDecayOptimWrapperConstructor", "ReadsValues")
    text += "custom_imports = dict(imports=['reads_values'])\n"
    text = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{text}"
    found = capture(request_of(text), Want(files=True))
    assert "oh" in found.error.message
    assert {"config.py", "reads_values.py"} <= {path.name for path in found.files}


def test_trials_give_the_plans_of_the_edited_configs_warm_or_not(request_of):
    request = request_of(TINY_VIT)
    with warm():
        before = capture(request).plan
        warm_ones = trial(request, EDITS)
    assert not _kept
    cold = trial(request, EDITS)
    slower, broken, frozen, undecayed, foreign = warm_ones
    assert [one.plan for one in cold] == [one.plan for one in warm_ones]
    assert slower.plan == replace(
        dry_run(replace(request, cfg_options={".".join(RATE): 0.5})), config="config.py"
    )
    assert "Nothing" in broken.error.message
    assert len(frozen.plan.frozen) > len(before.frozen)
    assert {p.lr_scale for p in undecayed.plan.parameters} == {1.0}
    assert "default_hooks" in foreign.error.message
    with warm():
        assert capture(request).plan == before


def test_an_error_with_other_fields_is_another_error():
    first = ConstructorError("it raised", certain=False, culprit=Culprit(("a",), "no"))
    first.__cause__ = ValueError("why")
    second = first.with_config("x.py").replace(message="it did")
    assert (str(first), str(second)) == ("it raised", "x.py: it did")
    assert (second.culprit, second.certain, second.__cause__) == (
        first.culprit, False, first.__cause__,
    )  # fmt: skip
    assert second.with_config("y.py") is second
    assert str(pickle.loads(pickle.dumps(second))) == str(second)
