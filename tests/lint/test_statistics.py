"""BatchNorm layers that do not train and still move, in real models."""

import json

import pytest

SGD = "optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)"
CLASSIFIER = """
_base_ = []
default_scope = 'mmpretrain'
model = dict(type='ImageClassifier', backbone=dict(%s),
             head=dict(type='LinearClsHead', num_classes=10, in_channels=%d))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1), paramwise_cfg=dict(
    custom_keys={'%s': dict(lr_mult=0)}))
"""


@pytest.fixture
def findings(cli, tmp_path):
    def found(config):
        if "::" not in config:
            (tmp_path / "config.py").write_text(config)
            config = tmp_path / "config.py"
        result = cli("check", config, "--format", "json", "--select", "LLD407")
        return json.loads(result.out)["configs"][0]["findings"]

    return found


@pytest.mark.parametrize(
    ("backbone", "channels", "key", "severity", "suggestion"),
    [
        ("type='ResNet', depth=18", 512, "backbone", "info", True),
        ("type='ResNet', depth=18, norm_eval=True", 512, "backbone", None, False),
        ("type='ResNet', depth=18, frozen_stages=4", 512, "backbone", None, False),
        # In eval mode the layers that train would be, too.
        ("type='ResNet', depth=18", 512, "backbone.layer1", "warning", False),
        ("type='MobileNetV2'", 1280, "backbone", "info", True),
        # Takes no norm_eval.
        ("type='DenseNet', arch='121'", 1024, "backbone", "info", False),
        ("type='VisionTransformer', arch='deit-tiny', img_size=32", 192, "backbone", None, False),
        ("type='ResNet', depth=18", 512, "nothing", None, False),
    ],
)
def test_norm_eval_is_suggested_where_it_helps(
    findings, backbone, channels, key, severity, suggestion
):
    found = findings(CLASSIFIER % (backbone, channels, key))
    assert [one["severity"] for one in found] == [severity][: severity is not None]
    assert [bool(one["suggestion"]) for one in found] == [suggestion][: severity is not None]


@pytest.mark.parametrize(
    "config",
    [
        "mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k.py",  # encoder_k
        "byol/byol_resnet50_16xb256-coslr-200e_in1k.py",  # target_net
        "mocov3/benchmarks/resnet50_8xb128-linear-coslr-90e_in1k.py",
    ],
)
def test_momentum_encoders_and_frozen_stages_are_not_reported(findings, config):
    assert findings(f"mmpretrain::{config}") == []
