"""Full disks, closed streams, terminals without UTF-8: what may go wrong around lldtool."""

import os
import resource
import subprocess
import sys

import pytest
from conftest import PLANS, ROOT, TINY_VIT, lldtool_process

PLAN = PLANS / "resnet50_lr-mult.json"
OTHER = PLAN.with_name("traps.json")


@pytest.fixture
def project(tmp_path):
    """A folder with a config that works, and one that fails."""
    (tmp_path / "good.py").write_text(TINY_VIT)
    (tmp_path / "fails.py").write_text("raise ValueError('größe')\n")
    return tmp_path


def is_one_line(text):
    return len(text.splitlines()) == 1 and text.startswith("error: ")


def shell(command, cwd=ROOT, **environment):
    """What `sh` makes of a command, in which `lldtool` is this one."""
    python = f"{sys.executable} -m lldtool"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("lldtool", python, 1)],
        capture_output=True, text=True, check=False, cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


#: Commands that read saved plans, each with an option that names a file to write.
WRITING = {
    "inspect": ["inspect", PLAN, "--format", "json", "-o"],
    "picture of a terminal": ["inspect", PLAN, "--save-svg"],
    "plot": ["inspect", PLAN, "--plot"],
    "explain": ["explain", PLAN, "-o"],
    "diff": ["diff", PLAN, OTHER, "-o"],
    "compare": ["compare", PLAN, OTHER, "-o"],
    "report": ["report", PLAN, "-o"],
    "check": ["check", PLAN, "-o"],
    "sarif": ["check", OTHER, "--format"],
    "baseline": ["check", OTHER, "--write-baseline"],
}


def writing(name, path):
    return [*WRITING[name], f"sarif={path}" if name == "sarif" else path]


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITING)
def test_a_full_disk_leaves_the_file_as_it_was(name, tmp_path):
    path = tmp_path / "out.svg"
    path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-m", "lldtool", *map(str, writing(name, path))],
        capture_output=True, text=True, check=False, cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )  # fmt: skip
    assert done.returncode == 2
    assert is_one_line(done.stderr)
    assert "File too large" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["out.svg"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ["inspect", "check"])
def test_a_full_device_is_one_line(name):
    result = lldtool_process(*writing(name, "/dev/full"))
    assert result.code == 2
    assert is_one_line(result.err)
    assert "No space left on device" in result.err


@pytest.mark.parametrize("folder", ["/proc", "/sys", "file.txt", "missing"])
def test_where_nothing_can_be_written(folder, project, cli, monkeypatch):
    monkeypatch.chdir(project)
    (project / "file.txt").write_text("")
    before = sorted(project.iterdir())
    result = cli("inspect", PLAN, "-o", f"{folder}/plan.txt")
    assert (result.code, result.out) == (2, "")
    assert is_one_line(result.err)
    assert sorted(project.iterdir()) == before


@pytest.mark.parametrize("name", WRITING)
def test_links_that_lead_in_a_circle_are_one_line(name, tmp_path):
    path = tmp_path / "out.svg"
    path.symlink_to("out.svg")
    result = lldtool_process(*writing(name, path))
    assert (result.code, result.out) == (2, "")
    assert is_one_line(result.err)
    assert "Too many levels of symbolic links" in result.err
    assert path.is_symlink()


def test_permission_denied_is_said_before_the_work(cli, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    result = cli("inspect", "nowhere.json", "--output", "plan.txt")
    assert (result.code, result.err) == (2, "error: nowhere.json: no such file\n")
    result = cli("inspect", PLAN, "--output", "plan.txt")
    assert (result.code, "permission denied" in result.err) == (2, True)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Command -> what it comes to where nothing is wrong."""
    folder = tmp_path_factory.mktemp("usual")
    (folder / "good.py").write_text(TINY_VIT)
    commands = ("inspect good.py", "check good.py")
    return {command: lldtool_process(*command.split(), cwd=folder) for command in commands}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inspect", "check"])
def test_without_a_home_and_where_no_folder_can_be_written(command, project, usual):
    done = shell(f"unset HOME; lldtool {command} {project}/good.py", "/sys", TMPDIR="/proc/none")
    expected = usual[f"{command} good.py"]
    assert (done.returncode, done.stderr) == (expected.code, "")
    assert done.stdout.replace(f"{project}/", "").split() == expected.out.split()


@pytest.mark.slow
def test_a_picture_where_no_folder_can_be_written(project):
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/proc/none")
    result = lldtool_process("inspect", PLAN, "--plot", project / "x.png", **nowhere)
    assert (result.code, result.err) == (0, "")


#: Every form of text, of configs and of saved plans.
SHOWING = [
    f"inspect {PLAN}", f"inspect {PLAN} --params", f"explain {PLAN}", f"diff {PLAN} {OTHER}",
    f"compare {PLAN} {OTHER}", f"check {OTHER}", "rules", "rule LLD101", "--help", "check --help",
    "inspect good.py", "schedule good.py --epoch-length 10 --epochs 3",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("command", SHOWING)
def test_a_terminal_without_utf8_and_colour(command, project):
    result = lldtool_process(
        *command.split(), cwd=project, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii",
        PYTHONCOERCECLOCALE="0", TERM="dumb",
    )  # fmt: skip
    assert result.code == int(command.startswith(("diff", f"check {OTHER}")))
    assert result.out.isascii()
    assert "\x1b" not in result.out
    assert result.err == ""


def test_signs_that_a_terminal_lacks_have_others_in_their_place():
    result = lldtool_process(
        "inspect", PLAN.with_name("vit-base_layer-decay.json"), PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
    )  # fmt: skip
    assert "0.05 x1 | 0 x3" in result.out


def test_an_error_without_utf8_is_one_line(project):
    result = lldtool_process("inspect", "fails.py", cwd=project, LC_ALL="C", PYTHONUTF8="0",
                             PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")  # fmt: skip
    assert (result.code, result.out) == (2, "")
    assert result.err == r"error: fails.py: ValueError: gr\xf6\xdfe in fails.py line 1" + "\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "redirection", "code"),
    [
        ("inspect good.py", "<&- 2>&-", 0),
        ("check good.py", "<&- 2>&-", 1),
        ("inspect good.py", "2>/dev/full", 0),
        ("inspect fails.py", "2>&-", 2),
        ("inspect fails.py", "2>/dev/full", 2),
        ("inspect fails.py", "<&- >&- 2>&-", 2),
        ("inspect good.py", ">&-", 2),
        ("check good.py", ">&-", 2),
        (f"diff {PLAN} {OTHER}", ">/dev/full", 2),
        ("rules", ">/dev/full", 2),
        ("--version", ">/dev/full", 2),
    ],
)
def test_closed_and_full_streams(command, redirection, code, project, usual):
    done = shell(f"lldtool {command} {redirection}", project)
    assert done.returncode == code
    assert done.stdout == ("" if code == 2 else usual[command].out)
    if "2>" in redirection:
        assert done.stderr == ""
    else:
        assert is_one_line(done.stderr)


@pytest.mark.slow
def test_a_closed_stream_gives_its_number_to_no_file(project):
    (project / "writes.py").write_text(f"{TINY_VIT}\nimport os\nos.write(2, b'junk')\ndel os\n")
    done = shell("lldtool inspect writes.py -o out.txt 2>&-", project)
    assert done.returncode == 0
    assert "junk" not in (project / "out.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("command", [*SHOWING, f"inspect {PLAN} --format csv"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(command, project):
    done = shell(f"(lldtool {command}; echo $? >&3) 3>code.txt | true", project)
    assert done.stderr == ""
    assert (project / "code.txt").read_text().strip() in {"0", "1"}
