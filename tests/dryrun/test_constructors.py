"""Constructors that are hard to follow, against what mmengine builds with real initialisation."""

import functools
import json
import os

import constructors
import pytest
from captures import dry_run_keys, dry_run_schedule
from conftest import lldtool_process, reference, settings, slow

import lldtool
from lldtool.config.request import Length, Request
from lldtool.dryrun.batches import plan, plans
from lldtool.dryrun.session import in_fresh_process
from lldtool.errors import LldtoolError

#: Those that go by values of the parameters, or by random numbers.
BY_VALUE = [
    "Adapts", "ByBytes", "ByLargest", "ByList", "ByNorm", "ByNumpy", "ByPointer", "ByState",
    "Draws", "Flexible", "TenTimesForZeros",
]  # fmt: skip
#: One for each way to be hard to follow; the others take as long again.
QUICK = {"ByNorm", "Counts", "Adapts", "ByJson", "ByPattern", "LargeGroups", "Tied", "Runner"}
NOTE = "the constructor goes by initial values or random numbers; "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("constructors")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in constructors.CONFIGS:
            constructors.write(folder, monkeypatch, name)
        yield folder


@pytest.fixture(scope="module")
def expected(folder):
    @functools.cache
    def of_all(are_quick):
        env = {**os.environ, "PYTHONPATH": str(folder)}
        names = [name for name in constructors.CONFIGS if (name in QUICK) == are_quick]
        return reference([folder / f"{name}.py" for name in names], cwd=folder, env=env)

    return lambda path: of_all(path.stem in QUICK)[str(path)]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else slow(name) for name in constructors.CONFIGS]
)
def test_the_plan_is_what_mmengine_builds(folder, expected, name):
    path = folder / f"{name}.py"
    truth = expected(path)
    if "error" in truth:
        with pytest.raises(LldtoolError, match="in two groups"):
            lldtool.dry_run(path)
        assert name == "Tied"
        return
    found = lldtool.dry_run(path)
    assert settings(found) == truth["settings"]
    by_value = [note for note in found.notes if note.startswith(NOTE)]
    seeded = f"{NOTE}these are those of seed 7 on a CPU"
    assert by_value == ([seeded] if name in BY_VALUE else [])


@pytest.mark.slow
def test_without_a_seed_it_is_said_that_values_vary(tmp_path, monkeypatch):
    path = constructors.write(tmp_path, monkeypatch, "ByNorm", "randomness = dict()\n")
    varying = f"{NOTE}the config sets no seed, so settings vary from run to run"
    assert varying in lldtool.dry_run(path).notes


def test_values_that_a_missing_checkpoint_would_give_are_not_guessed(tmp_path, monkeypatch):
    loads = "model['head'].update(type='LoadsInInit', path='nowhere.pth')\n"
    path = constructors.write(tmp_path, monkeypatch, "ByNorm", loads)
    with pytest.raises(LldtoolError, match=r"parameters' values, and .*nowhere\.pth"):
        lldtool.dry_run(path)


@pytest.mark.slow
def test_a_plan_leaves_the_model_as_it_was_for_the_schedule(folder):
    for name in ("Counts", "FirstTime", "Iterates", "Doubles", "ByNorm", "Adapts"):
        schedule = dry_run_schedule(Request(folder / f"{name}.py", name), Length(2))
        started = {p: curve.lrs[0] for curve in schedule.curves for p in curve.parameters}
        assert started == {p.name: p.lr for p in schedule.plan.trained}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Counts", "FirstTime", "FreezesTheFirst", "CountsBlocks"])
def test_plans_made_together_are_those_made_alone(folder, name):
    path = folder / f"{name}.py"
    edit = "optim_wrapper.optimizer.lr=0.5"
    requests = [Request(path, name), Request(path, name, edits=(edit,)), Request(path, name)]
    one, other, again = in_fresh_process(plans, *requests)
    alone, edited = (in_fresh_process(plan, request) for request in requests[:2])
    assert settings(one) == settings(again) == settings(alone)
    assert settings(other) == settings(edited)


@pytest.mark.slow
def test_what_a_key_does_is_not_what_the_number_of_runs_does(folder):
    for name in ("Counts", "FreezesTheFirst", "Adapts"):
        _, keys = dry_run_keys(Request(folder / f"{name}.py", name))
        (head,) = (key for key in keys if key.name == "head")
        assert head.effect.moved == 0
        assert head.effect.settings <= 2


def test_what_a_constructor_prints_is_printed_once(tmp_path):
    (tmp_path / "own.py").write_text(
        "from mmengine.optim import DefaultOptimWrapperConstructor\n"
        "from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS\n\n\n"
        "@OPTIM_WRAPPER_CONSTRUCTORS.register_module()\n"
        "class Prints(DefaultOptimWrapperConstructor):\n"
        "    def __call__(self, model):\n"
        "        print('options', self.paramwise_cfg)\n"
        "        return super().__call__(model)\n"
    )
    text = constructors.CONFIGS["ByJson"].replace("constructors_module", "own")
    (tmp_path / "x.py").write_text(text.replace("ByJson", "Prints"))
    for command in (["inspect"], ["explain", "--keys"], ["schedule", "--epoch-length", "2"]):
        done = lldtool_process(command[0], "x.py", *command[1:], cwd=tmp_path)
        assert done.code == 0, done.err
        assert done.err.count("options") == 1, command
    done = lldtool_process("inspect", "x.py", "--format", "json", cwd=tmp_path)
    assert json.loads(done.out)["parameters"]
