"""`lldtool check` on real configs: what it finds, ignores, accepts, writes and exits with."""

import json
import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SAMPLES, TINY_VIT, commit, lldtool_process

SOUND = TINY_VIT.replace(
    "layer_decay_rate=0.75",
    """layer_decay_rate=0.75, norm_decay_mult=0.0, bias_decay_mult=0.0,
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0)}""",
)
MISSPELT = SOUND.replace("norm_decay_mult=0.0", "norm_decay_mul=0.0")


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """Write configs below `configs`, and stand beside that."""
    monkeypatch.chdir(tmp_path)

    def write(**texts):
        folder = tmp_path / "configs"
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    return write


def found(result):
    """Config -> the codes that were found, of a JSON result."""
    return {
        Path(one["config"]).stem: sorted({f["code"] for f in one["findings"]})
        for one in json.loads(result.out)["configs"]
    }


def test_sound_configs_pass(cli, configs):
    configs(a=SOUND, b=SOUND)
    result = cli("check", "configs")
    assert (result.code, result.out, result.err) == (0, "All checks passed (2 configs)\n", "")


def test_misspelt_option_is_found_at_its_place_and_fails(cli, configs):
    configs(a=SOUND, b=MISSPELT)
    result = cli("check", "configs", "--format", "json")
    report = json.loads(result.out)
    assert result.code == 1
    assert report["summary"] == {
        "configs": 2, "passed": 1, "failed": 1, "errors": 0, "findings": 2,
    }  # fmt: skip
    assert [one["status"] for one in report["configs"]] == ["passed", "failed"]
    finding = next(f for f in report["configs"][1]["findings"] if f["code"] == "LLD304")
    line = MISSPELT.splitlines()[finding["line"] - 1]
    assert finding["file"] == "configs/b.py"
    assert line[finding["column"] - 1 :].startswith("norm_decay_mul=")
    assert finding["suggestion"].endswith("\nnorm_decay_mult=0.0,")


def test_a_config_that_can_not_be_checked_hides_no_other(cli, configs):
    configs(a="raise ValueError('no')\nmodel = optim_wrapper = dict()", b=MISSPELT, c=SOUND)
    result = cli("check", "configs", "configs/none.py", "--format", "json")
    report = json.loads(result.out)
    assert result.code == 2
    assert [one["status"] for one in report["configs"]] == ["error", "failed", "passed", "error"]
    assert report["configs"][0]["error"].startswith("ValueError: no in configs/a.py line 1")
    assert report["configs"][3]["error"] == "no such file"
    text = cli("check", "configs", "configs/none.py")
    assert "configs/a.py: error: ValueError: no" in text.out
    assert text.out.endswith("in 1 of 4 configs; 2 configs could not be checked\n")


def test_what_a_constructor_raises_is_a_finding_and_an_error(cli, configs):
    configs(a=SOUND.replace(", weight_decay=0.05", "").replace("norm_decay_mult=0.0, ", ""))
    result = cli("check", "configs/a.py", "--format", "json")
    (one,) = json.loads(result.out)["configs"]
    assert (result.code, one["status"]) == (2, "error")
    assert [f["code"] for f in one["findings"]] == ["LLD401"]
    assert "has no weight_decay" in one["error"]


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        (["--select", "LLD304"], ["LLD304"]),
        (["--select", "LLD1,unknown-option"], ["LLD101", "LLD304"]),
        (["--select", "lld101,Unknown-Option"], ["LLD101", "LLD304"]),
        (["--ignore", "LLD3"], ["LLD101"]),
        (["--ignore", "LLD3, LLD2", "--ignore", "lld4 LLD0,"], ["LLD101"]),
        (["--extend-select", "many-groups"], ["LLD101", "LLD304", "LLD406"]),
    ],
)
def test_rules_are_selected(cli, configs, arguments, codes):
    configs(b=MISSPELT)
    result = cli("check", "configs", "--format", "json", *arguments)
    assert found(result) == {"b": codes}


def test_world_size_says_when_it_is_of_use(cli, configs):
    configs(a=SOUND)
    assert "note: without --auto-scale-lr" in cli("check", "configs", "--world-size", "8").err
    assert cli("check", "configs").err == ""


def test_fail_on_and_exit_zero_decide_the_exit_code_only(cli, configs):
    configs(
        a=SOUND.replace("'.pos_embed': dict", "'.ln': dict(decay_mult=0.0), '.pos_embed': dict")
    )
    arguments = ("check", "configs")
    assert cli(*arguments).code == 0
    assert cli(*arguments, "--fail-on", "info").code == 1
    assert cli(*arguments, "--fail-on", "info", "--exit-zero").code == 0
    assert "LLD303" in cli(*arguments).out


def test_comment_ignores_what_is_on_its_line_and_is_told_when_unused(cli, configs):
    ignoring = MISSPELT.replace(
        "norm_decay_mul=0.0, ", "\n norm_decay_mul=0.0,  # lldtool: ignore[LLD304]\n "
    )
    configs(a=ignoring, b=SOUND + "x = 1  # lldtool: ignore[LLD104]\n")
    result = cli("check", "configs", "--format", "json")
    assert found(result) == {"a": ["LLD101"], "b": ["LLD001"]}
    (unused,) = json.loads(result.out)["configs"][1]["findings"]
    assert unused["line"] == len(SOUND.splitlines()) + 1
    assert found(cli("check", "configs", "--format", "json", "--ignore", "LLD0,LLD1")) == {
        "a": [], "b": [],
    }  # fmt: skip


def test_comment_in_a_base_is_used_when_one_config_needs_it(cli, configs):
    folder = configs(
        a="_base_ = '_base_/x.py'",
        b="_base_ = '_base_/x.py'\noptim_wrapper = dict(paramwise_cfg=dict(_delete_=True))",
    )
    (folder / "_base_").mkdir()
    base = MISSPELT.replace(
        "norm_decay_mul=0.0, ", "\n norm_decay_mul=0.0,  # lldtool: ignore[LLD304]\n "
    )
    (folder / "_base_" / "x.py").write_text(base)
    codes = found(cli("check", "configs", "--format", "json", "--select", "LLD3,LLD0"))
    assert codes == {"a": [], "b": []}
    codes = found(cli("check", "configs/b.py", "--format", "json", "--select", "LLD3,LLD0"))
    assert codes == {"b": ["LLD001"]}


def test_settings_are_those_of_the_nearest_file(cli, configs):
    configs(a=SOUND, b=MISSPELT)
    Path("pyproject.toml").write_text(
        "[tool.lldtool]\nno-decay = ['*.patch_embed.*']\n"
        "per-config-ignores = {'configs/b.py' = ['LLD']}\n"
    )
    assert found(cli("check", "configs", "--format", "json")) == {"a": ["LLD106"], "b": []}
    Path("other.toml").write_text("select = ['LLD304']")
    result = cli("check", "configs", "--format", "json", "--config", "other.toml")
    assert found(result) == {"a": [], "b": ["LLD304"]}
    Path("lldtool.toml").write_text("selekt = []")
    result = cli("check", "configs")
    assert result.code == 2
    assert "selekt" in result.err
    assert "select" in result.err


def test_baseline_accepts_what_is_known_and_fails_on_more(cli, configs):
    configs(a=MISSPELT)
    written = cli("check", "configs", "--write-baseline", "known.json")
    assert (written.code, written.out) == (0, "")
    assert "2 findings" in written.err
    assert cli("check", "configs", "--baseline", "known.json").code == 0
    configs(a=MISSPELT.replace("layer_decay_rate=0.75", "layer_decay_rate=1.5"))
    result = cli("check", "configs", "--baseline", "known.json", "--format", "json")
    assert (result.code, found(result)) == (1, {"a": ["LLD202"]})
    Path("known.json").write_text("{}")
    assert cli("check", "configs", "--baseline", "known.json").code == 2


def test_several_formats_at_once(cli, configs, monkeypatch):
    configs(a=MISSPELT)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("before\n")
    result = cli(
        "check", "configs", "--format", "github", "--format", "sarif=x.sarif",
        "--format", "junit=x.xml",
    )  # fmt: skip
    assert result.out.count("::error file=configs/a.py,line=") == 2
    runs = json.loads(Path("x.sarif").read_text())["runs"]
    assert {r["ruleId"] for r in runs[0]["results"]} == {"LLD101", "LLD304"}
    assert ET.parse("x.xml").getroot().find(".//testcase").get("name") == "configs/a.py"
    assert Path("summary.md").read_text().startswith("before\n")
    assert "LLD304" in Path("summary.md").read_text()
    both = cli("check", "configs", "--format", "json", "--format", "text")
    assert (both.code, both.out) == (2, "")
    assert cli("check", "configs", "--format", "yaml").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "configs/a.py"),
        ("--write-baseline", "configs/a.py"),
        ("--format", "json=configs/a.py"),
        ("--format", "json=x", "--format", "text=x"),
        ("--select", ""),
        ("--ignore", ""),
        ("--extend-select", "LLD1", "--extend-select", " , "),
        ("--exclude", "!"),
        ("",),
        ("--baseline", "none.json"),
        ("--fail-on", "bad"),
        ("--dask", "nonsense://x"),
    ],
)
def test_wrong_arguments_are_told_and_nothing_is_overwritten(cli, configs, arguments):
    configs(a=SOUND)
    result = cli("check", "configs", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err
    assert Path("configs/a.py").read_text() == SOUND


def test_config_at_a_revision_has_no_place_in_a_file_that_goes(cli, configs, tmp_path):
    configs(a=MISSPELT)
    commit(tmp_path)
    result = cli("check", "configs/a.py@HEAD", "--format", "json")
    (one,) = json.loads(result.out)["configs"]
    assert {f["file"] for f in one["findings"]} == {None}
    assert str(Path(one["config"])) == "configs/a.py@HEAD"


def test_baseline_tells_what_is_gone(cli, configs):
    configs(a=MISSPELT)
    cli("check", "configs", "--write-baseline", "known.json")
    configs(a=SOUND)
    result = cli("check", "configs", "--baseline", "known.json")
    assert (result.code, result.err) == (0, "note: known.json has 2 findings that are gone\n")


def test_saved_plan_is_checked_without_its_config(cli, configs):
    configs(a=MISSPELT)
    assert cli("inspect", "configs/a.py", "--format", "json", "-o", "plan.json").code == 0
    result = cli("check", "plan.json", "--format", "json")
    assert (result.code, found(result)) == (1, {"plan": ["LLD101", "LLD304"]})


def test_saved_plan_needs_no_torch(configs, tmp_path, cli):
    configs(a=MISSPELT)
    cli("inspect", "configs/a.py", "--format", "json", "-o", "plan.json")
    (tmp_path / "torch.py").write_text("raise ImportError('torch is not to be imported')")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    result = lldtool_process("check", "plan.json", cwd=tmp_path, PYTHONPATH=path)
    assert (result.code, result.err) == (1, "")


def test_shards_have_every_config_once(cli, configs):
    configs(a=SOUND, b=SOUND, c=SOUND, d=SOUND, e=SOUND)
    parts = [
        json.loads(cli("check", "configs", "--format", "json", "--shard", f"{k}/2").out)
        for k in (1, 2)
    ]
    names = [one["config"] for part in parts for one in part["configs"]]
    assert sorted(names) == [f"configs/{name}.py" for name in "abcde"]
    assert cli("check", "configs", "--shard", "3/2").code == 2


def test_cfg_options_are_checked_as_they_would_train(cli, configs):
    configs(a=SOUND)
    key = "optim_wrapper.paramwise_cfg.layer_decay_rate"
    result = cli("check", "configs", "--format", "json", "--cfg-options", f"{key}=1.5")
    assert found(result) == {"a": ["LLD202"]}


def test_progress_is_silent_where_stderr_is_no_terminal(configs):
    configs(a=SOUND, b=SOUND)
    result = lldtool_process("check", "configs", cwd=Path.cwd())
    assert (result.code, result.err) == (0, "")


def test_the_finding_that_opens_the_readme_is_still_there(cli):
    result = cli("check", SAMPLES / "traps.py", "--format", "json")
    (codes,) = found(result).values()
    assert set(codes) >= {"LLD101", "LLD102", "LLD201", "LLD301", "LLD305", "LLD306", "LLD307"}


def test_rules_are_listed_and_each_has_its_page(cli):
    listed = cli("rules")
    assert listed.code == 0
    assert "LLD104" in listed.out
    page = cli("rule", "decayed-embedding")
    # Older releases of rich draw a box around it.
    title, *_ = (line for line in page.out.splitlines() if line.strip("┏━┓ "))
    assert title.strip("┃ ").startswith("LLD104 decayed-embedding")
    wrong = cli("rule", "LLD10")
    assert wrong.code == 2
    assert "did you mean" in wrong.err


@pytest.mark.slow
def test_in_a_repository_pre_commit_runs_it(configs, tmp_path):
    configs(a=MISSPELT)
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / ".pre-commit-hooks.yaml").write_text((ROOT / ".pre-commit-hooks.yaml").read_text())
    commit(hook)
    Path(".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: {hook}\n  rev: HEAD\n  hooks:\n  - id: lldtool-check\n"
    )
    commit(tmp_path)
    path = f"{Path(os.sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache"), "PATH": path}
    run = ["pre-commit", "run", "--all-files"]
    failed = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "LLD304 unknown-option" in failed.stdout
    configs(a=SOUND)
    passed = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
    assert passed.returncode == 0, passed.stdout


def test_what_a_package_ships_is_annotated_where_the_repository_inherits_it(cli, configs):
    folder = configs(a="_base_ = './_base_/local.py'\n")
    shipped = "mmpretrain::mixmim/benchmarks/mixmim-base_8xb128-coslr-100e_in1k.py"
    (folder / "_base_").mkdir()
    (folder / "_base_" / "local.py").write_text(f"_base_ = [\n    '{shipped}']\n")
    select = ("--select", "LLD101")
    (line, _) = cli("check", "configs/a.py", "--format", "github", *select).out.splitlines()
    assert line.startswith("::error file=configs/_base_/local.py,line=2,endLine=2,col=5,")
    assert f"in: {shipped}:" in line
    sarif = json.loads(cli("check", "configs/a.py", "--format", "sarif", *select).out)
    (result,) = sarif["runs"][0]["results"]
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "configs/_base_/local.py"
    assert (physical["region"]["startLine"], physical["region"]["startColumn"]) == (2, 5)
    assert f"in {shipped}:" in result["message"]["text"]
    assert cli("check", "configs/a.py", *select).out.startswith(f"{shipped}:")
    (one,) = json.loads(cli("check", "configs/a.py", "--format", "json", *select).out)["configs"]
    assert one["findings"][0]["file"].endswith(shipped.partition("::")[2])


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_suggestion_in_markdown_is_in_the_language_of_the_config(cli, configs, suffix):
    config = {
        "default_scope": "mmpretrain",
        "model": {"type": "ImageClassifier", "backbone": {"type": "LeNet5", "num_classes": 3}},
        "optim_wrapper": {
            "optimizer": {"type": "AdamW", "lr": "1e-5", "weight_decay": 0.05},
            "paramwise_cfg": {"norm_decay_mult": 0.0},
        },
    }
    path = configs() / f"a.{suffix}"
    path.write_text(json.dumps(config))
    markdown = cli("check", path, "--format", "markdown", "--select", "LLD401").out
    fenced = markdown.partition(f"```{suffix}\n")[2].partition("```")[0].strip().rstrip(",")
    if suffix == "json":
        assert json.loads(f"{{{fenced}}}") == {"lr": 1e-5}
        assert "in optim\\_wrapper.optimizer, instead of 'lr'" in markdown
    else:
        assert yaml.safe_load(fenced) == {"lr": 1e-5}
