"""Where the length of an epoch is from, and that it is what a data loader has."""

import json

import pytest
from conftest import TINY_VIT
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

import lldtool
from lldtool.config.request import Length, Request
from lldtool.dryrun import capture

SCHEDULE = "train_cfg = dict(by_epoch=True, max_epochs=6)\n"
LOADER = "train_dataloader = dict(batch_size={batch}, {more}dataset={dataset})\n"


def schedule_of(tmp_path, dataset="None", *, batch=8, more="", gpus=1, base=None, **length):
    text = LOADER.format(batch=batch, more=more, dataset=dataset)
    text += f"auto_scale_lr = dict(base_batch_size={base})\n" if base else ""
    path = tmp_path / "config.py"
    path.write_text(TINY_VIT + SCHEDULE + text)
    request = Request(path, "config.py", world_size=gpus, length=Length(**length))
    return capture(request).required_plan.schedule


IMAGENET = "dict(type='ImageNet', data_root='data/imagenet', split='train')"
CIFAR = "dict(type='CIFAR10', data_root='data/cifar10/', split='train')"
COCO = (
    "dict(type='CocoDataset', data_root='data/coco/', data_prefix=dict(img='train2017/'),"
    " ann_file='annotations/instances_train2017.json'{more})"
)
ADE = (
    "dict(type='ADE20KDataset', data_root='data/ade/ADEChallengeData2016',"
    " data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'))"
)


@pytest.mark.parametrize(
    ("dataset", "batch", "gpus", "iterations", "source"),
    [
        (IMAGENET, 32, 8, 5005, "ImageNet-1k, assumed"),
        (IMAGENET, 128, 8, 1252, "ImageNet-1k, assumed"),
        (CIFAR, 16, 8, 391, "CIFAR-10, assumed"),
        (COCO.format(more=", filter_cfg=dict(filter_empty_gt=True)"), 2, 8, 7330, "COCO, assumed"),
        (COCO.format(more=""), 2, 8, 7393, "COCO, assumed"),
        (ADE, 2, 8, 1264, "ADE20K, assumed"),
        (f"dict(type='RepeatDataset', times=3, dataset={CIFAR})", 16, 8, 1172, "CIFAR-10, assumed"),
        (f"dict(type='ConcatDataset', datasets=[{CIFAR}, {CIFAR}])", 16, 8, 782,
         "CIFAR-10, assumed"),
        (IMAGENET.replace("train", "val"), 32, 8, None, None),
        (IMAGENET.replace("imagenet", "imagenet_subset"), 32, 8, None, None),
        (IMAGENET.replace("split", "ann_file='mine.txt', split"), 32, 8, None, None),
        (f"dict(type='ClassBalancedDataset', dataset={CIFAR})", 16, 8, None, None),
        (f"dict(type='ConcatDataset', datasets=[{CIFAR}, dict(type='Mine')])", 16, 8, None, None),
        (COCO.format(more=", metainfo=dict(classes=['cat']), filter_cfg=dict(filter_empty_gt=1)"),
         2, 8, None, None),
    ],
)  # fmt: skip
def test_the_size_of_a_public_data_set_is_known(tmp_path, dataset, batch, gpus, iterations, source):
    found = schedule_of(tmp_path, dataset, batch=batch, gpus=gpus)
    assert (found.epoch_length, found.epoch_length_from) == (iterations, source)


def test_drop_last_leaves_out_what_fills_no_batch(tmp_path):
    found = schedule_of(tmp_path, IMAGENET, batch=128, gpus=8, more="drop_last=True, ")
    assert found.epoch_length == 1251


def test_the_gpus_are_the_users_or_those_of_the_base_batch_size_or_not_known(tmp_path):
    found = schedule_of(tmp_path, IMAGENET, batch=32, gpus=None, base=256)
    assert (found.epoch_length, found.world_size) == (5005, 8)
    assert schedule_of(tmp_path, IMAGENET, batch=32, gpus=None).epoch_length is None
    found = schedule_of(tmp_path, IMAGENET, batch=32, gpus=None, base=100)
    assert (found.epoch_length, found.world_size) == (None, None)


def test_what_is_nearer_to_the_user_counts(tmp_path):
    loader = "num_batch_per_epoch=9, "
    assert schedule_of(tmp_path, IMAGENET, more=loader).epoch_length == 9
    assert schedule_of(tmp_path, IMAGENET, dataset_size=80).epoch_length == 10
    assert schedule_of(tmp_path, IMAGENET, more=loader, epoch_length=7).epoch_length == 7


@pytest.mark.parametrize(
    ("kind", "content", "size"),
    [
        ("CustomDataset", "a.jpg 0\nb.jpg 1\nc.jpg 0\n", 3),
        ("ADE20KDataset", "a\nb", 2),
        ("CocoDataset", json.dumps({"images": [{}] * 5}), 5),
        ("CocoDataset", "broken", None),
        ("Mine", "a\nb\n", None),
    ],
)
def test_an_annotation_file_that_is_there_is_counted(tmp_path, monkeypatch, kind, content, size):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "all.txt").write_text(content)
    found = schedule_of(
        tmp_path, f"dict(type='{kind}', data_root='data', ann_file='all.txt')", batch=1
    )
    assert found.epoch_length == size
    source = None if size is None else "annotation file data/all.txt"
    assert found.epoch_length_from == source


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(("size", "batch", "gpus"), [(10, 3, 1), (17, 4, 2), (25, 5, 3)])
def test_an_epoch_is_as_long_as_mmengines_data_loader(tmp_path, size, batch, gpus, drop_last):
    sampler = DefaultSampler(range(size), shuffle=False)
    sampler.world_size, sampler.num_samples = gpus, -(-size // gpus)
    loader = DataLoader(range(size), batch, sampler=sampler, drop_last=drop_last)
    found = schedule_of(
        tmp_path, batch=batch, gpus=gpus, more=f"drop_last={drop_last}, ", dataset_size=size
    )
    assert found.epoch_length == len(loader)


def test_the_settings_say_the_size_for_configs(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(
        TINY_VIT + SCHEDULE + LOADER.format(batch=8, more="", dataset="None")
    )
    (tmp_path / "lldtool.toml").write_text(
        '[dataset-size]\n"*.py" = 80\n"config.py" = 160\n"other/**" = 8\n'
    )
    assert "6 epochs of 20 iterations (dataset-size)" in cli("inspect", "config.py").out
    assert (
        "of 10 iterations (--epoch-length)" in cli("inspect", "config.py", "--epoch-length", 10).out
    )
    (tmp_path / "lldtool.toml").write_text('[dataset-size]\n"*.py" = 0\n')
    result = cli("inspect", "config.py")
    assert (result.code, result.out) == (2, "")
    assert "dataset-size" in result.err


def test_the_api_takes_the_length_of_an_epoch(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(TINY_VIT + SCHEDULE)
    assert lldtool.dry_run(path, epoch_length=4).schedule.iterations == 24
