"""Checkpoints are read as `torch.load` reads them."""

import io

import pytest
import torch
from checkpoints import CONTENTS, WAYS, as_read, saved

from lldtool.checkpoint import read_checkpoint


def read(data, folder):
    path = folder / "checkpoint.pth"
    path.write_bytes(data)
    return read_checkpoint(path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CONTENTS)
def test_is_read_as_torch_loads_it(name, way, tmp_path):
    if name == "new tensors" and way.startswith("legacy"):
        pytest.skip("torch doesn't load them")
    data = saved(CONTENTS[name](), **WAYS[way])
    checkpoint = read(data, tmp_path)
    loaded = torch.load(io.BytesIO(data), weights_only=False)
    assert checkpoint.format == way.split()[0]
    for key in loaded:
        # The text tells -0.0 from 0.0 and True from 1, and has a NaN equal itself.
        assert repr(checkpoint.content[key]) == repr(as_read(loaded[key])), key
    assert list(checkpoint.content) == list(loaded)
