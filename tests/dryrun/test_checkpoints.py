"""Models that load a checkpoint while they are built, where there is one and where not."""

import json
import textwrap

import pytest
import torch
from conftest import lldtool_process

LORA = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='LoRAModel', rank=4, targets=[dict(type='qkv')],
        module=dict(
            type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16,
            init_cfg=INIT)),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=192))
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(bias_decay_mult=0.0))
"""
#: A model of the mmengine scope, which builds itself from what BODY does.
OWN = """
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint, load_checkpoint
from torch import nn

@MODELS.register_module()
class Own(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
{body}
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs
"""
OWN_CONFIG = """
custom_imports = dict(imports=['own'])
model = dict(type='Own')
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=0.01))
"""


def lora_plan(folder, init_cfg):
    (folder / "config.py").write_text(LORA.replace("INIT", init_cfg))
    done = lldtool_process("inspect", "config.py", "--format", "json", cwd=folder)
    assert done.code == 0, done.err
    assert "Download" not in done.err
    return json.loads(done.out)


def own(folder, body):
    (folder / "own.py").write_text(OWN.format(body=textwrap.indent(body, " " * 8)))
    (folder / "config.py").write_text(OWN_CONFIG)
    return lldtool_process("inspect", "config.py", "--format", "json", cwd=folder)


def notes(plan):
    return [note for note in plan["notes"] if "nothing was loaded" in note]


@pytest.mark.parametrize("checkpoint", ["", "gone.pth", "https://weights.example.org/vit.pth"])
@pytest.mark.parametrize("prefix", ["", ", prefix='backbone'"])
def test_lora_is_trained_alike_with_and_without_its_checkpoint(checkpoint, prefix, tmp_path):
    without = lora_plan(tmp_path, "None")
    plan = lora_plan(tmp_path, f"dict(type='Pretrained', checkpoint='{checkpoint}'{prefix})")
    assert plan["parameters"] == without["parameters"]
    assert plan["frozen"] == without["frozen"]
    assert not notes(without)
    (note,) = notes(plan)
    assert repr(checkpoint) in note
    assert not any("reach" in note for note in plan["notes"])


def test_the_lora_config_of_mmpretrain_is_built():
    name = "mmpretrain::vision_transformer/vit-base-p16_8xb64-lora_in1k-384px.py"
    done = lldtool_process("inspect", name, "--format", "json")
    assert done.code == 0, done.err
    assert len(notes(json.loads(done.out))) == 1


@pytest.mark.parametrize(
    "body",
    [
        "load_checkpoint(self, 'gone.pth', strict=True)",
        "CheckpointLoader.load_checkpoint('gone.pth')['state_dict']",
        "self.load_state_dict(_load_checkpoint('gone.pth').get('state_dict'), strict=False)",
    ],
)
def test_each_way_to_load_may_find_nothing(body, tmp_path):
    done = own(tmp_path, body)
    assert done.code == 0, done.err
    assert len(notes(json.loads(done.out))) == 1


def test_checkpoint_that_is_there_is_read(tmp_path):
    torch.save({"width": 7, "state_dict": {}}, tmp_path / "here.pth")
    done = own(tmp_path, "self.fc = nn.Linear(_load_checkpoint('here.pth')['width'], 3)")
    plan = json.loads(done.out)
    assert plan["parameters"][0]["shape"] == [3, 7]
    assert not notes(plan)


def test_model_that_needs_what_is_missing_names_the_file(tmp_path):
    done = own(tmp_path, "self.fc = nn.Linear(_load_checkpoint('gone.pth')['width'], 3)")
    assert done.code == 2
    assert "building Own: KeyError: 'width' (FileNotFoundError: gone.pth" in done.err


def test_broken_checkpoint_is_an_error_as_in_training(tmp_path):
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    done = own(tmp_path, "load_checkpoint(self, 'broken.pth')")
    assert done.code == 2
    assert "building Own" in done.err


def test_second_config_with_the_same_model_has_the_note_too(tmp_path):
    text = LORA.replace("INIT", "dict(type='Pretrained', checkpoint='gone.pth')")
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text(text.replace("lr=1e-3", "lr=2e-3"))
    done = lldtool_process("diff", "a.py", "b.py", "--format", "json", cwd=tmp_path)
    assert done.code == 1, done.err
    assert [n for n in json.loads(done.out)["notes"] if n.startswith("the model loads 'gone.pth'")]


def test_torch_hub_does_not_say_that_it_downloads(tmp_path):
    url = "https://weights.example.org/own-12345678.pth"
    done = own(
        tmp_path,
        f"try:\n    import torch\n    torch.hub.load_state_dict_from_url('{url}')\n"
        "except OSError:\n    pass",
    )
    assert (done.code, done.err) == (0, "")
