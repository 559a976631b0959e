"""The classes of the training data, and how those of a checkpoint differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lldtool.dryrun.auto_scaling import part
from lldtool.dryrun.registries import class_named
from lldtool.text import quoted

#: More data sets inside each other than any config has.
_DEEPEST = 10


def difference(config: Any, trained_for: Sequence[str]) -> str | None:
    """Return how the classes of the training data differ; None where they do not, or are not known.

    Args:
        config: an `mmengine.Config`.
        trained_for: the classes of a checkpoint.
    """
    own = _classes(part(config, "train_dataloader").get("dataset", None))
    if own is None or own == tuple(trained_for):
        return None
    if len(own) != len(trained_for):
        return f"it was trained for {len(trained_for):,} classes, and the data set has {len(own):,}"
    pairs = enumerate(zip(trained_for, own, strict=True))
    number, (theirs, ours) = next(x for x in pairs if x[1][0] != x[1][1])
    return f"class {number} is {quoted(theirs)} in it, and {quoted(ours)} in the data set"


def _classes(dataset: Any) -> tuple[str, ...] | None:
    """Return the classes of a data set, as the config or its class names them.

    Source: mmengine's `BaseDataset._load_metainfo`, mmpretrain's `BaseDataset.get_classes`.
    """
    for _ in range(_DEEPEST):
        if not isinstance(dataset, dict):
            return None
        metainfo = dataset.get("metainfo", None)
        named = metainfo.get("classes", None) if isinstance(metainfo, dict) else None
        found = named or dataset.get("classes", None)
        if found is not None:
            return names_of(found)
        inner = dataset.get("dataset", None)
        if inner is None:
            break
        dataset = inner
    cls = class_named("DATASETS", dataset.get("type", None)) if dataset.get("type", None) else None
    meta = getattr(cls, "METAINFO", None)
    return names_of(meta.get("classes")) if isinstance(meta, Mapping) else None


def names_of(classes: Any) -> tuple[str, ...] | None:
    """Return the names of classes; None where they are something else, as the name of a file."""
    if not isinstance(classes, (list, tuple)) or not classes:
        return None
    return tuple(classes) if all(isinstance(name, str) for name in classes) else None
