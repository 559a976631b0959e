"""What a config does that it should not: alone, and in a `check` beside a good one."""

import json
import re

import pytest
from conftest import TINY_VIT, eventually, lldtool_process, processes_with

#: What a config does -> code at its end, and what is said of it; None where it works all the same.
HOSTILE = {
    "raises": ("1 / 0", r"ZeroDivisionError: division by zero in .*raises\.py line 12"),
    "exits": ("import sys\nsys.exit(0)", r"the config exits in .*exits\.py line 13"),
    "exits_at_once": ("import os\nos._exit(0)", r"the config exits in .*exits_at_once\.py line 13"),
    "loops": ("while True: pass", "took longer than 10 s"),
    "forks": ("import os\nos.fork()\ndel os", None),
    "starts_threads": (
        "import threading, time\n"
        "for _ in range(5): threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "del threading, time, _",
        None,
    ),
    "prints": (
        "import os, sys\nprint('printed' * (1 << 18))\nsys.stderr.write('written' * (1 << 18))\n"
        "os.system('echo by a child')\ndel os, sys",
        None,
    ),
    "leaves_the_directory": ("import os\nos.chdir('/')\ndel os", None),
    "clears_sys_path": ("import mmpretrain.models\nimport sys\nsys.path.clear()\ndel sys", None),
    "replaces_print": ("import builtins\nbuiltins.print = None\n1 / 0", "ZeroDivisionError"),
    "replaces_streams": ("import sys\nsys.stdout = sys.stderr = None\n1 / 0", "ZeroDivisionError"),
    "patches_torch": (
        "import torch\ntorch.nn.Linear.__init__ = None",
        "building VisionTransformer: TypeError: 'NoneType' object is not callable",
    ),
    "configures_logging": (
        "import logging, sys\nlogging.basicConfig(level=0, stream=sys.stdout, force=True)\n"
        "logging.disable(0)\nlogging.warning('logged')\ndel logging, sys",
        None,
    ),
    "sets_signal_handlers": (
        "import signal\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):\n"
        "    signal.signal(number, lambda *_: 1 / 0)\n"
        "del number, signal",
        None,
    ),
    "allocates_what_there_is_not": ("x = bytearray(100 << 40)", r"MemoryError in .* line 12"),
    "writes_files": ("with open('written.txt', 'w') as file: file.write('x')\ndel file", None),
    "connects": (
        "import socket\nsocket.create_connection(('weights.example.org', 80))",
        r"tried to download from weights\.example\.org",
    ),
    "listens": (
        "import socket\nsock = socket.socket()\nsock.bind(('127.0.0.1', 0))\nsock.listen()\n"
        "del sock, socket",
        None,
    ),
    "reads_stdin": ("import sys\nassert sys.stdin.read() == ''\ndel sys", None),
    "lets_a_child_read_stdin": (
        "import subprocess\nassert subprocess.check_output('cat') == b''\ndel subprocess", None
    ),
    "inherits_from_outside": ("_base_ = ['../../outside.py']", None),
    "inherits_from_a_link_loop": ("_base_ = ['loop.py']", r"loop\.py"),
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """All of them, and a good one, below `configs` of a project."""
    top = tmp_path_factory.mktemp("outside")
    (top / "outside.py").write_text(TINY_VIT)
    configs = top / "project" / "configs"
    configs.mkdir(parents=True)
    for name, (code, _) in {"good": ("", None), **HOSTILE}.items():
        text = code if "_base_" in code else TINY_VIT + code
        (configs / f"{name}.py").write_text(f"{text}\n")
    (configs / "loop.py").symlink_to("loop.py")
    (configs / "again").symlink_to(configs)
    return configs.parent


def run(project, *arguments, **environment):
    return lldtool_process(*arguments, "--format", "json", cwd=project, stdin="of the user\n",
                           **environment)  # fmt: skip


@pytest.fixture(scope="module")
def report(project):
    """Config -> what `check` says of it, all of them at once."""
    result = run(project, "check", "configs", "--timeout", "10", LLDTOOL_TEST=str(project))
    assert (result.code, "Traceback" in result.err) == (2, False)
    assert eventually(lambda: not processes_with("LLDTOOL_TEST", str(project)))
    return {one["config"]: one for one in json.loads(result.out)["configs"]}


@pytest.fixture(scope="module")
def good_plan(project):
    return plan_in(run(project, "inspect", "configs/good.py"))


def plan_in(result):
    """The plan without its notes: what is not on the module path is said there."""
    return json.loads(result.out) | {"notes": None}


def test_a_good_config_is_checked_as_if_it_were_alone(project, report):
    alone = json.loads(run(project, "check", "configs/good.py").out)["configs"]
    assert report["configs/good.py"] == alone[0]
    assert alone[0]["status"] == "failed"
    assert len(report) == len(HOSTILE) + 1


@pytest.mark.parametrize("name", HOSTILE)
def test_check_says_what_became_of_it(name, report):
    _, error = HOSTILE[name]
    one, good = report[f"configs/{name}.py"], report["configs/good.py"]
    if error is None:
        assert one["error"] is None
        assert [f["code"] for f in one["findings"]] == [f["code"] for f in good["findings"]]
    else:
        assert (one["status"], one["findings"]) == ("error", [])
        assert re.search(error, one["error"])


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "loops"])
def test_inspect_shows_the_plan_or_one_line(name, project, good_plan):
    _, error = HOSTILE[name]
    config = f"configs/{name}.py"
    result = run(project, "inspect", config)
    if error is None:
        assert result.code == 0
        assert plan_in(result) == good_plan | {"config": config}
    else:
        assert (result.code, result.out) == (2, "")
        assert re.fullmatch(f"error: {config}: .*{error}.*\n", result.err)
    assert "Traceback" not in result.err


def test_what_a_config_prints_goes_to_stderr(project):
    result = run(project, "inspect", "configs/prints.py")
    for text in ("printed" * (1 << 18), "written" * (1 << 18), "by a child"):
        assert text in result.err
        assert text not in result.out


def test_output_is_written_where_the_user_stands(project):
    for name in ("leaves_the_directory", "clears_sys_path"):
        result = lldtool_process("inspect", f"configs/{name}.py", "-o", f"{name}.txt", cwd=project)
        assert (result.code, result.err) == (0, "")
        assert (project / f"{name}.txt").read_text().startswith(f"configs/{name}.py\n")


def test_a_link_loop_is_one_line(project):
    result = run(project, "inspect", "configs/loop.py")
    assert (result.code, result.out) == (2, "")
    assert re.fullmatch("error: configs/loop.py: .*\n", result.err)
