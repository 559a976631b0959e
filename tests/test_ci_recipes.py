"""The recipes of `docs/ci.md`, `action.yml` and the hook are complete, and do what they say."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SAMPLES, lldtool_process

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def block(name):
    return re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)[1]


def lldtool_commands():
    """Every `lldtool check …` of the workflows and of the text."""
    workflows = [yaml.safe_load(block(name)) for name in ("github", "github-shards")]
    steps = [s for w in workflows for job in w["jobs"].values() for s in job["steps"]]
    lines = [step["run"] for step in steps if "run" in step]
    lines += yaml.safe_load(block("gitlab"))["lldtool"]["script"]
    lines += re.findall(r"^    (lldtool .*)$", PAGE, re.MULTILINE)
    found = [line for line in lines if line.startswith("lldtool ")]
    return [line.replace("${{ matrix.part }}", "1") for line in found]


@pytest.fixture
def repository(tmp_path):
    """A repository with one sound and one broken config."""
    (tmp_path / "configs").mkdir()
    text = (SAMPLES / "vit-base_layer-decay.py").read_text()
    (tmp_path / "configs" / "good.py").write_text(text)
    (tmp_path / "configs" / "bad.py").write_text((SAMPLES / "traps.py").read_text())
    return tmp_path


def test_there_are_commands():
    assert len(lldtool_commands()) >= 4


@pytest.mark.parametrize("command", lldtool_commands())
def test_commands_of_the_recipes_run(repository, command):
    if "--baseline" in command:
        lldtool_process("check", "configs", "--write-baseline", "lldtool-baseline.json",
                        cwd=repository)  # fmt: skip
    result = lldtool_process(*shlex.split(command)[1:], cwd=repository)
    expected = {0, 1} if "--shard" in command else {0} if "baseline" in command else {1}
    assert result.code in expected, result.err


def test_the_action_annotates_and_writes_sarif(repository):
    step = next(s for s in ACTION["runs"]["steps"] if s.get("id") == "check")
    used = yaml.safe_load(block("github"))["jobs"]["lldtool"]["steps"]
    given = next(s["with"] for s in used if s.get("uses", "").startswith("lldtool/"))
    inputs = {name: one["default"] for name, one in ACTION["inputs"].items()} | given
    env = {name: inputs[name.lower()] for name in step["env"]}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outside = {"PATH": path, "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary.md"}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=repository, env={**os.environ, **outside, **env}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "::error file=configs/bad.py,line=" in done.stdout
    assert (repository / "output").read_text() == "exit-code=1\n"
    assert "LLD201" in (repository / "summary.md").read_text()
    assert '"2.1.0"' in (repository / given["sarif"]).read_text()


def test_inputs_of_the_action_are_those_that_it_uses():
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])


def test_the_hook_of_the_recipe_is_there():
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (repo,) = yaml.safe_load(block("pre-commit"))["repos"]
    assert repo["hooks"][0]["id"] == hook["id"]


@pytest.mark.slow
def test_the_pytest_recipe_passes_and_fails_with_the_configs(repository):
    test = repository / "tests" / "test_configs.py"
    test.parent.mkdir()
    test.write_text(block("pytest"))
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(run, cwd=repository, env=env, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "LLD201" in done.stdout
