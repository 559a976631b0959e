"""A config's training data set -> the number of its samples, if that is cheap to find out."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from lldtool.config.request import Request
from lldtool.dryrun.auto_scaling import part
from lldtool.dryrun.model_building import default_scope
from lldtool.dryrun.registries import type_name

#: The largest annotation file to read: ImageNet-1k's has 46 MB, COCO's 448 MB.
_MOST_BYTES = 50_000_000
#: Data sets with a sample for each line of their annotation file.
_OF_LINES = {
    "mmpretrain.CustomDataset", "mmpretrain.ImageNet", "mmpretrain.ImageNet21k",
    "mmseg.ADE20KDataset", "mmseg.BaseSegDataset", "mmseg.CityscapesDataset",
    "mmseg.COCOStuffDataset", "mmseg.PascalContextDataset", "mmseg.PascalContextDataset59",
    "mmseg.PascalVOCDataset",
}  # fmt: skip
#: Data sets of images with annotations in COCO's format.
_OF_COCO = {"mmdet.CocoDataset"}
#: Data sets of the above that find the annotation file by their split.
_OF_SPLIT = {"mmpretrain.ImageNet", "mmpretrain.ImageNet21k"}
#: Options that do not change the samples of a public data set, or that are taken into account.
_KNOWN_OPTIONS = {
    "_scope_", "ann_file", "backend_args", "data_prefix", "data_root", "filter_cfg", "indices",
    "lazy_init", "max_refetch", "pipeline", "proposal_file", "return_classes", "serialize_data",
    "split", "type",
}  # fmt: skip
#: Public data sets as the packages configure them: class, `data_root`, image directory or split,
#: `ann_file`, and whether images without objects are filtered out -> name and samples.
_PUBLIC = {
    # https://image-net.org/challenges/LSVRC/2012: 1,281,167 images for training
    ("mmpretrain.ImageNet", "data/imagenet", "train", "", False): ("ImageNet-1k", 1_281_167),
    ("mmpretrain.ImageNet", "data/imagenet", "train", "meta/train.txt", False): (
        "ImageNet-1k", 1_281_167,
    ),
    # https://www.cs.toronto.edu/~kriz/cifar.html: 50,000 images for training in each
    ("mmpretrain.CIFAR10", "data/cifar10", "train", "", False): ("CIFAR-10", 50_000),
    ("mmpretrain.CIFAR100", "data/cifar100", "train", "", False): ("CIFAR-100", 50_000),
    # https://cocodataset.org/#download: 118,287 images in 2017; 1,021 of them have no objects, so
    # an epoch has 7,330 batches of 16: https://github.com/open-mmlab/mmdetection/issues/6847
    (
        "mmdet.CocoDataset", "data/coco", "train2017",
        "annotations/instances_train2017.json", False,
    ): ("COCO train2017", 118_287),
    (
        "mmdet.CocoDataset", "data/coco", "train2017",
        "annotations/instances_train2017.json", True,
    ): ("COCO train2017", 117_266),
    # https://github.com/CSAILVision/sceneparsing: 20,210 images for training
    (
        "mmseg.ADE20KDataset", "data/ade/ADEChallengeData2016", "images/training", "", False,
    ): ("ADE20K", 20_210),
}  # fmt: skip
#: No image of COCO has a shorter side, in pixels.
_SMALLEST = 32


@dataclass(frozen=True)
class DatasetSize:
    """A number of samples; `source` says where it is from."""

    samples: int
    source: str


def dataset_size(config: Any, request: Request) -> DatasetSize | None:
    """Return the size of the training data set, None if unknown.

    The class of the data set is not imported, and no directory is searched.
    """
    scope, _ = default_scope(config)
    return _size(part(config, "train_dataloader").get("dataset", None), scope, request)


def _size(dataset: Any, scope: str, request: Request) -> DatasetSize | None:
    if not isinstance(dataset, dict):
        return None
    options = dict(dict.items(dataset))  # a pure-Python config's `get` would import the class
    scope = options.get("_scope_", scope)
    name = _full_name(options.get("type"), scope)
    wrapper = name.rpartition(".")[2]
    if wrapper == "ConcatDataset":
        parts = options.get("datasets")
        sizes = [_size(p, scope, request) for p in parts] if isinstance(parts, Sequence) else []
        known = [size for size in sizes if size is not None]
        if not known or len(known) < len(sizes):
            return None
        sources = dict.fromkeys(size.source for size in known)
        return DatasetSize(sum(size.samples for size in known), " and ".join(sources))
    if wrapper in ("MultiImageMixDataset", "RepeatDataset"):
        inner, times = _size(options.get("dataset"), scope, request), options.get("times", 1)
        if inner is None or not isinstance(times, int):
            return None
        return replace(inner, samples=inner.samples * times)
    found = _of_file(name, options, request)
    indices = options.get("indices")
    if found is None or indices is None:
        return found
    if not isinstance(indices, int):
        return replace(found, samples=len(indices)) if isinstance(indices, Sequence) else None
    chosen = slice(indices) if indices >= 0 else slice(indices, None)
    return replace(found, samples=len(range(found.samples)[chosen]))


def _full_name(kind: Any, scope: str) -> str:
    """Return the package and the name of a class: `mmdet.CocoDataset`."""
    if isinstance(kind, str):
        module = kind if "." in kind else scope
    else:  # a class, or the lazy object of a pure-Python config
        module = str(getattr(kind, "__module__" if isinstance(kind, type) else "module", ""))
    return f"{module.partition('.')[0]}.{type_name(kind)}"


def _of_file(name: str, options: Mapping[str, Any], request: Request) -> DatasetSize | None:
    """Return the number of samples in the annotation file, or else in the public data set."""
    root, annotations, split = (
        _text(options.get(key)) for key in ("data_root", "ann_file", "split")
    )
    if not annotations and name in _OF_SPLIT and split:
        annotations = f"meta/{split}.txt"
    file = Path(root, annotations)
    stamp = _stamp(file, request) if annotations else None
    if stamp is None:
        return _public(name, options)
    samples = None
    if name in _OF_LINES:
        samples = _lines(*stamp)
    elif name in _OF_COCO:
        samples = _coco_images(options, stamp)
    return None if samples is None else DatasetSize(samples, f"annotation file {file}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


#: A file, when it was changed, and its size.
_Stamp = tuple[Path, int, int]


def _stamp(named: Path, request: Request) -> _Stamp | None:
    """Return an annotation file, None if it does not exist or is too large to read.

    A config at a revision uses the file in the user's directory, unless git has the file.
    """
    checkout = request.checkout
    try:
        file = named.expanduser()
        if checkout is not None and not file.exists():
            here = os.path.relpath(Path.cwd(), checkout.tree.resolve())
            file = checkout.top / here / file
        found = file.stat()
    except (OSError, ValueError, RuntimeError):  # no such ~user
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
        return None
    return file.absolute(), found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _lines(file: Path, changed: int, size: int) -> int | None:
    """Return the number of lines in a file, None if it can't be read."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    return content.count(b"\n") + (content[-1:] not in (b"", b"\n"))


def _coco_images(options: Mapping[str, Any], stamp: _Stamp) -> int | None:
    """Return the number of images that mmdet 3 keeps, None if unknown.

    Which images have objects depends on the classes, and only those in the config are known.
    Source: `CocoDataset.filter_data`.
    """
    from lldtool.dryrun.coco_annotations import images

    filters, metainfo = options.get("filter_cfg"), options.get("metainfo")
    if not isinstance(filters, dict) or options.get("test_mode"):
        filters = {}
    classes = None
    if filters.get("filter_empty_gt", False):
        names = metainfo.get("classes") if isinstance(metainfo, dict) else None
        if not isinstance(names, (list, tuple)) or not names:
            return None
        classes = frozenset(map(str, names))
    least = filters.get("min_size", 0)
    return images(*stamp, classes, least) if isinstance(least, (int, float)) else None


def _public(name: str, options: Mapping[str, Any]) -> DatasetSize | None:
    """Return the size of a public data set, if its options are those that the packages ship."""
    prefix, filters = options.get("data_prefix"), options.get("filter_cfg") or {}
    if isinstance(prefix, dict):
        prefix = prefix.get("img_path", prefix.get("img"))
    split = _text(options.get("split"))
    if not set(options) <= _KNOWN_OPTIONS or split not in ("", "train"):
        return None
    least = filters.get("min_size", 0) if isinstance(filters, dict) else None
    if not isinstance(least, int) or least > _SMALLEST:
        return None
    key = (
        name,
        _text(options.get("data_root")).rstrip("/"),
        (_text(prefix) or split).rstrip("/"),
        _text(options.get("ann_file")),
        bool(filters.get("filter_empty_gt", False)),
    )
    known = _PUBLIC.get(key)
    return known and DatasetSize(known[1], f"{known[0]}, assumed")
