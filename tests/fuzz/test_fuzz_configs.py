"""Mutated configs: a plan is mmengine's own, or there is one line that says why there is none.

20 of them each time, 200 in the slow tests; `pytest -m fuzz` takes 5,000, most of an hour.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from conftest import REFERENCE, settings
from fuzz import commands
from fuzz.mutations import configs

from lldtool.errors import LldtoolError
from lldtool.plan import plan_from_json
from lldtool.workers.pool import Fleet

SEED = os.environ.get("LLDTOOL_FUZZ_SEED", "1")
#: Seconds that a command may take.
TIMEOUT = 60
#: What is run on each config besides `inspect`, in turn.
OTHERS = [
    ("explain",), ("explain", "--keys"), ("schedule", "--epoch-length", "2", "--epochs", "2"),
    ("inspect", "--params"), ("inspect", "--format", "markdown"), ("schedule", "--epochs", "3"),
    ("diff", "--with", "optim_wrapper.paramwise_cfg.layer_decay_rate=0.5"),
]  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [20, pytest.param(200, marks=pytest.mark.slow), pytest.param(5000, marks=pytest.mark.fuzz)],
)
def test_a_plan_is_mmengines_and_an_error_is_a_line(number, tmp_path):
    made = configs(number, SEED, tmp_path)
    expected = of_mmengine(list(made))
    found, wrong = {}, []
    with Fleet(os.cpu_count() or 1, TIMEOUT) as fleet:
        futures = {}
        for index, path in enumerate(made):
            inspect = ("inspect", path, "--format", "json")
            futures[fleet.submit(commands.run, inspect)] = path, inspect
            if index % 2:
                futures[fleet.submit(commands.check, path)] = path, ("check", path)
                continue
            command, *options = OTHERS[index // 2 % len(OTHERS)]
            other = (command, path, *options)
            futures[fleet.submit(commands.run, other)] = path, other
        for future in as_completed(futures):
            path, command = futures[future]
            if (error := future.exception()) is not None:
                trace = error.__cause__ if not isinstance(error, LldtoolError) else ""
                wrong.append((made[path], command, f"{error!r} {trace}"))
                continue
            result = future.result()
            if command[0] == "inspect" and command[-1] == "json":
                found[path] = result
            if command[0] != "check":
                wrong += [(made[path], command, text) for text in complaints(command, *result)]
    for path, (code, out, err) in found.items():
        answer = expected[str(path)]
        if code == 0 and "error" in answer:
            wrong.append((made[path], "mmengine refuses it", answer["error"]))
        elif code == 2 and "error" not in answer:
            wrong.append((made[path], "mmengine builds it", err))
        elif code == 0 and settings(plan_from_json(out)) != answer["settings"]:
            wrong.append((made[path], "other settings than mmengine's", ""))
    assert not wrong, "\n".join(f"{w}" for w in wrong)
    codes = [code for code, _, _ in found.values()]
    assert min(codes.count(0), codes.count(2)) > number / 10


def complaints(command, code, out, err):
    """What is wrong with how a command ended."""
    if code not in (0, 1, 2) or (code == 1 and command[0] != "diff"):
        yield f"exit code {code}"
    if "itself failed" in err or "Traceback" in err:
        yield err
    if code == 2 and (out or not re.fullmatch(r"error: [^\n]*\n", err)):
        yield f"not one line: {out[:200]!r} {err!r}"
    if code != 2 and err:
        yield f"a word too much: {err!r}"


def of_mmengine(paths):
    """Path -> what mmengine makes of it, in processes that may crash."""
    number = os.cpu_count() or 1
    with ThreadPoolExecutor(number) as pool:
        parts = pool.map(_of_mmengine, [paths[i::number] for i in range(number)])
    return {path: answer for part in parts for path, answer in part.items()}


def _of_mmengine(paths):
    answers, rest = {}, [str(path) for path in paths]
    while rest:
        done = subprocess.run(
            [sys.executable, str(REFERENCE), "--skip-init", "--cautious", *rest[:25]],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        for line in done.stdout.decode().splitlines():
            answer = json.loads(line)
            answers[answer["config"]] = answer
        left = [path for path in rest if path not in answers]
        if done.returncode and left:
            answers[left[0]] = {"error": f"ended with {done.returncode}"}
        rest = [path for path in left if path not in answers]
    return answers
