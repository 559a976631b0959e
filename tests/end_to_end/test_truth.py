"""Plans are bit-equal to the optimizer that mmengine builds, in a process without lldtool."""

import pytest
from conftest import SAMPLES, layer_decay_configs, reference, settings

import lldtool
from lldtool.config import locate


@pytest.fixture(scope="module")
def zoo_reference():
    return reference(
        [locate(f"mmpretrain::{n}").path for n in layer_decay_configs()], "--skip-init"
    )


@pytest.fixture(scope="module")
def sample_reference():
    return reference(sorted(SAMPLES.glob("*.py")), "--skip-init")


def test_there_are_21_layer_decay_configs_in_the_zoo():
    assert len(layer_decay_configs()) == 21


@pytest.mark.parametrize("name", layer_decay_configs())
def test_zoo_config(name, zoo_reference):
    plan = lldtool.dry_run(f"mmpretrain::{name}")
    assert settings(plan) == zoo_reference[str(locate(f"mmpretrain::{name}").path)]["settings"]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_sample_config(path, sample_reference):
    plan = lldtool.dry_run(path)
    assert settings(plan) == sample_reference[str(path)]["settings"]


def test_initialisation_changes_no_setting(sample_reference):
    path = SAMPLES / "resnet50.py"
    assert reference([path])[str(path)] == sample_reference[str(path)]


@pytest.mark.parametrize(
    "name", ["swin-tiny.py", "resnet50_lr-mult.py", "vit-small_pure-python.py"]
)
def test_real_imports_give_the_same_plan(name):
    from lldtool.config.request import Request
    from lldtool.dryrun.batches import plan
    from lldtool.dryrun.session import start_over

    path = SAMPLES / name
    real = start_over(plan, Request(path, str(path)))
    assert settings(real) == settings(lldtool.dry_run(path))
    assert real.parameters == lldtool.dry_run(path).parameters
