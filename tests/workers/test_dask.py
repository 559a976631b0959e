"""Configs on a real Dask cluster: a scheduler and two workers, all processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLES, TINY_VIT, eventually

pytest.importorskip("distributed")

from lldtool.config import locate
from lldtool.config.request import Request
from lldtool.dryrun import dry_run
from lldtool.errors import LldtoolError
from lldtool.workers import pool
from lldtool.workers.pool import Fleet, dask_executor, in_worker

pytestmark = pytest.mark.slow

GOOD = [
    *(str(SAMPLES / name) for name in ("vit-base_layer-decay.py", "beit-base.py", "swin-tiny.py")),
    "mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py",
    "mmpretrain::resnet/resnet50_8xb32_in1k.py",
]
#: What a config does -> code, and the error that this comes to.
BAD = {
    "exits": ("import posix\nposix._exit(3)", "the config ended the process with exit code 3"),
    "segfaults": ("import ctypes\nctypes.string_at(0)", "crashed with signal SIGSEGV"),
    "hangs": (
        "import time\ntime.sleep(600)",
        "took longer than 6 s (a larger timeout allows more)",
    ),
    "raises": ("1 / 0", "ZeroDivisionError: division by zero in raises.py line 3"),
}
TIMEOUT = 6.0


def dask(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=cwd, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def dask_worker(folder, *arguments):
    return dask(
        "worker", "--scheduler-file", str(folder / "scheduler.json"), "--host", "127.0.0.1",
        "--no-dashboard", "--local-directory", str(folder), *arguments, cwd=folder,
    )  # fmt: skip


@contextmanager
def cluster(folder, *workers):
    """A scheduler with these workers: its address, and the processes of all of them."""
    file = folder / "scheduler.json"
    processes = [
        dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter",
             "--scheduler-file", str(file), cwd=folder),
    ]  # fmt: skip
    processes += [dask_worker(folder, *arguments) for arguments in workers]
    try:
        assert eventually(lambda: file.exists() and file.read_text(), 30)
        yield json.loads(file.read_text())["address"], processes
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(20)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a scheduler with two workers of a thread each."""
    workers = [("--nthreads", "1", "--name", name) for name in ("one", "two")]
    with cluster(tmp_path_factory.mktemp("dask"), *workers) as (found, _):
        yield found


def request(path, name=None):
    return Request(locate(str(path)).path, name or str(path), own_process=True)


def test_configs_run_on_the_workers_as_they_do_here(address, tmp_path):
    for name, (code, _) in BAD.items():
        (tmp_path / f"{name}.py").write_text(f"_base_ = []\n\n{code}\n{TINY_VIT}")
    bad = {name: request(tmp_path / f"{name}.py", f"{name}.py") for name in BAD}
    with dask_executor(address, 60) as executor:
        executor._client.wait_for_workers(2, timeout=30)
        # The servers that processes are forked from, one beside each worker.
        find = "__import__('psutil').Process().parents()[1].pid"
        servers = [executor.submit(in_worker, eval, (find,), TIMEOUT) for _ in range(20)]
        assert len({server.result(50) for server in servers}) == 2
        failing = {
            name: executor.submit(in_worker, dry_run, (one,), TIMEOUT) for name, one in bad.items()
        }
        futures = [executor.submit(in_worker, dry_run, (request(n),), TIMEOUT) for n in GOOD]
        plans = [future.result(50) for future in futures]
        errors = {name: future.exception(50) for name, future in failing.items()}
        assert len(executor._client.scheduler_info()["workers"]) == 2
    with Fleet(2, 60) as local:
        assert plans == [f.result() for f in [local.submit(dry_run, request(n)) for n in GOOD]]
    assert {name: str(e).replace(f"{tmp_path}/", "") for name, e in errors.items()} == {
        name: f"{name}.py: {expected}" for name, (_, expected) in BAD.items()
    }
    assert all(isinstance(error, LldtoolError) for error in errors.values())
    assert errors["hangs"].hint == "a larger timeout allows more"


def test_check_on_a_cluster_finds_what_it_finds_here(address, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for name, text in (("good", TINY_VIT), ("segfaults", f"_base_ = []\n{BAD['segfaults'][0]}")):
        (tmp_path / "configs" / f"{name}.py").write_text(text)
    arguments = ("check", "configs/good.py", "configs/segfaults.py", "--format", "json")
    here, there = cli(*arguments), cli(*arguments, "--dask", address)
    assert (there.code, there.out) == (here.code, here.out) == (2, here.out)
    assert "SIGSEGV" in there.out


#: A config that says that it runs, and does not end at the first time.
ONCE = (
    "import os, time\nfirst = not os.path.exists('{0}')\nopen('{0}', 'w').close()\n"
    "if first: time.sleep(600)\ndel os, time, first\n"
)


def test_a_cluster_that_goes_away_while_configs_are_checked(tmp_path, monkeypatch):
    """A worker's configs go to the next; Ctrl-C waits for none, and no scheduler is an error."""
    monkeypatch.chdir(tmp_path)
    worker = ("--no-nanny", "--nthreads", "2")
    with cluster(tmp_path, worker) as (address, processes):

        def checking(number):
            Path(f"{number}.py").write_text(TINY_VIT + ONCE.format(tmp_path / f"{number}.txt"))
            process = subprocess.Popen(
                [sys.executable, "-m", "lldtool", "check", f"{number}.py", "--dask", address,
                 "--timeout", "500", "--select", "LLD101"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            assert eventually(Path(f"{number}.txt").exists, 60)
            return process

        process = checking(1)
        processes[1].kill()
        processes.append(dask_worker(tmp_path, *worker))
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.count("LLD101"), err) == (1, 1, "")

        process = checking(2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 130

        process = checking(3)
        processes[0].kill()
        expected = f"error: the Dask scheduler at {address} is gone\n"
        assert process.communicate(timeout=60) == ("", expected)
        assert process.returncode == 2
        processes[-1].kill()  # it still runs the configs that nobody waits for


@pytest.mark.parametrize("workers", [0, 1])
def test_a_cluster_without_a_worker_is_an_error_in_time(tmp_path, monkeypatch, workers):
    """Be it that none has come, or that the only one was killed."""
    monkeypatch.chdir(tmp_path)
    Path("waits.py").write_text(TINY_VIT + ONCE.format(tmp_path / "began"))
    Path("good.py").write_text(TINY_VIT)
    with cluster(tmp_path, *[("--no-nanny", "--nthreads", "1")] * workers) as (address, processes):
        process = subprocess.Popen(
            [sys.executable, "-m", "lldtool", "check", "waits.py", "good.py", "--dask", address,
             "--dask-timeout", "2"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        if workers:
            assert eventually(Path("began").exists, 60)
            time.sleep(3)  # longer than it may be without, were there none
            assert process.poll() is None
            processes[1].kill()
        out, err = process.communicate(timeout=30)
    message = f"error: the Dask cluster at {address} has had no worker for 2 s"
    assert err == f"{message} (a larger --dask-timeout waits longer)\n"
    assert (process.returncode, out) == (2, "")


def test_without_dask_the_mend_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(LldtoolError, match=r"pip install 'lldtool\[dask\]'"),
        dask_executor("x:1", 60),
    ):
        pass


def test_no_scheduler_answers(monkeypatch, capfd):
    monkeypatch.setattr(pool, "DASK_TIMEOUT", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
    for one in (address, "nonsense://x", "tcp://no.such.host.invalid:1"):
        with pytest.raises(LldtoolError, match=f"no Dask scheduler answers at {one}"):  # noqa: SIM117
            with dask_executor(one, 60):
                pass
    assert capfd.readouterr().err == ""
