"""Configs that do what they must not, each in a process of its own, next to one that does not."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import (
    ROOT,
    SAMPLES,
    TINY_VIT,
    eventually,
    layer_decay_configs,
    lldtool_process,
    slow,
)

from lldtool.config import locate
from lldtool.config.request import Request
from lldtool.dryrun import dry_run
from lldtool.errors import ConstructorError, LldtoolError
from lldtool.plan import plan_from_json, plan_to_json
from lldtool.workers import calls
from lldtool.workers.pool import Fleet

MESSAGES = {
    "took longer": "took longer than 4 s (a larger timeout allows more)",
    "exit 3": "the config ended the process with exit code 3",
}
#: What a config does -> code at its top, and the error that this comes to; None for a plan.
CODE = {
    "raises": ("1 / 0", "ZeroDivisionError: division by zero in x.py line 3"),
    "really exits": ("import posix\nposix._exit(3)", MESSAGES["exit 3"]),
    "really exits well": (
        "import posix\nposix._exit(0)", "the config ended the process with exit code 0"
    ),
    "sleeps": ("import time\ntime.sleep(600)", MESSAGES["took longer"]),
    "ignores signals": (
        "import signal, time\n"
        "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n"
        "time.sleep(600)",
        MESSAGES["took longer"],
    ),
    "forks and stays": (
        "import os, time\nif not os.fork(): time.sleep(600)\ndel os, time", None
    ),
    "segfaults": ("import ctypes\nctypes.string_at(0)", "crashed with signal SIGSEGV"),
    "aborts": ("import os\nos.abort()", "crashed with signal SIGABRT"),
    "is killed": (
        "import os\nos.kill(os.getpid(), 9)", "was killed, out of memory?"
    ),
    "is interrupted": ("import os\nos.kill(os.getpid(), 2)", "KeyboardInterrupt"),
    "prints": (
        "import sys\nprint('x' * (1 << 20))\nprint('y' * (1 << 20), file=sys.stderr)\ndel sys",
        None,
    ),
    "starts a process": (
        "import subprocess\nsubprocess.Popen(['sleep', '600'])\ndel subprocess", None
    ),
    "starts a daemon": (
        "import subprocess\n"
        "subprocess.Popen(['sleep', '600'], start_new_session=True)\ndel subprocess",
        None,
    ),
    "starts a daemon and hangs": (
        "import subprocess, time\n"
        "subprocess.Popen('setsid sleep 600 & setsid sleep 600 &', shell=True)\ntime.sleep(600)",
        MESSAGES["took longer"],
    ),
    "closes descriptors": (
        "import os\nos.closerange(3, 1000)\ndel os",
        "the config closed the pipe that its plan comes through",
    ),
    "takes the pipe's descriptor": (
        "import os\nos.closerange(3, 1000)\nf = [os.open('x.txt', 66) for _ in range(50)]\ndel os",
        "the config closed the pipe that its plan comes through",
    ),
    "writes to stdout": ("import os\nos.write(1, b'junk')\ndel os", None),
    "closes stdout": ("import os\nos.close(1)\ndel os", None),
    "patches os.write": ("import os\nos.write = None\ndel os", None),
    "patches pickle": (
        "import pickle, sys\npickle.dumps = sys.stderr.write = None\ndel pickle, sys", None
    ),
    "changes its surroundings": (
        "import os, sys\nos.chdir('/')\nsys.path.append('/nowhere')\n"
        "os.environ['LLDTOOL_TEST'] = '1'\ndel os, sys",
        None,
    ),
}  # fmt: skip
#: What the good ones say of what another may have changed.
GOOD = """
import os, sys
assert 'LLDTOOL_TEST' not in os.environ and '/nowhere' not in sys.path
assert os.getcwd() == {folder!r}
del os, sys
"""


@pytest.fixture(scope="module")
def warm():
    """A fleet that serves several tests."""
    with Fleet(2, 4) as one:
        yield one


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files into a folder that is the working directory."""
    monkeypatch.chdir(tmp_path)

    def one(name, text):
        (tmp_path / name).write_text(text)
        return request(tmp_path / name, name)

    return one


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """Write a module of tasks that the processes find as well."""
    monkeypatch.syspath_prepend(tmp_path)

    def module(text):
        name = f"tasks_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return __import__(name)

    return module


def request(path, name=None):
    return Request(locate(str(path)).path, name or str(path), own_process=True)


def in_a_process_of_its_own(name, **environment):
    done = lldtool_process("inspect", name, "--format", "json", forked=False, **environment)
    return plan_from_json(done.out.encode(), source=name) if done.code == 0 else done.err.strip()


def outcome(future, timeout=60):
    """The plan, as if read back, or the error in one line."""
    error = future.exception(timeout)
    if error is not None:
        return f"error: {error}"
    return plan_from_json(plan_to_json(future.result()).encode(), source="plan")


def message(future):
    error = future.exception(60)
    return None if error is None else str(error)


def processes_under(*parents):
    """The living processes that descend from these, or are in their sessions."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        state, parent, _, session = text.rpartition(")")[2].split()[:4]
        if state not in "ZX":
            found[int(stat.parent.name)] = int(parent), int(session)
    wanted = set(parents)
    while True:
        more = {pid for pid, near in found.items() if wanted & {pid, *near}} - wanted
        if not more:
            return wanted & found.keys()
        wanted |= more


def server_of(one):
    """The process that forks: the parent of the parent of one that makes a call."""
    return one.submit(eval, "__import__('psutil').Process().parents()[1].pid").result(60)


@pytest.mark.parametrize(
    "code",
    [
        slow(code) if code != "sleeps" and error == MESSAGES["took longer"] else code
        for code, (_, error) in CODE.items()
    ],
)
def test_what_a_config_does_is_its_own_error_only(warm, write, code, tmp_path):
    text, expected = CODE[code]
    good = write("good.py", TINY_VIT + GOOD.format(folder=str(tmp_path)))
    futures = [
        warm.submit(dry_run, good),
        warm.submit(dry_run, write("x.py", f"_base_ = []\n\n{text}\n{TINY_VIT}")),
        warm.submit(dry_run, good),
    ]
    assert [len(futures[i].result(60).parameters) for i in (0, 2)] == [152, 152]
    if expected is None:
        assert futures[1].result(60).parameters == futures[0].result().parameters
    else:
        assert expected in message(futures[1])
        assert message(futures[1]).startswith("x.py: ")
        assert isinstance(futures[1].exception(), LldtoolError)
    server = server_of(warm)
    assert eventually(lambda: processes_under(server) == {server})
    assert not (tmp_path / "x.txt").exists() or not (tmp_path / "x.txt").read_bytes()
    assert [path.name for path in tmp_path.glob("core*")] == []


@pytest.mark.slow
def test_a_config_that_takes_all_memory_is_ended(write, monkeypatch):
    text = "x = []\nwhile True: x.append(b'x' * (1 << 25))"
    # Filling the memory of a real machine takes a minute.
    monkeypatch.setattr(calls, "available_memory", lambda: 3 << 30)
    with Fleet(2, 120) as one:
        bad = one.submit(dry_run, write("x.py", f"_base_ = []\n{text}\n{TINY_VIT}"))
        good = one.submit(dry_run, write("good.py", TINY_VIT))
        assert message(bad) == "x.py: ran out of memory"
        assert len(good.result().parameters) == 152


@pytest.mark.slow
def test_plans_are_those_of_fresh_processes():
    zoo = [
        *layer_decay_configs()[::3],
        "resnet/resnet50_8xb32_in1k.py", "swin_transformer/swin-tiny_16xb64_in1k.py",
        "convnext/convnext-tiny_32xb128_in1k.py", "deit/deit-tiny_4xb256_in1k.py",
        "mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py", "vgg/vgg11_8xb32_in1k.py",
        "mobilenet_v2/mobilenet-v2_8xb32_in1k.py", "clip/clip_vit-base-p16_zeroshot-cls_in1k.py",
    ]  # fmt: skip
    names = [f"mmpretrain::{name}" for name in zoo]
    names += [str(SAMPLES / name) for name in (
        "vit-base_layer-decay.py", "vit-base_layer-decay_keys-only.py", "beit-base.py",
        "vit-small_pure-python.py", "traps.py", "resnet50_lr-mult.py",
    )]  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        expected = dict(zip(names, pool.map(in_a_process_of_its_own, names), strict=True))
    for jobs, order in ((1, names), (2, names[::-1])):
        with Fleet(jobs, 60) as one:
            requests = {name: replace(request(name), curves="all") for name in order}
            futures = {name: one.submit(dry_run, asked) for name, asked in requests.items()}
            assert {name: outcome(futures[name]) for name in names} == expected


@pytest.mark.slow
def test_real_imports_can_be_had(monkeypatch, write):
    monkeypatch.setenv("LLDTOOL_REAL_IMPORTS", "1")
    code = "import sys\nassert hasattr(sys.modules['cv2'], '__file__')\ndel sys\n"
    config = write("x.py", f"_base_ = []\n{code}{TINY_VIT}")
    with Fleet(1, 60) as one:
        assert len(one.submit(dry_run, config).result().parameters) == 152
    monkeypatch.delenv("LLDTOOL_REAL_IMPORTS")
    with Fleet(1, 60) as one:
        assert "AssertionError" in message(one.submit(dry_run, config))


#: A stub for cv2 has no numbers.
REAL = "_base_ = []\nimport cv2\nfile = cv2.imread.__doc__ and cv2.COLOR_BGR2RGB + 0\n"


@pytest.mark.slow
def test_a_config_that_needs_real_imports_starts_over(write):
    config = write("x.py", f"{REAL}del cv2\n{TINY_VIT}")
    with Fleet(1, 60) as one:
        assert len(one.submit(dry_run, config).result().parameters) == 152


@pytest.mark.slow
def test_starting_over_ends_with_the_timeout(warm, write):
    code = (
        "import cv2, time\nwhile isinstance(cv2.COLOR_BGR2RGB, int): time.sleep(600)\ndel cv2, time"
    )
    future = warm.submit(dry_run, write("x.py", f"_base_ = []\n{code}\n{TINY_VIT}"))
    server = server_of(warm)
    assert eventually(lambda: len(processes_under(server)) == 4)
    assert MESSAGES["took longer"] in message(future)
    assert eventually(lambda: processes_under(server) == {server})


@pytest.mark.slow
def test_an_error_arrives_whole(write):
    raising = TINY_VIT.replace("layer_decay_rate=0.75", "layer_decay_rate='x'")
    with Fleet(1, 60) as one:  # with time enough for real imports
        error = one.submit(dry_run, write("x.py", raising)).exception()
    with pytest.raises(LldtoolError) as expected:
        dry_run(write("x.py", raising))
    assert isinstance(error, ConstructorError)
    assert vars(error) == vars(expected.value)
    assert "Traceback (most recent call last)" in str(error.__cause__)
    assert "TypeError" in str(error.__cause__)


def test_what_a_task_returns_and_raises(warm, tasks):
    module = tasks("""
        import os, sys, threading

        class Odd(Exception):
            def __init__(self, a, b):
                super().__init__(a)

        def returns(*args, **kwargs): return args, kwargs
        def large(): return b'x' * 50_000_000
        def unpicklable(): return threading.Lock()
        def raises(): raise KeyError('a')
        def odd(): raise Odd(1, 2)
        def exits(): sys.exit('bye')
        def memory(): raise MemoryError
        def deep(): return deep()
        def forks(): os.fork(); return 1
        def environment(): return os.environ.get('LLDTOOL_TEST'), os.getcwd(), sys.path
    """)
    assert warm.submit(module.returns, 1, x=2).result(60) == ((1,), {"x": 2})
    assert len(warm.submit(module.large).result(60)) == 50_000_000
    assert "pickle" in str(warm.submit(module.unpicklable).exception(60))
    assert repr(warm.submit(module.raises).exception(60)) == "KeyError('a')"
    assert "Odd: 1" in message(warm.submit(module.odd))
    assert message(warm.submit(module.exits)) == "the config ended the process with exit code 1"
    assert message(warm.submit(module.memory)) == "ran out of memory"
    assert isinstance(warm.submit(module.deep).exception(60), RecursionError)
    assert warm.submit(module.forks).result(60) == 1
    assert "pickle" in str(warm.submit(lambda: 1).exception(60))
    assert "pickle" in str(warm.submit(len, threading.Lock()).exception(60))


def test_a_call_is_made_in_the_surroundings_of_its_submit(warm, tasks, monkeypatch, tmp_path):
    module = tasks("""
        import os, sys
        def where(): return os.environ.get('LLDTOOL_TEST'), os.getcwd(), sys.path
    """)
    monkeypatch.setenv("LLDTOOL_TEST", "1")
    monkeypatch.chdir(tmp_path)
    assert warm.submit(module.where).result(60) == ("1", str(tmp_path), sys.path)
    monkeypatch.delenv("LLDTOOL_TEST")
    monkeypatch.chdir(ROOT)
    assert warm.submit(module.where).result(60) == (None, str(ROOT), sys.path)


def test_no_more_run_than_there_are_jobs_and_each_in_a_process_of_its_own(tasks):
    module = tasks("""
        import os, time
        def nap():
            start = time.monotonic()
            time.sleep(0.1)
            return start, time.monotonic(), os.getpid()
    """)
    with Fleet(2, None) as one:
        naps = [future.result() for future in [one.submit(module.nap) for _ in range(8)]]
    assert len({pid for _, _, pid in naps}) == 8
    most = max(sum(s <= start < e for s, e, _ in naps) for start, _, _ in naps)
    assert most == 2


#: Ways for a config to harm the process that forks for all of them, and its own parent.
HARM = ["SIGKILL", "SIGTERM", "SIGSTOP", "SIGINT", "SIGSEGV"]


@pytest.mark.slow
@pytest.mark.parametrize("generation", [0, 1], ids=["parent", "server"])
@pytest.mark.parametrize("number", HARM)
def test_a_config_that_signals_its_ancestors_harms_no_other(write, number, generation, tasks):
    code = f"""
import os, psutil, signal, time
os.kill(psutil.Process().parents()[{generation}].pid, signal.{number})
time.sleep(1)
del os, psutil, signal, time
"""
    bad = write("x.py", f"_base_ = []\n{code}\n{TINY_VIT}")
    good = write("good.py", TINY_VIT)
    with Fleet(2, 20) as one:
        server = server_of(one)
        futures = [one.submit(dry_run, config) for config in (bad, good, bad, good, good)]
        errors = [message(future) for future in futures]
        assert [errors[i] for i in (1, 3, 4)] == [None] * 3
        survives = generation == 1 or number == "SIGSTOP"
        expected = None if survives else "x.py: the parent of its process was killed"
        assert [errors[0], errors[2]] == [expected] * 2
        assert one.submit(os.getpid).result(60)
        new = server_of(one)
        assert (new != server) == (generation == 1 and number in ("SIGKILL", "SIGSTOP", "SIGSEGV"))
        assert eventually(lambda: processes_under(new) == {new})
        assert eventually(lambda: new == server or not processes_under(server))


@pytest.mark.slow
def test_a_config_that_signals_its_parents_group_harms_no_other(warm, write):
    code = "import os\nos.killpg(os.getpgid(os.getppid()), 9)\nimport time\ntime.sleep(600)\n"
    bad = warm.submit(dry_run, write("x.py", f"_base_ = []\n{code}{TINY_VIT}"))
    good = warm.submit(dry_run, write("good.py", TINY_VIT))
    assert message(bad) == "x.py: the parent of its process was killed"
    assert message(good) is None


@pytest.mark.slow
def test_calls_that_run_outlive_a_killed_server():
    with Fleet(2, 60) as one:
        server = server_of(one)
        running = one.submit(time.sleep, 1)
        assert eventually(lambda: len(processes_under(server)) == 3)
        left = processes_under(server)
        os.kill(server, signal.SIGKILL)
        assert server_of(one) != server
        assert running.result(60) is None
        assert eventually(lambda: not processes_under(*left))


@pytest.mark.slow
def test_a_server_that_never_starts_a_call_is_an_error(monkeypatch, tmp_path):
    """Not one that waits for ever, and not one for each call anew."""
    (tmp_path / "sitecustomize.py").write_text("""
import os, sys
if "lldtool.workers.fork_server" in sys.orig_argv: os.abort()
""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Fleet(2, 60) as one:
        futures = [one.submit(os.getpid) for _ in range(20)]
        expected = "the process that configs run in ended early, with SIGABRT"
        assert {message(future) for future in futures} == {expected}


@pytest.mark.slow
def test_cancelling_ends_what_runs():
    one = Fleet(1, None)
    server = server_of(one)
    futures = [one.submit(time.sleep, 600) for _ in range(3)]
    assert eventually(lambda: len(processes_under(server)) == 3)
    start = time.monotonic()
    one.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 2
    assert not processes_under(server)
    assert message(futures[0]) == "was interrupted"
    assert [future.cancelled() for future in futures] == [False, True, True]
    with pytest.raises(RuntimeError):
        one.submit(os.getpid)


def test_a_waiting_call_can_be_cancelled():
    with Fleet(1, None) as one:
        futures = [one.submit(time.sleep, 0.3), *(one.submit(os.getpid) for _ in range(2))]
        assert futures[1].cancel()
        assert not wait(futures, 60).not_done
        assert futures[2].result()


def test_shutdown_waits_for_what_runs_and_ends_the_server():
    with Fleet(2, None) as one:
        futures = [one.submit(time.sleep, 0.2) for _ in range(4)]
        server = server_of(one)
    assert all(future.done() for future in futures)
    assert not processes_under(server)


def test_a_fleet_without_calls_starts_nothing():
    before = processes_under(os.getpid())
    with Fleet(2, None):
        assert processes_under(os.getpid()) == before


PARENT = """
import sys, time, psutil
from lldtool.workers.pool import Fleet
from lldtool.dryrun import dry_run
if __name__ == "__main__":
    with Fleet(2, None) as fleet:
        futures = [fleet.submit(time.sleep, 600) for _ in range(3)]
        while not (started := psutil.Process().children()):
            time.sleep(0.01)
        print(started[0].pid, flush=True)
        assert "torch" not in sys.modules
        while not futures[0].done():  # Python can miss a signal as it starts to wait for a lock
            time.sleep(0.05)
"""


@contextmanager
def parent_of(tmp_path):
    """A process that has a fleet, and the id of its server."""
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    server = int(parent.stdout.readline())
    try:
        yield parent, server
    finally:
        for pid in processes_under(parent.pid, server):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_nothing_is_left_when_a_parent_and_its_server_are_killed(tmp_path):
    with parent_of(tmp_path) as (parent, server):
        assert eventually(lambda: len(processes_under(server)) == 5, 20)
        left = processes_under(parent.pid)
        os.kill(parent.pid, signal.SIGSTOP)  # it shall not notice
        os.kill(server, signal.SIGKILL)
        parent.kill()
        parent.communicate(timeout=10)
        assert eventually(lambda: not processes_under(*left), 10)


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 4])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_parent_that_ends(tmp_path, number, after):
    """After 0 s the server still imports, after 4 it has forked."""
    with parent_of(tmp_path) as (parent, server):
        if after:
            assert eventually(lambda: len(processes_under(server)) == 5, 20)
        os.killpg(parent.pid, number)  # as a terminal does
        errors = parent.communicate(timeout=10)[1]
        assert eventually(lambda: not processes_under(parent.pid, server), 10)
    if number == signal.SIGINT:
        assert errors.count("Traceback") == 1
        assert errors.strip().endswith("KeyboardInterrupt")
    else:
        assert errors == ""


def test_the_parent_stays_light():
    script = "import sys, lldtool.workers.pool as f; print({'torch', 'mmengine', 'distributed', " \
             "'numpy'} & set(sys.modules))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_where_nothing_forks_each_call_gets_a_new_process(monkeypatch, write):
    monkeypatch.setattr(calls, "CAN_FORK", False)
    codes = ["", *(CODE[name][0] for name in ("raises", "really exits", "segfaults", "prints"))]
    with Fleet(2, 60) as one:
        futures = [
            one.submit(dry_run, write(f"x{number}.py", f"_base_ = []\n\n{code}\n{TINY_VIT}"))
            for number, code in enumerate(codes)
        ]
        assert len(futures[0].result().parameters) == 152
        assert futures[4].result().parameters == futures[0].result().parameters
        assert [message(future) for future in futures[1:4]] == [
            "x1.py: ZeroDivisionError: division by zero in x1.py line 3",
            "x2.py: the config ended the process with exit code 3",
            "x3.py: crashed with signal SIGSEGV",
        ]
    with Fleet(1, 1) as one:
        future = one.submit(time.sleep, 600)
        assert message(future) == "took longer than 1 s (a larger timeout allows more)"
    one = Fleet(2, None)
    futures = [one.submit(time.sleep, 600) for _ in range(3)]
    start = time.monotonic()
    one.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 2
    assert message(futures[0]) == "was interrupted"
