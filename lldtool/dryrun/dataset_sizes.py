"""A config's training data set -> the number of its samples, as far as a dry run can know it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lldtool.dryrun.registries import type_name

#: An annotation file with more bytes takes too long to count.
_MOST_BYTES = 50_000_000
#: Types of data sets that have a sample for each line of their annotation file.
_OF_LINES = ("CustomDataset", "ImageNet", "ImageNet21k", "BaseSegDataset", "ADE20KDataset")
#: Wrappers that have the samples of the data set in them, each once.
_WRAPPERS = ("MultiImageMixDataset",)


@dataclass(frozen=True)
class _Public:
    """A public data set as OpenMMLab's configs name it; None for what they leave out."""

    name: str
    size: int
    root: str
    annotations: tuple[str | None, ...] = (None, "")
    split: str | None = None
    prefix: str | None = None


#: Type -> the public data sets of that type. Entries of `filter_cfg` change the size of COCO.
_PUBLIC = {
    # https://www.image-net.org/challenges/LSVRC/2012/
    "ImageNet": (
        _Public("ImageNet-1k", 1_281_167, "data/imagenet", split="train"),
        _Public("ImageNet-1k", 1_281_167, "data/imagenet", ("meta/train.txt",), prefix="train"),
    ),
    # https://www.cs.toronto.edu/~kriz/cifar.html
    "CIFAR10": (_Public("CIFAR-10", 50_000, "data/cifar10", split="train"),),
    "CIFAR100": (_Public("CIFAR-100", 50_000, "data/cifar100", split="train"),),
    # https://cocodataset.org/#download
    "CocoDataset": (
        _Public("COCO", 118_287, "data/coco", ("annotations/instances_train2017.json",)),
    ),
    # https://groups.csail.mit.edu/vision/datasets/ADE20K/
    "ADE20KDataset": (
        _Public("ADE20K", 20_210, "data/ade/ADEChallengeData2016", prefix="images/training"),
    ),
}
#: COCO's images with an object of its classes that is large enough; an epoch of mmdet's configs
#: has 7,330 batches of 16. https://github.com/open-mmlab/mmdetection/issues/2555
_COCO_WITH_OBJECTS = 117_266


def dataset_size(dataset: Any) -> tuple[int, str] | None:
    """Return the samples of a data set and how that is known; None where it is not.

    Args:
        dataset: `train_dataloader.dataset` of a config.
    """
    if not isinstance(dataset, Mapping):
        return None
    kind = type_name(dataset.get("type", ""))
    if kind in (*_WRAPPERS, "RepeatDataset"):
        inner, times = dataset_size(dataset.get("dataset")), dataset.get("times", 1)
        if inner is None or not isinstance(times, int):
            return None
        return inner[0] * times, inner[1]
    if kind == "ConcatDataset":
        parts = [dataset_size(part) for part in dataset.get("datasets") or ()]
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        sources = " + ".join(dict.fromkeys(source for _, source in known))
        return sum(size for size, _ in known), sources
    found = _counted(dataset, kind) or _public(dataset, kind)
    indices = dataset.get("indices")
    if found is None or indices is None:
        return found
    return (min(indices, found[0]), found[1]) if isinstance(indices, int) else None


def _counted(dataset: Mapping[str, Any], kind: str) -> tuple[int, str] | None:
    """Return the number of lines or images in the annotation file, if it is there and not large."""
    named = dataset.get("ann_file")
    if not isinstance(named, str) or not named:
        return None
    path = Path(dataset.get("data_root") or "") / named
    with contextlib.suppress(OSError, ValueError):
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        if kind in _OF_LINES:
            return len(path.read_bytes().splitlines()), f"annotation file {path}"
        if kind == "CocoDataset" and not dataset.get("filter_cfg"):
            return len(json.loads(path.read_bytes())["images"]), f"annotation file {path}"
    return None


def _public(dataset: Mapping[str, Any], kind: str) -> tuple[int, str] | None:
    root = str(dataset.get("data_root", "")).rstrip("/")
    prefixes = dataset.get("data_prefix")
    values = prefixes.values() if isinstance(prefixes, Mapping) else [prefixes]
    for one in _PUBLIC.get(kind, ()):
        if (root, dataset.get("split")) != (one.root, one.split):
            continue
        has_prefix = one.prefix is None or one.prefix in [str(x).rstrip("/") for x in values]
        if dataset.get("ann_file") not in one.annotations or not has_prefix:
            continue
        filtered = dataset.get("filter_cfg") or {}
        if one.name == "COCO" and filtered:
            if not filtered.get("filter_empty_gt") or dataset.get("metainfo"):
                return None
            return _COCO_WITH_OBJECTS, f"{one.name}, assumed"
        return one.size, f"{one.name}, assumed"
    return None
