"""Annotations in COCO's format -> the number of images that have objects."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec


class _Image(msgspec.Struct):
    id: int | str
    width: float = 0
    height: float = 0


class _Annotation(msgspec.Struct):
    image_id: int | str
    category_id: int | str


class _Category(msgspec.Struct):
    id: int | str
    name: str


class _Annotations(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation] = []
    categories: list[_Category] = []


@lru_cache(maxsize=64)
def images(
    file: Path, changed: int, size: int, classes: frozenset[str] | None, least: float
) -> int | None:
    """Return the number of images in a file; None where it can't be read.

    Args:
        file: in COCO's format.
        changed: when the file was changed.
        size: that of the file.
        classes: of the objects of which an image must have one; None for all images.
        least: the width and the height that an image must have.
    """
    try:
        content = msgspec.json.decode(file.read_bytes(), type=_Annotations)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    kept = {one.id for one in content.images if min(one.width, one.height) >= least}
    if classes is not None:
        categories = {one.id for one in content.categories if one.name in classes}
        kept &= {one.image_id for one in content.annotations if one.category_id in categories}
    return len(kept)
