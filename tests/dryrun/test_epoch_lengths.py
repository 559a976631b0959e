"""How many iterations an epoch has, against mmengine's data loaders, and where that is from."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from lldtool.config.request import IN_SETTINGS, Checkout, Length, Request
from lldtool.dryrun import dataset_sizes
from lldtool.dryrun.epoch_lengths import EpochLength, epoch_length_of
from lldtool.errors import LldtoolError

IMAGENET = {"type": "ImageNet", "data_root": "data/imagenet", "split": "train"}
COCO = {
    "type": "CocoDataset",
    "data_root": "data/coco/",
    "ann_file": "annotations/instances_train2017.json",
    "data_prefix": {"img": "train2017/"},
    "filter_cfg": {"filter_empty_gt": True, "min_size": 32},
    "pipeline": [],
    "backend_args": None,
}
ADE = {
    "type": "ADE20KDataset",
    "data_root": "data/ade/ADEChallengeData2016",
    "data_prefix": {"img_path": "images/training", "seg_map_path": "annotations/training"},
}
LINES = {"type": "CustomDataset", "data_root": "data/x", "ann_file": "train.txt"}
REQUEST = Request(Path("x.py"), "x.py")
EIGHT = replace(REQUEST, world_size=8)


def config_of(dataset=None, scope="mmpretrain", batch_size=128, **loader):
    loader = {"sampler": {"type": "DefaultSampler"}, "batch_size": batch_size} | loader
    loader = {key: value for key, value in loader.items() if value is not None}
    return Config({"default_scope": scope, "train_dataloader": {"dataset": dataset, **loader}})


def length_of(dataset=None, request=EIGHT, **config):
    return epoch_length_of(config_of(dataset, **config), request)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with an annotation file of 100 lines."""
    monkeypatch.chdir(tmp_path)
    write("data/x/train.txt", "a.jpg 0\n" * 100)
    return tmp_path


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


# The formula.


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("gpus", [1, 2, 3])
@pytest.mark.parametrize(("samples", "batch_size"), [(1, 1), (7, 2), (12, 4), (13, 4), (25, 3)])
def test_an_epoch_is_as_long_as_mmengines_data_loader(
    monkeypatch, samples, batch_size, gpus, drop_last
):
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (0, gpus))
    data = range(samples)
    loader = DataLoader(data, batch_size, sampler=DefaultSampler(data, seed=0), drop_last=drop_last)
    request = Request(Path("x.py"), "x.py", world_size=gpus, length=Length(dataset_size=samples))
    config = config_of(batch_size=batch_size, drop_last=drop_last)
    if len(loader):
        assert epoch_length_of(config, request) == EpochLength(len(loader), "--dataset-size")
    else:
        with pytest.raises(LldtoolError, match="less than one batch"):
            epoch_length_of(config, request)


@pytest.mark.parametrize(
    "sampler",
    [
        {"type": "DefaultSampler", "shuffle": False, "round_up": False},
        {"type": "InfiniteSampler"},
    ],
)
@pytest.mark.parametrize("gpus", [1, 2])
def test_a_sampler_is_as_long_as_it_says(monkeypatch, sampler, gpus):
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (0, gpus))
    config = config_of(batch_size=4, sampler=sampler, num_workers=0)
    config.train_dataloader.dataset = list(range(31))
    loader = Runner.build_dataloader(config.train_dataloader, seed=0)
    request = replace(REQUEST, world_size=gpus, length=Length(dataset_size=31))
    found = epoch_length_of(config, request)
    assert found.iterations == len(loader)
    assert [note.partition(":")[0] for note in found.notes] == (
        ["InfiniteSampler never ends an epoch"] if sampler["type"] == "InfiniteSampler" else []
    )


@pytest.mark.parametrize(
    ("config", "iterations"),
    [
        ({}, 1252),
        ({"drop_last": True}, 1251),
        ({"sampler": {"type": "RepeatAugSampler"}}, 1252),
        ({"batch_sampler": {"type": "AspectRatioBatchSampler"}}, 1252),
        ({"batch_sampler": {"type": "AspectRatioBatchSampler", "drop_last": True}}, 1251),
        ({"sampler": {"type": "InfiniteSampler"}}, None),
        ({"sampler": {"type": "OddSampler"}}, None),
        ({"batch_sampler": {"type": "OddBatchSampler"}}, None),
        ({"batch_size": None}, None),
        ({"batch_size": 2_000_000, "drop_last": True}, None),
        ({"num_batch_per_epoch": 7}, 7),
    ],
)
def test_the_data_loader_makes_the_epochs_of_imagenet(here, config, iterations):
    assert length_of(IMAGENET, **config).iterations == iterations


# Where the number of samples is from.


@pytest.mark.parametrize(
    ("length", "world_size", "base_batch_size", "expected"),
    [
        (Length(epoch_length=9), None, None, EpochLength(9, "--epoch-length")),
        (Length(dataset_size=1000), None, None, EpochLength(100, "--dataset-size")),
        (Length(dataset_size=1000), None, 50, EpochLength(20, "--dataset-size")),
        (Length(dataset_size=1000), 2, 50, EpochLength(50, "--dataset-size")),
        (Length(None, 1000, None, IN_SETTINGS), None, None, EpochLength(None)),
        (Length(None, 1000, None, IN_SETTINGS), None, 50, EpochLength(20, IN_SETTINGS)),
        (Length(None, 1000, None, IN_SETTINGS), 2, None, EpochLength(50, IN_SETTINGS)),
        (Length(), None, None, EpochLength(None)),
        (Length(), None, 45, EpochLength(None)),
        (Length(), None, 50, EpochLength(2, "annotation file data/x/train.txt")),
        (Length(), 1, 50, EpochLength(10, "annotation file data/x/train.txt")),
    ],
)
def test_the_first_source_that_is_there_counts(here, length, world_size, base_batch_size, expected):
    config = config_of(LINES, batch_size=10)
    if base_batch_size is not None:
        config.auto_scale_lr = {"base_batch_size": base_batch_size}
    request = replace(REQUEST, length=length, world_size=world_size)
    assert epoch_length_of(config, request) == expected


def test_what_the_settings_say_is_an_error_for_no_config(here):
    request = replace(EIGHT, length=Length(None, 5, None, IN_SETTINGS))
    for config in ({"drop_last": True}, {"batch_size": None}):
        assert epoch_length_of(config_of(IMAGENET, **config), request) == EpochLength(None)
    odd = epoch_length_of(config_of(IMAGENET, sampler={"type": "OddSampler"}), request)
    assert odd.iterations == 1
    assert "OddSampler may make epochs of a different length" in odd.notes[0]


@pytest.mark.parametrize(
    ("scope", "dataset", "samples", "source"),
    [
        ("mmpretrain", IMAGENET, 1_281_167, "ImageNet-1k"),
        ("mmpretrain", IMAGENET | {"data_root": "data/imagenet/"}, 1_281_167, "ImageNet-1k"),
        ("mmpretrain", {"type": "ImageNet", "data_root": "data/imagenet/", "data_prefix": "train",
                        "ann_file": "meta/train.txt"}, 1_281_167, "ImageNet-1k"),
        ("mmpretrain", {"type": "ImageNet", "data_root": "data/imagenet/",
                        "data_prefix": {"img_path": "train/"}, "ann_file": "meta/train.txt"},
         1_281_167, "ImageNet-1k"),
        ("mmdet", IMAGENET | {"_scope_": "mmpretrain"}, 1_281_167, "ImageNet-1k"),
        ("mmdet", IMAGENET | {"type": "mmpretrain.ImageNet"}, 1_281_167, "ImageNet-1k"),
        ("mmpretrain", IMAGENET | {"indices": 1000}, 1000, "ImageNet-1k"),
        ("mmpretrain", {"type": "CIFAR10", "data_root": "data/cifar10", "split": "train"},
         50_000, "CIFAR-10"),
        ("mmpretrain", {"type": "CIFAR100", "data_root": "data/cifar100", "split": "train"},
         50_000, "CIFAR-100"),
        ("mmdet", COCO, 117_266, "COCO train2017"),
        ("mmdet", COCO | {"filter_cfg": {"filter_empty_gt": False, "min_size": 32}},
         118_287, "COCO train2017"),
        ("mmdet", COCO | {"filter_cfg": None}, 118_287, "COCO train2017"),
        ("mmdet", {"type": "RepeatDataset", "times": 8, "dataset": COCO}, 938_128,
         "COCO train2017"),
        ("mmdet", {"type": "MultiImageMixDataset", "dataset": COCO, "pipeline": []}, 117_266,
         "COCO train2017"),
        ("mmdet", {"type": "ConcatDataset", "datasets": [COCO, COCO]}, 234_532, "COCO train2017"),
        ("mmseg", ADE, 20_210, "ADE20K"),
        ("mmseg", {"type": "RepeatDataset", "times": 50, "dataset": ADE}, 1_010_500, "ADE20K"),
        ("mmpose", COCO, None, None),  # its samples are people, not images
        ("mmengine", IMAGENET, None, None),
        ("mmpretrain", IMAGENET | {"data_root": "data/imagenet100"}, None, None),
        ("mmpretrain", IMAGENET | {"split": "val"}, None, None),
        ("mmpretrain", IMAGENET | {"data_prefix": "train_10percent"}, None, None),
        ("mmpretrain", IMAGENET | {"ann_file": "meta/train_1percent.txt"}, None, None),
        ("mmpretrain", IMAGENET | {"some_option": 1}, None, None),
        ("mmpretrain", IMAGENET | {"type": "ImageNet21k"}, None, None),
        ("mmpretrain", {"type": "KFoldDataset", "dataset": IMAGENET}, None, None),
        ("mmpretrain", {"type": "RepeatDataset", "times": "8", "dataset": IMAGENET}, None, None),
        ("mmdet", COCO | {"metainfo": {"classes": ("cat",)}}, None, None),
        ("mmdet", COCO | {"filter_cfg": {"min_size": 100}}, None, None),
        ("mmdet", COCO | {"test_mode": True}, None, None),
        ("mmdet", {"type": "ConcatDataset", "datasets": [COCO, IMAGENET]}, None, None),
        ("mmdet", {"type": "ClassBalancedDataset", "dataset": COCO}, None, None),
        ("mmdet", {"type": "ConcatDataset", "datasets": []}, None, None),
        ("mmdet", {"type": "RepeatDataset", "times": 2}, None, None),
        ("mmdet", {}, None, None),
        ("mmdet", None, None, None),
    ],
)  # fmt: skip
def test_a_public_data_set_as_it_is_shipped_is_known(here, scope, dataset, samples, source):
    expected = EpochLength(samples, None if source is None else f"{source}, assumed")
    assert length_of(dataset, replace(REQUEST, world_size=1), scope=scope, batch_size=1) == expected


CONFIGS = {
    "resnet/resnet50_8xb32_in1k.py": 5005,
    "mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py": 1252,
    "mixmim/mixmim_mixmim-base_16xb128-coslr-300e_in1k.py": 626,
    "resnet/resnet50_8xb16_cifar10.py": 391,
    "resnet/resnet50_8xb128_coslr-90e_in21k.py": None,
    "arcface/resnet50-arcface_8xb32_inshop.py": None,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configs_of_mmpretrain_name_public_data_sets(here, name):
    import mmpretrain

    config = Config.fromfile(Path(mmpretrain.__file__).parent / ".mim/configs" / name)
    assert epoch_length_of(config, REQUEST).iterations == CONFIGS[name]


def test_a_pure_python_config_names_a_public_data_set_by_its_class(here):
    write(
        "pure.py",
        "from mmengine.dataset import RepeatDataset\nfrom mmpretrain.datasets import ImageNet\n"
        "inner = dict(type=ImageNet, data_root='data/imagenet', split='train')\n"
        "train_dataloader = dict(\n"
        "    batch_size=128, dataset=dict(type=RepeatDataset, times=2, dataset=inner))\n",
    )
    config = Config.fromfile("pure.py", lazy_import=True)
    assert epoch_length_of(config, EIGHT) == EpochLength(2503, "ImageNet-1k, assumed")


# Annotation files.


@pytest.mark.parametrize(
    ("scope", "dataset", "samples"),
    [
        ("mmpretrain", LINES, 100),
        ("mmpretrain", LINES | {"type": "ImageNet", "split": "train"}, 100),
        ("mmpretrain", LINES | {"data_root": None, "ann_file": "data/x/train.txt"}, 100),
        ("mmpretrain", LINES | {"data_root": "elsewhere", "ann_file": "{here}/data/x/train.txt"},
         100),
        ("mmpretrain", LINES | {"indices": 30}, 30),
        ("mmpretrain", LINES | {"indices": 300}, 100),
        ("mmpretrain", LINES | {"indices": -30}, 30),
        ("mmpretrain", LINES | {"indices": [3, 5]}, 2),
        ("mmpretrain", LINES | {"indices": "all"}, 3),
        ("mmpretrain", {"type": "RepeatDataset", "times": 3, "dataset": LINES}, 300),
        ("mmseg", LINES | {"type": "PascalVOCDataset"}, 100),
        ("mmseg", {"type": "ConcatDataset", "datasets": [
            LINES | {"type": "PascalVOCDataset"}, LINES | {"type": "BaseSegDataset"}]}, 200),
        ("mmpretrain", LINES | {"type": "OwnDataset"}, None),
        ("mmseg", LINES, None),
        ("mmpretrain", LINES | {"ann_file": ""}, None),
        ("mmpretrain", LINES | {"ann_file": "."}, None),
        ("mmpretrain", LINES | {"ann_file": "none.txt"}, None),
        ("mmpretrain", LINES | {"ann_file": "~nobody-of-this-name/x.txt"}, None),
        ("mmpretrain", LINES | {"ann_file": "s3://bucket/train.txt"}, None),
        ("mmpretrain", LINES | {"ann_file": "a\0b"}, None),
        ("mmpretrain", LINES | {"ann_file": 3}, None),
    ],
)  # fmt: skip
def test_the_lines_of_an_annotation_file_are_samples(here, scope, dataset, samples):
    if "{here}" in str(dataset):
        dataset = dataset | {"ann_file": dataset["ann_file"].format(here=here)}
    found = length_of(dataset, replace(REQUEST, world_size=1), scope=scope, batch_size=1)
    assert found.iterations == samples
    assert (found.source or "annotation file").startswith("annotation file")


@pytest.mark.parametrize(("text", "lines"), [("a 0\nb 1\n", 2), ("a 0\r\nb 1", 2), ("", None)])
def test_lines_are_counted_as_mmengine_does(here, text, lines):
    from mmengine.fileio import list_from_file

    write("data/x/train.txt", text)
    assert len(list_from_file("data/x/train.txt")) == (lines or 0)
    assert (
        length_of(LINES, batch_size=1, request=replace(REQUEST, world_size=1)).iterations == lines
    )


def test_the_list_of_a_split_wins_over_what_is_assumed(here):
    write("data/imagenet/meta/train.txt", "a.jpg 0\n" * 2048)
    assert length_of(IMAGENET) == EpochLength(2, "annotation file data/imagenet/meta/train.txt")
    write("data/imagenet/meta/train.txt", "a.jpg 0\n" * 1024)  # counted again
    assert length_of(IMAGENET).iterations == 1


def test_a_file_that_is_dear_to_count_is_not_read(here, monkeypatch):
    write("data/imagenet/meta/train.txt", "a.jpg 0\n" * 2048)
    monkeypatch.setattr(dataset_sizes, "_MOST_BYTES", 100)
    assert length_of(IMAGENET).source == "ImageNet-1k, assumed"
    assert length_of(LINES) == EpochLength(None)


def test_what_is_no_regular_file_is_not_read(here):
    os.mkfifo("pipe")
    assert length_of(LINES | {"data_root": ".", "ann_file": "pipe"}) == EpochLength(None)


def test_at_a_revision_the_file_is_that_of_the_working_directory(here, monkeypatch):
    (here / "tree/sub").mkdir(parents=True)
    write("top/sub/data/x/train.txt", "a.jpg 0\n" * 64)
    monkeypatch.chdir(here / "tree/sub")
    request = replace(EIGHT, checkout=Checkout(here / "top", here / "tree"))
    assert length_of(LINES, request, batch_size=1).iterations == 8
    write("data/x/train.txt", "a.jpg 0\n" * 8)  # one that git has
    assert length_of(LINES, request, batch_size=1).iterations == 1


#: Six images: two of cats, one of them small; one of a dog; one of a fish; two of nothing.
ANNOTATIONS = {
    "images": [
        {"id": i, "width": 20 if i == 2 else 640, "height": 480, "file_name": f"{i}.jpg"}
        for i in range(1, 7)
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "fish"}],
    "annotations": [
        {"id": i, "image_id": image, "category_id": category, "bbox": [0, 0, 9, 9], "iscrowd": 0}
        for i, (image, category) in enumerate([(1, 1), (1, 2), (2, 1), (3, 2), (4, 3)])
    ],
}
PETS = {"classes": ("cat", "dog")}


@pytest.mark.parametrize(
    ("options", "samples"),
    [
        ({"filter_cfg": None}, 6),
        ({"filter_cfg": {"min_size": 32}}, 5),
        ({"filter_cfg": {"filter_empty_gt": True}, "metainfo": PETS}, 3),
        ({"filter_cfg": {"filter_empty_gt": True, "min_size": 32}, "metainfo": PETS}, 2),
        ({"metainfo": {"classes": ["fish"]}}, 1),
        ({"metainfo": PETS, "test_mode": True}, 6),
        ({"metainfo": {"palette": [(0, 0, 0)]}}, None),  # the classes are those of the class
        ({}, None),
        ({"filter_cfg": {"min_size": "32"}}, None),
    ],
)
def test_the_images_that_mmdet_keeps_are_samples(here, options, samples):
    write("data/coco/annotations/instances_train2017.json", json.dumps(ANNOTATIONS))
    found = length_of(COCO | options, replace(REQUEST, world_size=1), scope="mmdet", batch_size=1)
    assert found.iterations == samples


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "{}", '{"images": 3}', '{"images": [{"file": 1}]}', "\udce9", "[" * 9999],
)
def test_annotations_that_cannot_be_read_are_not_counted(here, text):
    path = Path("data/coco/annotations/instances_train2017.json")
    write(path, "")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert length_of(COCO | {"filter_cfg": None}, scope="mmdet") == EpochLength(None)


# The settings, from the command line to the dry run.


def test_the_commands_find_the_settings(here, cli, monkeypatch):
    from conftest import TINY_VIT

    loader = (
        "train_dataloader = dict(batch_size=8)\ntrain_cfg = dict(by_epoch=True, max_epochs=2)\n"
    )
    write("configs/a.py", TINY_VIT + loader)
    write("pyproject.toml", '[tool.lldtool.dataset-size]\n"configs/**" = 160\n')
    monkeypatch.chdir("configs")

    def schedule(*options):
        result = cli("inspect", "a.py", "--format", "json", *options)
        assert result.code == 0, result.err
        found = json.loads(result.out)["schedule"]
        return found["epoch_length"], found["epoch_length_from"]

    assert schedule("--world-size", 2) == (10, IN_SETTINGS)
    assert schedule() == (None, None)
    assert schedule("--dataset-size", 80, "--world-size", 2) == (5, "--dataset-size")
    write(here / "pyproject.toml", "[tool.lldtool]\ndataset-sizes = {}\n")
    for command in ("inspect", "schedule", "explain", "check"):
        result = cli(command, "a.py")
        assert result.code == 2
        assert "unknown setting 'dataset-sizes' (did you mean dataset-size?)" in result.err


def test_settings_that_the_user_names_replace_the_nearest(here, cli):
    from conftest import TINY_VIT

    training = (
        "train_dataloader = dict(batch_size=8)\ntrain_cfg = dict(by_epoch=True, max_epochs=2)\n"
        "param_scheduler = dict(type='LinearLR', by_epoch=False, end=100)\n"
    )
    write("a.py", TINY_VIT + training)
    write("lldtool.toml", 'dataset-size = {"*.py" = 160}\n')
    write("other.toml", 'dataset-size = {"*.py" = 16000}\n')
    options = ("check", "a.py", "--select", "LLD501", "--world-size", "1")
    assert "it ends at epoch 5," in cli(*options).out
    assert cli(*options, "--config", "other.toml").code == 0
