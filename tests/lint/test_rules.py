"""Every rule finds something in its failing examples, and nothing in its passing ones."""

import os
import re
import shutil
from dataclasses import replace
from functools import partial

import pytest
import tomllib
import torch
from conftest import ROOT
from pasting import pasted
from resuming import save

from lldtool.config.request import Request
from lldtool.dryrun import dry_run
from lldtool.lint.engine import check_config
from lldtool.lint.policy import load_policy
from lldtool.lint.rules import all_rules
from lldtool.lint.rules.examples import CHECKPOINT
from lldtool.output.rule_pages import rules_markdown
from lldtool.workers.pool import Fleet

#: What has no plan.
RAISING = {"LLD401", "LLD402"}
UPDATE = bool(os.environ.get("LLDTOOL_UPDATE_DOCS"))
PAGE = ROOT / "docs" / "rules.md"
RULES = [rule for rule in all_rules() if rule.finds]


def examples(attribute):
    return [
        pytest.param(rule, example, id=f"{rule.code}-{number}")
        for rule in RULES
        for number, example in enumerate(getattr(rule, attribute))
    ]


@pytest.fixture(scope="module")
def fleet():
    with Fleet(2, timeout=60) as running:
        yield running


@pytest.fixture
def check(request, tmp_path):
    """The findings of a rule in an example, with this text in the place of the example's own.

    What imports a module of its own has a process of its own: all of them are called `my_code`.
    """

    def checked(rule, example, text=None):
        path = tmp_path / "config.py"
        path.write_text(example.text if text is None else text)
        (tmp_path / "my_code.py").write_text(example.module)
        if example.weights is not None:
            save_weights(example, tmp_path)
        if example.resumed is not None:
            save_training(example, tmp_path)
        settings = tmp_path / "lldtool.toml"
        settings.write_text(example.settings)
        policy = load_policy(tmp_path, settings).overridden(select=[rule.code])
        config = Request(path, "config.py")
        if not example.module:
            return check_config(policy, config), path
        fleet = request.getfixturevalue("fleet")
        return fleet.submit(partial(check_config, policy), config).result(), path

    return checked


def save_weights(example, folder):
    """Write the checkpoint of an example, with zeros."""
    plain = replace(example, weights=None, config={**example.config, **example.weights_of})
    path = folder / "source.py"
    path.write_text(plain.text)
    plan = dry_run(Request(path, "source.py"))
    shapes = {example.renamed(p.name): p.shape for p in plan.every_parameter}
    weights = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items() if name}
    meta = {"dataset_meta": {"classes": example.classes}} if example.classes else {}
    torch.save({"state_dict": weights, "meta": meta}, folder / CHECKPOINT)


def save_training(example, folder):
    """Write the checkpoint of an example that is resumed, by a Runner that trains."""
    entries = {**example.config, **example.resumed}
    path = folder / "source.py"
    path.write_text(replace(example, resumed=None, config=entries).text)
    save(path, folder, epochs=1).rename(folder / CHECKPOINT)
    shutil.rmtree(folder / "saved")


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("rule", "example"), examples("passes"))
def test_rule_passes(check, rule, example):
    result, _ = check(rule, example)
    assert (result.error, result.diagnostics) == (None, ())


@pytest.mark.parametrize(("rule", "example"), examples("finds"))
def test_rule_finds_something_at_its_place_and_says_so(check, rule, example, snapshot):
    result, path = check(rule, example)
    assert result.diagnostics
    assert "\n".join(map(told, result.diagnostics)) == snapshot
    assert (result.error is not None) is (rule.code in RAISING)
    for finding in result.diagnostics:
        assert finding.code == rule.code
        place = finding.place
        assert place is not None
        assert place.file == path
        line = path.read_text().splitlines()[place.line - 1]
        named = line[place.column - 1 : place.end_column - 1].strip("'\"")
        assert named in finding.key.split(".") or finding.key.endswith(named)


def told(finding):
    shown = [f"{finding.severity.value} {finding.key}: {finding.message}"]
    if finding.parameters:
        shown.append(f"  {finding.parameters[0]} … {finding.parameters[-1]}")
    return "\n".join([*shown, *(finding.suggestion or "nothing to paste").splitlines()])


@pytest.mark.parametrize(("rule", "example"), examples("finds"))
def test_what_a_rule_suggests_makes_the_finding_go(check, rule, example):
    result, path = check(rule, example)
    for finding in result.diagnostics:
        if finding.suggestion is None:
            continue
        text = pasted(finding.suggestion, path)
        after, _ = check(rule, example, text)
        assert after.error is None
        left = {p for f in after.diagnostics for p in f.parameters}
        assert left.isdisjoint(finding.parameters)
        assert finding.message not in [f.message for f in after.diagnostics]
        path.write_text(example.text)


def test_every_rule_has_a_page_and_examples():
    for rule in all_rules():
        assert re.fullmatch(r"LLD\d{3}", rule.code)
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
        assert rule.summary
        assert rule.finds or rule.code == "LLD001"
    assert len({rule.code for rule in all_rules()}) == len(all_rules())


def test_settings_of_examples_are_toml():
    for rule in all_rules():
        for example in (*rule.finds, *rule.passes):
            tomllib.loads(example.settings)


def test_the_page_of_the_rules_is_up_to_date():
    text = rules_markdown(all_rules())
    if UPDATE:
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text
