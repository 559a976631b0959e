"""No pickle makes lldtool run, import, hang or take much memory."""

import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
from checkpoints import nothing_runs, zipped

from lldtool.checkpoint import OpaqueValue, TensorInfo, read_checkpoint
from lldtool.errors import LldtoolError

#: What the file would call: it writes a file.
ATTACK = b"X\x0c\x00\x00\x00touch pwned;"
STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
)
#: A tensor of 2 × 3.
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\x00(K\x02K\x03t(K\x03K\x01t\x89}tR"
SYSTEM = b"cposix\nsystem\n"
CALLED = OpaqueValue("posix.system")
#: Pickles of one value, and what is read.
HOSTILE = {
    "os.system": (SYSTEM + b"(" + ATTACK + b"tR", CALLED),
    "eval": (b"\x8c\x08builtins\x8c\x04eval\x93" + ATTACK + b"\x85R", OpaqueValue("builtins.eval")),
    "Python 2's eval": (b"c__builtin__\neval\n" + ATTACK + b"\x85R", OpaqueValue("builtins.eval")),
    "new object": (b"csubprocess\nPopen\n" + ATTACK + b"\x85\x81", OpaqueValue("subprocess.Popen")),
    "new object, options": (b"csubprocess\nPopen\n)}\x92", OpaqueValue("subprocess.Popen")),
    "import": (b"cantigravity\nfly\n)R", OpaqueValue("antigravity.fly")),
    "chain": (
        b"cbuiltins\ngetattr\ncbuiltins\n__import__\nX\x02\x00\x00\x00os\x85RX\x06\x00\x00\x00system"
        b"\x86R" + ATTACK + b"\x85R",
        OpaqueValue("builtins.getattr"),
    ),
    "reconstructor": (b"ccopyreg\n_reconstructor\n" + SYSTEM + ATTACK + b"N\x87R", CALLED),
    "memo": (SYSTEM + b"q\x070h\x07" + ATTACK + b"\x85Rq\x070h\x07", CALLED),
    "state": (SYSTEM + b")R}X\x04\x00\x00\x00nameK\x01sb", CALLED),
    "items": (SYSTEM + b")R(K\x01K\x02uK\x01K\x02s(K\x01eK\x01a", CALLED),
    "set items": (SYSTEM + b")R(K\x01\x90", CALLED),
    "items of a class": (b"ccollections\nOrderedDict\n(K\x01K\x02u)R", OrderedDict()),
    "state of a tensor": (
        TENSOR + b"}X\x05\x00\x00\x00shapeK\x01sb", TensorInfo((2, 3), "float32")
    ),
    "state of a class": (
        b"ccollections\nOrderedDict\n}X\x08\x00\x00\x00__init__" + SYSTEM + b"sb)R", OrderedDict()
    ),
    "type of a tensor": (
        b"ctorch._tensor\n_rebuild_from_type_v2\n(" + SYSTEM + b"N" + ATTACK + b"\x85NtR", CALLED
    ),
    "dict's factory": (b"ccollections\ndefaultdict\n" + SYSTEM + b"\x85R", {}),
    "pickle in a pickle": (b"c_pickle\nloads\nC\x02N.\x85R", OpaqueValue("_pickle.loads")),
}  # fmt: skip
SIZE = "a tensor has an invalid shape"
STORAGES = "a tensor's storage is not as torch.save writes it"
#: Pickles that are refused, and why.
REFUSED = {
    "called text": (b"X\x01\x00\x00\x00a)R", "its pickle is damaged at the opcode b'R'"),
    "called with text": (SYSTEM + ATTACK + b"R", "its pickle is damaged at the opcode b'R'"),
    "known with too few": (
        b"ctorch._utils\n_rebuild_tensor_v2\n)R", "its pickle is damaged at the opcode b'R'"
    ),
    "INST": (b"(" + ATTACK + b"iposix\nsystem\n", "its pickle is damaged at the opcode b'i'"),
    "OBJ": (b"(" + SYSTEM + ATTACK + b"o", "its pickle is damaged at the opcode b'o'"),
    "EXT1": (b"\x82\x01", "its pickle refers to objects outside it"),
    "EXT4": (b"\x84\x01\x00\x00\x00", "its pickle refers to objects outside it"),
    "buffer": (b"\x97", "its pickle refers to objects outside it"),
    "protocol": (b"\x80\x09N", "its pickle has protocol 9"),
    "no such opcode": (b"\xff", r"its pickle is damaged at the opcode b'\xff'"),
    "no such memo": (b"h\x05", "its pickle is damaged at the opcode b'h'"),
    "empty stack": (b"000", "its pickle is damaged at the opcode b'0'"),
    "no mark": (b"Nt", "its pickle is damaged at the opcode b't'"),
    "persistent text": (b"X\x01\x00\x00\x00aQ", STORAGES),
    "persistent call": (
        b"(X\x07\x00\x00\x00storage" + SYSTEM + ATTACK + b"\x85RX\x01\x00\x00\x000NK\x01tQ",
        "'posix.system' is not a tensor storage",
    ),
    "nested persistent ids": (STORAGE + b"Q", STORAGES),
    "shape": (TENSOR.replace(b"K\x02K\x03t", b"NK\x03t"), SIZE),
    "negative shape": (TENSOR.replace(b"K\x02K\x03t", b"J\xff\xff\xff\xffK\x03t"), SIZE),
    "dict of a list": (b"}]K\x01s", "keys of type list are not supported"),
    "dict of a dict": (b"}(}K\x01u", "keys of type dict are not supported"),
    "set of a set": (b"\x8f(\x8f\x90", "keys of type set are not supported"),
    "inside itself": (b"]q\x00h\x00a", "its content has over 100 levels"),
}  # fmt: skip


def in_a_dict(value):
    """A pickle of a dict with this value, at `x`."""
    return b"\x80\x02}X\x01\x00\x00\x00x" + value + b"s."


def read(data, folder):
    (folder / "checkpoint.pth").write_bytes(zipped(data))
    return read_checkpoint(folder / "checkpoint.pth", "checkpoint.pth")


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_called_stays_opaque(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value, expected = HOSTILE[name]
    with nothing_runs():
        content = read(in_a_dict(value), tmp_path).content
    assert repr(content) == repr({"x": expected})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pth"]
    assert "antigravity" not in sys.modules


def test_the_attacks_would_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(in_a_dict(HOSTILE["os.system"][0]))
    assert Path("pwned").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name, tmp_path):
    value, message = REFUSED[name]
    with pytest.raises(LldtoolError) as error:
        read(in_a_dict(value), tmp_path)
    assert str(error.value) == f"checkpoint.pth: not a checkpoint: {message}"


def test_every_global_is_named(tmp_path):
    checkpoint = read(in_a_dict(TENSOR + b"0" + HOSTILE["chain"][0]), tmp_path)
    assert checkpoint.globals == (
        "torch._utils._rebuild_tensor_v2",
        "torch.FloatStorage",
        "builtins.getattr",
        "builtins.__import__",
    )


def text(length):
    return b"X" + struct.pack("<I", length)


def numbers_of_one_hash(number):
    return b"".join(
        b"\x8a" + bytes([len(key)]) + key + b"N"
        for i in range(1, number)
        if (key := (i * (2**61 - 1)).to_bytes(10, "little"))
    )


def tuples_of_one_hash(length):
    """Tuples of -1 and -2, which have the same hash."""
    return b"".join(
        b"("
        + b"".join(b"J%c\xff\xff\xff" % (0xFE + (i >> bit & 1)) for bit in range(length))
        + b"tN"
        for i in range(1 << length)
    )


LEVELS = "its content has over 100 levels"
REPEATS = "its content has over 100 levels, or repeats itself"
OPCODES = "its pickle has over 4,000,000 opcodes"
CUT = "its pickle is cut off"
INTEGER = "its pickle has an integer that is too long"
MEMORY = "its pickle takes over 128 MiB of memory"
#: Pickles that would take much memory or time, and what comes of them.
BOMBS = {
    "long text": (text(2**32 - 1), CUT),
    "longer text": (b"\x8d" + b"\xff" * 7 + b"\x7f", CUT),
    "longest text": (b"\x8d" + b"\xff" * 8, CUT),
    "long bytes": (b"\x8e" + b"\xff" * 7 + b"\x7f", CUT),
    "long integer": (b"\x8b\xff\xff\xff\x7f", INTEGER),
    "long integer of digits": (b"L" + b"9" * 5000 + b"L\n", INTEGER),
    "long line": (b"c" + b"a" * 10**6, "its pickle is cut off, or has a line that is too long"),
    "high memo": (b"Nr\xff\xff\xff\xff", None),
    "marks": (b"(" * 50_000, "its pickle is damaged at the opcode b's'"),
    "nested lists": (b"]" * 50_000 + b"a" * 49_999, LEVELS),
    "nested tuples": (b")" + b"\x85" * 50_000, LEVELS),
    "nested from within": (b"]q\x00" + b"\x85" * 60 + b"0h\x00]" + b"\x85" * 101 + b"a", LEVELS),
    "doubled tuples": (b")" + b"2\x86" * 90, REPEATS),
    "doubled lists": (
        b"]q\x00" + b"".join(b"0]q%c(h%ch%ce" % (i, i - 1, i - 1) for i in range(1, 90)), REPEATS
    ),
    "tuples as keys": (b"})" + b"2\x86" * 90 + b"Ns", "keys of type tuple are not supported"),
    "tuples as a device": (
        b"ctorch\ndevice\n)" + b"2\x86" * 90 + b"\x85R", "its pickle is damaged at the opcode b'R'"
    ),
    "tuples as a dtype": (
        b"cnumpy\ndtype\n)" + b"2\x86" * 90 + b"\x85R", "its pickle is damaged at the opcode b'R'"
    ),
    "integers as keys": (
        b"}(" + numbers_of_one_hash(10**5) + b"u", "keys of type int are not supported"
    ),
    "tuples of one hash": (
        b"}(" + tuples_of_one_hash(16) + b"u", "keys of type tuple are not supported"
    ),
    "sets": (b"(" + b"\x8f" * 10**6 + b"t", MEMORY),
    "copied texts": (
        text(200_000) + b"x" * 200_000 + b"q\x00("
        + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 1000 + b"t", MEMORY,
    ),
    "copied lists": (
        b"](" + b"K\x01" * 10**5 + b"eq\x00(" + b"ccollections\nOrderedDict\nh\x00\x85R" + b"t",
        "its pickle is damaged at the opcode b'R'",
    ),
    "copied sets": (
        b"](" + b"K\x01" * 10**5 + b"eq\x00(" + b"cbuiltins\nset\nh\x00\x85R" * 1000 + b"t", MEMORY
    ),
    "copied arrays": (
        b"B\x00\x20\x00\x00" + bytes(8192) + b"q\x00cnumpy\ndtype\nX\x02\x00\x00\x00f2\x85Rq\x01("
        + b"cnumpy.core.numeric\n_frombuffer\n(h\x00h\x01M\x00\x10\x85tR" * 20_000 + b"t", MEMORY,
    ),
    "empty array": (
        b"cnumpy._core.multiarray\n_reconstruct\n)R(K\x01J\xff\xff\xff\x7fK\x00\x86cnumpy\ndtype\n"
        b"X\x02\x00\x00\x00f8\x85R\x89C\x00tb", None,
    ),
}  # fmt: skip
READ_ALL = """
import sys
from pathlib import Path
from lldtool.checkpoint import read_checkpoint
from lldtool.errors import LldtoolError
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        print(path.name, read_checkpoint(path).format)
    except LldtoolError as error:
        print(path.name, error.without_config())
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def read_all(folder):
    """What comes of reading each file, and the MB of memory that it took."""
    command = [sys.executable, "-c", READ_ALL, folder]
    *lines, peak = subprocess.check_output(command, text=True, timeout=120).splitlines()
    return dict(line.split(" ", 1) for line in lines), int(peak) // 1024


def test_bombs_take_little_memory(tmp_path):
    for i, (value, _) in enumerate(BOMBS.values()):
        (tmp_path / f"{i:02}").write_bytes(zipped(in_a_dict(value)))
    results, peak = read_all(tmp_path)
    assert dict(zip(BOMBS, results.values(), strict=True)) == {
        name: "zip" if message is None else f"not a checkpoint: {message}"
        for name, (_, message) in BOMBS.items()
    }
    assert peak < 400


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        (b"}" * 10**7, f"not a checkpoint: {OPCODES}"),
        (text(10**8) + bytes(10**8), "zip"),
    ],
    ids=["dicts", "text"],
)
def test_zip_bombs_take_little_memory(bomb, message, tmp_path):
    data = zipped(in_a_dict(bomb), compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 2_000_000
    (tmp_path / "bomb").write_bytes(data)
    results, peak = read_all(tmp_path)
    assert results == {"bomb": message}
    assert peak < 800
