"""SARIF, read back with readers of others."""

import json
from typing import ClassVar

import pytest
from sarif import loader
from sarif_pydantic import Sarif

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity, all_diagnostics
from lldtool.lint.rules import Rule, all_rules
from lldtool.output.diagnostics import sarif
from lldtool.output.diagnostics.sarif import report_sarif


class DecayedNorm(Rule):
    """A parameter of a normalization layer is decayed.

    Weight decay pulls the scale of a normalization layer
    towards 0.

    Write `norm_decay_mult=0.0`.
    """

    code: ClassVar = "LLD101"
    name: ClassVar = "decayed-norm"
    severity: ClassVar = Severity.error


class ManyGroups(Rule):
    """There are many more param groups than distinct settings."""

    code: ClassVar = "LLD406"
    name: ClassVar = "many-groups"
    severity: ClassVar = Severity.info
    by_default: ClassVar = False


RULES = (DecayedNorm(), ManyGroups())


@pytest.fixture(autouse=True)
def _version(monkeypatch):
    monkeypatch.setattr(sarif, "lldtool_version", lambda: "1.2.3")


def run_of(report, rules=RULES):
    return Sarif.model_validate_json(report_sarif(report, rules)).runs[0]


def test_sarif(report, snapshot):
    assert report_sarif(report, RULES) == snapshot


def test_a_result_for_each_finding_with_its_rule(report):
    run = run_of(report)
    assert [(r.rule_id, r.level.value) for r in run.results] == [
        (f.code, {"info": "note"}.get(f.severity.value, f.severity.value))
        for _, f in all_diagnostics(report)
    ]
    rules = run.tool.driver.rules
    for result in run.results:
        assert result.rule_index is None or rules[result.rule_index].id == result.rule_id


def test_sarif_tools_reads_it(report, tmp_path):
    file = tmp_path / "x.sarif"
    file.write_text(report_sarif(report, RULES), encoding="utf-8")
    read = loader.load_sarif_file(str(file))
    assert read.get_result_count() == len(all_diagnostics(report))
    records = read.get_records()
    assert {(r["Location"], r["Line"]) for r in records if r["Code"] == "LLD101"} == {
        ("configs/a.py", 3)
    }


def test_every_rule_can_be_described(report):
    rules = run_of(report, all_rules()).tool.driver.rules
    assert [rule.id for rule in rules] == [rule.code for rule in all_rules()]
    # What GitHub takes: https://docs.github.com/en/code-security/code-scanning
    for rule in rules:
        assert len(rule.short_description.text) <= 1024
        assert len(rule.full_description.text) <= 1024


def test_a_config_without_a_plan_is_a_notification(report):
    invocation = run_of(report).invocations[0]
    assert not invocation.execution_successful
    (notification,) = invocation.toolExecutionNotifications
    assert notification["message"]["text"].startswith("configs/z.py: the model can't be built")


def test_no_path_of_this_machine_is_in_it(report, here):
    assert str(here) not in report_sarif(report, RULES)


def test_a_finding_without_a_place_is_in_the_config(report):
    uris = {
        result.properties["config"]: result.locations[0].physical_location.artifact_location
        for result in run_of(report).results
        if result.rule_id == "LLD406"
    }
    assert (uris["configs/a.py"].uri, uris["configs/a.py"].uri_base_id) == (
        "configs/a.py", "%SRCROOT%"
    )  # fmt: skip
    assert uris["mmpretrain::mae/x.py"].uri == "mmpretrain%3A%3Amae/x.py"


def test_equal_fingerprints_are_told_apart_in_the_same_way_each_time():
    finding = Diagnostic("LLD101", "decayed-norm", Severity.error, "x")
    report = [CheckResult("a.py", (finding,) * 3)]
    prints = [result.partial_fingerprints["lldtool/v1"] for result in run_of(report).results]
    own = finding.fingerprint("a.py")
    assert prints == [own, f"{own}:2", f"{own}:3"]


def test_parameters_are_logical_locations_up_to_a_hundred():
    names = tuple(f"layers.{n}.weight" for n in range(150))
    finding = Diagnostic("LLD101", "decayed-norm", Severity.error, "x", names)
    (result,) = run_of([CheckResult("a.py", (finding,))]).results
    logical = result.locations[0].logical_locations
    assert [place.fully_qualified_name for place in logical] == list(names[:100])
    assert result.properties["parameters"] == 150


def test_a_message_holds_no_link():
    finding = Diagnostic("LLD101", "decayed-norm", Severity.error, "see [this](https://x.example)")
    text = report_sarif([CheckResult("a.py", (finding,))], RULES)
    message = json.loads(text)["runs"][0]["results"][0]["message"]["text"]
    assert "](" not in message


@pytest.mark.parametrize("folder", [".venv/lib/python3.11/site-packages", "/usr/dist-packages"])
def test_an_installed_file_is_never_the_place_if_another_file_inherits_it(here, folder):
    inside = Location(here / "configs/a.py", 1, 11, 1, 17)
    shipped = Location(here / folder / "mmpretrain/x.py", 3, 5, 5, 6)
    finding = Diagnostic(
        "LLD101", "decayed-norm", Severity.error, "x", location=shipped, inheriting=(inside,)
    )
    (result,) = run_of([CheckResult("configs/a.py", (finding,))]).results
    physical = result.locations[0].physical_location
    assert physical.artifact_location.uri == "configs/a.py"
    assert physical.region.start_column == 11
