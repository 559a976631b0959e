"""Ctrl-C, a terminal that closes, kill: lldtool ends, says so, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from conftest import ROOT, TINY_VIT, commit, eventually, lldtool_process, processes_with

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path):
    """A folder with a config that works."""
    (tmp_path / "good.py").write_text(TINY_VIT)
    return tmp_path


@pytest.fixture(autouse=True)
def heeded_signals():
    """Signals that a shell or nohup has this process ignore are not ignored by its children."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


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
    commit(project)
    (project / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(project / "tmp"))
    with running(project, "inspect", "hangs.py@HEAD", "-o", "out.txt") as process:
        assert [*(project / "tmp").glob("lldtool-*")]
        is_ended_by(number, process, project)
    assert not [*(project / "tmp").glob("lldtool-*")]


@pytest.mark.parametrize(
    "module", ["dataclasses", "lldtool.plan", "typer", "lldtool.cli.commands.inspect"]
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
    # lldtool handles Ctrl-C by the time that what the command needs is imported.
    code = 128 + signal.SIGINT if module.startswith("lldtool.") else -signal.SIGINT
    assert (done.code, done.out, done.err) == (code, "", "")


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
