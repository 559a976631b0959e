"""Readers for each checkpoint format."""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any, BinaryIO, cast

from lldtool.checkpoint.contents import OpaqueValue, TensorInfo
from lldtool.checkpoint.rebuilding import (
    MOST_DIMENSIONS,
    dtype_of_storage,
    sizes_of,
    storage_of,
)
from lldtool.checkpoint.unpickling import unpickle

#: The content, and the names of the globals.
Content = tuple[Any, Iterable[str]]
#: The largest decompressed pickle in a zip archive, enough for all logs of a long training.
_LARGEST_PICKLE = 1 << 30
_CHUNK = 1 << 16
#: The first two pickles of a legacy file.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_INT64 = struct.Struct("<q")
#: The largest header of a safetensors file.
_LARGEST_HEADER = 1 << 24
#: The dtypes of safetensors that are not short forms of torch's names.
_SAFETENSORS_DTYPES = {
    "BOOL": "bool",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


def read_zip(file: io.BufferedReader) -> Content:
    """Read the format of torch 1.6 and later: a zip archive with a pickle and the storages."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_data_pkl(archive)) as entry:
            buffered = io.BufferedReader(cast(io.RawIOBase, entry), _CHUNK)
            content = unpickle(buffered, storage_of)
            while buffered.read(_CHUNK):  # zipfile compares the checksum at the end
                pass
            return content
    except (NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        reason = "its zip archive is damaged or cut off"
        raise pickle.UnpicklingError(f"{reason}: {error}") from error


def _data_pkl(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the archive's entry for the pickle.

    Raises:
        UnpicklingError: torch did not write the archive.
    """
    found = [i for i in archive.infolist() if re.fullmatch(r"[^/\\]+/data\.pkl", i.filename)]
    if len(found) != 1 or found[0].filename.startswith(".."):
        number = "several" if len(found) > 1 else "no"
        raise pickle.UnpicklingError(f"its zip archive has {number} data.pkl in a folder")
    entry = found[0]
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise pickle.UnpicklingError("its data.pkl is encrypted, or compressed in a rare way")
    if entry.file_size > _LARGEST_PICKLE:
        raise pickle.UnpicklingError("its data.pkl is larger than 1 GiB")
    return entry


def read_legacy(file: io.BufferedReader) -> Content:
    """Read the format before torch 1.6: pickles, followed by the storages' bytes."""
    item_sizes: dict[Any, int] = {}

    def storage(persistent_id: Any) -> Any:
        found = storage_of(persistent_id)
        if isinstance(found, TensorInfo):
            item_sizes[persistent_id[2]] = _item_size(found.dtype)
        return found

    for expected in (_MAGIC, _PROTOCOL):
        if unpickle(file)[0] != expected:
            raise pickle.UnpicklingError("torch.save did not write it")
    unpickle(file)  # the sizes of C types
    content = unpickle(file, storage)
    for key in unpickle(file)[0]:
        _skip_storage(file, item_sizes[key])
    if file.tell() > os.fstat(file.fileno()).st_size:
        raise pickle.UnpicklingError("it is cut off")
    return content


def read_tar(file: io.BufferedReader) -> Content:
    """Read the format before torch 0.1.10: a tar archive of storages, tensors and a pickle."""
    import tarfile

    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            members = {m.name: m for m in itertools.islice(archive, 16) if m.isreg()}
            storages, tensors, root = (
                cast(BinaryIO, archive.extractfile(members[name]))
                for name in ("storages", "tensors", "pickle")
            )
            objects = _tar_tensors(tensors, _tar_storages(storages))
            return unpickle(
                root, lambda found: found[0] if isinstance(found, tuple) else objects[int(found)]
            )
    except tarfile.TarError as error:
        reason = "its tar archive is damaged or cut off"
        raise pickle.UnpicklingError(f"{reason}: {error}") from error


def _tar_storages(file: BinaryIO) -> dict[int, str]:
    """Return the dtypes of the storages and of views into them."""
    dtypes = {}
    for _ in range(unpickle(file)[0]):
        key, _, storage_class = unpickle(file)[0]
        dtypes[int(key)] = dtype_of_storage(storage_class)
        _skip_storage(file, _item_size(dtypes[int(key)]))
    for key, root, *_ in unpickle(file)[0]:
        dtypes[int(key)] = dtypes[int(root)]
    return dtypes


def _tar_tensors(file: BinaryIO, dtypes: dict[int, str]) -> dict[int, TensorInfo]:
    tensors = {}
    for _ in range(unpickle(file)[0]):
        key, storage, _ = unpickle(file)[0]
        (dimensions,) = struct.unpack("<i4x", file.read(8))
        if not 0 <= dimensions <= MOST_DIMENSIONS:  # below 0, the seek could go back forever
            raise pickle.UnpicklingError(f"a tensor has {dimensions} dimensions")
        sizes = [_int64(file) for _ in range(dimensions)]
        file.seek(8 * (dimensions + 1), os.SEEK_CUR)  # the strides and the offset
        tensors[int(key)] = TensorInfo(sizes_of(sizes), dtypes[int(storage)])
    return tensors


def _skip_storage(file: BinaryIO, item_size: int) -> None:
    number = _int64(file)
    if number < 0:
        raise pickle.UnpicklingError("a storage has a negative size")
    file.seek(number * item_size, os.SEEK_CUR)


def _int64(file: BinaryIO) -> int:
    number: int = _INT64.unpack(file.read(_INT64.size))[0]
    return number


def _item_size(dtype: str) -> int:
    bits = re.search(r"\d+", dtype)
    return max(1, int(bits[0]) // 8) if bits else 1


def read_safetensors(file: io.BufferedReader) -> Content:
    """Read the header of a safetensors file. Source: the README of safetensors."""
    size = int.from_bytes(file.read(8), "little")
    if size > _LARGEST_HEADER:
        raise pickle.UnpicklingError("its header is too long")
    header = json.loads(file.read(size).decode())
    content: dict[str, Any] = {}
    end = 0
    for name, entry in header.items():
        if name == "__metadata__":
            content[name] = entry if isinstance(entry, dict) else OpaqueValue("json")
            continue
        dtype, (_, end_of_tensor) = entry["dtype"], sizes_of(entry["data_offsets"])
        content[name] = TensorInfo(sizes_of(entry["shape"]), _safetensors_dtype(dtype))
        end = max(end, end_of_tensor)
    if 8 + size + end != os.fstat(file.fileno()).st_size:
        raise pickle.UnpicklingError("it is cut off, or longer than its header says")
    return content, ()


def _safetensors_dtype(name: str) -> str:
    """Return torch's name of a dtype: `float32` for `F32`."""
    kinds = {"F": "float", "I": "int", "U": "uint", "C": "complex"}
    return _SAFETENSORS_DTYPES.get(name) or kinds.get(name[0], name[0]) + name[1:]
