"""mmdet, mmseg, mmpose, mmaction2 on mmcv-lite: plans equal mmengine's, reasons are verified.

In the environment that `tests/relatives/make_venv.sh` makes: `pytest -m relatives`.
"""

import importlib.util
import os
from pathlib import Path

import pytest
from conftest import lldtool_process, reference, settings, unexplained

import lldtool
from lldtool.errors import LldtoolError

pytestmark = pytest.mark.relatives

RELATIVES = ("mmaction", "mmdet", "mmpose", "mmseg")
CONFIGS = Path(__file__).parent / "configs"
OWN_CONFIGS = sorted(CONFIGS.glob("*-*.py"))
#: Name `mmcls.VisionTransformer`, a package of the 0.x releases.
BROKEN_UPSTREAM = {
    f"td-hm_ViTPose-{size}_8xb64-210e_humanart-256x192.py" for size in ("huge", "large")
}


def configs(package):
    spec = importlib.util.find_spec(package)
    if spec is None:  # this is not the environment of make_venv.sh, and the marker deselects
        return []
    paths = Path(spec.submodule_search_locations[0], ".mim", "configs").rglob("*.py")
    return sorted(path for path in paths if "_base_" not in path.parts)


def configs_with_layer_decay(package):
    """Every config that names a layer-decay constructor, and every one with such a base."""
    texts = {path: path.read_text() for path in configs(package)}
    found = {path for path, text in texts.items() if "DecayOptim" in text}
    while heirs := {
        path for path in texts.keys() - found if any(base.name in texts[path] for base in found)
    }:
        found |= heirs
    return sorted(found)


CONFIGS_WITH_LAYER_DECAY = [p for package in RELATIVES for p in configs_with_layer_decay(package)]
#: Of the others, whatever their constructor.
EVERY_40TH = [path for package in RELATIVES for path in configs(package)[20::40]]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Path -> what mmengine says, in one process without lldtool."""
    paths = [*CONFIGS_WITH_LAYER_DECAY, *OWN_CONFIGS, *EVERY_40TH]
    answers = reference(
        paths,
        "--skip-init",
        env={**os.environ, "PYTHONPATH": str(CONFIGS)},
        cwd=tmp_path_factory.mktemp("reference"),
    )
    return {Path(path): answer for path, answer in answers.items()}


def test_there_are_31_layer_decay_configs():
    counts = {package: len(configs_with_layer_decay(package)) for package in RELATIVES}
    assert counts == {"mmaction": 3, "mmdet": 4, "mmpose": 12, "mmseg": 12}


@pytest.mark.parametrize(
    "path", [*CONFIGS_WITH_LAYER_DECAY, *OWN_CONFIGS], ids=lambda path: path.stem
)
def test_plan_is_mmengines_and_every_reason_is_verified(path, expected, monkeypatch):
    monkeypatch.syspath_prepend(CONFIGS)  # for the model made by hand
    if path.name in BROKEN_UPSTREAM:
        assert "mmcls.VisionTransformer" in expected[path]["error"]
        with pytest.raises(LldtoolError, match=r"unknown type 'mmcls\.VisionTransformer'"):
            lldtool.dry_run(path)
        return
    plan = lldtool.dry_run(path)
    assert settings(plan) == expected[path]["settings"]
    assert unexplained(plan) == []


@pytest.mark.parametrize("path", EVERY_40TH, ids=lambda path: path.stem)
def test_only_compiled_operators_are_an_error_where_mmengine_builds(path, expected):
    try:
        plan = lldtool.dry_run(path)
    except LldtoolError as error:
        needs_operator = "Conv2d" in error.message and error.hint == "pip install mmcv"
        assert needs_operator or "error" in expected[path]
    else:
        assert settings(plan) == expected[path]["settings"]


def test_the_command_gives_the_same_plan(expected, tmp_path):
    # The command stands in for more, and mmdet comes first in its process.
    path = CONFIGS_WITH_LAYER_DECAY[3]
    saved = tmp_path / "plan.json"
    result = lldtool_process("inspect", path, "--format", "json", "--output", saved)
    assert result.code == 0, result.err
    plan = lldtool.load_plan(saved)
    assert settings(plan) == expected[path]["settings"]
    assert "a stub replaces mmcv._ext, which is not installed" in plan.notes


def test_a_compiled_operator_without_parameters_is_no_error():
    plan = lldtool.dry_run("mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py")  # RoIAlign
    assert plan.model.type == "MaskRCNN"


@pytest.mark.parametrize(
    ("config", "operator"),
    [
        ("mmdet::dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py", "DeformConv2d"),
        ("mmdet::dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py", "ModulatedDeformConv2d"),
    ],
)
def test_a_compiled_operator_with_parameters_is_an_error_that_says_what_to_install(
    config, operator
):
    result = lldtool_process("inspect", config)
    assert (result.code, result.out) == (2, "")
    assert result.err.strip().replace("\n", " ") == (
        f"error: {config}: the model needs {operator}Pack of mmcv.ops, which is not installed "
        "(pip install mmcv)"
    )
