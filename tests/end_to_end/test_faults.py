"""Full disks, closed streams, signals and what else may go wrong around lldtool."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from conftest import ROOT, TINY_VIT, eventually, lldtool_process, processes_with

PLAN = ROOT / "tests" / "output" / "plans" / "resnet50_lr-mult.json"
OTHER = PLAN.with_name("traps.json")


@pytest.fixture
def project(tmp_path):
    """A folder with a config that works, and one that fails."""
    (tmp_path / "good.py").write_text(TINY_VIT)
    (tmp_path / "fails.py").write_text("raise ValueError('größe')\n")
    return tmp_path


@pytest.fixture(autouse=True)
def heeded_signals():
    """Signals that a shell or nohup has this process ignore are not ignored by its children."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


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


@pytest.mark.parametrize("command", ["inspect", "check"])
def test_without_a_home_and_where_no_folder_can_be_written(command, project, usual):
    done = shell(f"unset HOME; lldtool {command} {project}/good.py", "/sys", TMPDIR="/proc/none")
    expected = usual[f"{command} good.py"]
    assert (done.returncode, done.stderr) == (expected.code, "")
    assert done.stdout.replace(f"{project}/", "").split() == expected.out.split()


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


def test_a_closed_stream_gives_its_number_to_no_file(project):
    (project / "writes.py").write_text(f"{TINY_VIT}\nimport os\nos.write(2, b'junk')\ndel os\n")
    done = shell("lldtool inspect writes.py -o out.txt 2>&-", project)
    assert done.returncode == 0
    assert "junk" not in (project / "out.txt").read_text()


@pytest.mark.parametrize("command", [*SHOWING, f"inspect {PLAN} --format csv"])
def test_a_reader_that_has_seen_enough_ends_it_quietly(command, project):
    done = shell(f"(lldtool {command}; echo $? >&3) 3>code.txt | true", project)
    assert done.stderr == ""
    assert (project / "code.txt").read_text().strip() in {"0", "1"}


#: Code that says that it runs, and then does not end.
HANGS = "open('ready', 'w').close()\nimport time\ntime.sleep(600)\n"
#: Stage -> what of Python or lldtool hangs there, before lldtool runs.
STAGES = {
    "torch": """
import sys

class Hanging:
    def find_spec(name, path=None, target=None):
        if name == 'torch.nn':
            sys.meta_path.remove(Hanging)
            {hangs}

sys.meta_path.insert(0, Hanging)
""",
    # torch drops whatever is raised while it imports numpy
    "numpy": """
import sys

class Hanging:
    def find_spec(name, path=None, target=None):
        if name.startswith('numpy.') and 'torch' in sys.modules:
            sys.meta_path.remove(Hanging)
            {hangs}

sys.meta_path.insert(0, Hanging)
""",
    "writing": """
import pathlib

def replace(self, target):
    {hangs}

pathlib.Path.replace = replace
""",
}  # fmt: skip
RUN = "import lldtool.__main__\nlldtool.__main__.run()\n"


@contextmanager
def running(folder, *arguments, head=""):
    """lldtool in a session of its own, once it has come to what hangs."""
    process = subprocess.Popen(
        [sys.executable, "-c", head + RUN, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LLDTOOL_TEST": str(folder)},
    )  # fmt: skip
    try:
        assert eventually((folder / "ready").exists, 60)
        yield process
    finally:
        for one in processes_with("LLDTOOL_TEST", str(folder)):
            one.kill()


def is_ended_by(number, process, folder):
    """Send a signal, Ctrl-C as a terminal does, and see that nothing is left."""
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 128 + number
    assert eventually(lambda: not processes_with("LLDTOOL_TEST", str(folder)))
    assert (folder / "out.txt").read_text() == "old"
    assert not [*folder.glob(".out.txt*")]


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_ends_inspect_at_every_stage(stage, number, project):
    (project / "out.txt").write_text("old")
    indent = " " * (12 if "class" in STAGES[stage] else 4)
    head = STAGES[stage].format(hangs=HANGS.strip().replace("\n", f"\n{indent}"))
    with running(project, "inspect", "good.py", "-o", "out.txt", head=head) as process:
        is_ended_by(number, process, project)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
@pytest.mark.parametrize(
    "command",
    [
        "inspect",
        "explain",
        "diff good.py",
        "schedule --epochs 3",
        "check",
        "check good.py",
        "report",
    ],
)
def test_a_signal_ends_a_config_that_hangs(command, number, project):
    (project / "hangs.py").write_text(TINY_VIT + HANGS)
    (project / "out.txt").write_text("old")
    name, *more = command.split()
    with running(project, name, "hangs.py", *more, "-o", "out.txt") as process:
        is_ended_by(number, process, project)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_a_dry_run_that_started_over(number, project):
    real = "_base_ = []\nimport cv2\nif isinstance(cv2.COLOR_BGR2RGB, int):\n    "
    hanging = HANGS.replace("\n", "\n    ").rstrip(" ")
    (project / "hangs.py").write_text(f"{real}{hanging}{TINY_VIT}")
    (project / "out.txt").write_text("old")
    with running(project, "inspect", "hangs.py", "-o", "out.txt") as process:
        is_ended_by(number, process, project)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_takes_the_tree_of_a_revision_away(number, project, monkeypatch):
    (project / "hangs.py").write_text(
        TINY_VIT + HANGS.replace("'ready'", repr(str(project / "ready")))
    )
    (project / "out.txt").write_text("old")
    for command in ("init -q", "add -A", "-c user.name=n -c user.email=e commit -q -m one"):
        subprocess.run(["git", *command.split()], cwd=project, check=True)
    (project / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(project / "tmp"))
    with running(project, "inspect", "hangs.py@HEAD", "-o", "out.txt") as process:
        assert [*(project / "tmp").glob("lldtool-*")]
        is_ended_by(number, process, project)
    assert not [*(project / "tmp").glob("lldtool-*")]


@pytest.mark.parametrize(
    "module", ["dataclasses", "lldtool.plan", "typer", "lldtool.cli.commands.check"]
)
def test_ctrl_c_during_the_imports_is_quiet(module, project):
    """Sent by what Python asks for each module first, as soon as lldtool itself runs."""
    (project / "sitecustomize.py").write_text(f"""
import os, signal, sys

class Interrupting:
    def find_spec(name, path=None, target=None):
        if name == {module!r} and 'lldtool' in sys.modules:
            open('interrupted', 'w').close()
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
""")
    path = os.pathsep.join((str(project), str(ROOT)))
    done = lldtool_process("inspect", "good.py", cwd=project, PYTHONPATH=path)
    assert (project / "interrupted").exists()
    assert (done.code, done.out, done.err) == (-signal.SIGINT, "", "")


def test_a_config_may_not_ignore_ctrl_c_for_long(project):
    """What it sets up is undone when the dry run ends."""
    ignoring = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ndel signal\n"
    (project / "ignores.py").write_text(TINY_VIT + ignoring)
    (project / "out.txt").write_text("old")
    head = STAGES["writing"].format(hangs=HANGS.strip().replace("\n", "\n    "))
    with running(project, "inspect", "ignores.py", "-o", "out.txt", head=head) as process:
        is_ended_by(signal.SIGINT, process, project)


@pytest.mark.parametrize("victim", ["worker", "its parent", "server"])
def test_kill_9_of_what_a_check_started(victim, project):
    """A worker and its parent are that config's error alone, a server is nobody's."""
    (project / "waits.py").write_text(f"""{TINY_VIT}
import os, psutil, time
print(os.getpid(), *(one.pid for one in psutil.Process().parents()), file=open('pids', 'w'))
open('ready', 'w').close()
while os.path.exists('ready'): time.sleep(0.01)
del os, psutil, time
""")
    with running(project, "check", "waits.py", "good.py", "--format", "json", "-j", 1) as process:
        pids = (project / "pids").read_text().split()
        os.kill(int(pids[("worker", "its parent", "server").index(victim)]), signal.SIGKILL)
        (project / "ready").unlink()
        out, err = process.communicate(timeout=60)
    errors = [one["error"] for one in json.loads(out)["configs"]]
    expected = {
        "worker": "was killed, out of memory?",
        "its parent": "the parent of its process was killed",
        "server": None,
    }[victim]
    assert (process.returncode, err, errors) == (2 if expected else 1, "", [expected, None])
    assert eventually(lambda: not processes_with("LLDTOOL_TEST", str(project)))


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGSTOP"])
def test_a_config_that_signals_its_parent_is_its_own_error_in_time(number, project):
    (project / "bad.py").write_text(
        f"{TINY_VIT}import os, signal, time\nos.kill(os.getppid(), signal.{number})\n"
        "time.sleep(600)\n"
    )
    goods = [f"good{index}.py" for index in range(4)]
    for name in goods:
        (project / name).write_text(TINY_VIT)
    arguments = ("check", "bad.py", *goods, "--timeout", 5, "--format", "json")
    start = time.monotonic()
    result = lldtool_process(*arguments, cwd=project, LLDTOOL_TEST=str(project))
    assert time.monotonic() - start < 40
    errors = [one["error"] for one in json.loads(result.out)["configs"]]
    stopped = "took longer than 5 s (a larger timeout allows more)"
    killed = "the parent of its process was killed"
    assert errors == [stopped if number == "SIGSTOP" else killed, *[None] * 4]
    assert (result.code, result.err) == (2, "")
    assert eventually(lambda: not processes_with("LLDTOOL_TEST", str(project)))
