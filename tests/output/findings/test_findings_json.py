"""The JSON of `check`, which scripts rely on."""

import json

from lldtool.output.diagnostics.as_json import report_json


def test_json(report, snapshot):
    assert report_json(report) == snapshot


def test_contract(report):
    content = json.loads(report_json(report))
    assert content["summary"] == {
        "configs": 8, "passed": 2, "failed": 5, "errors": 1, "findings": 10
    }  # fmt: skip
    assert content["schema_version"] == 1
    config = content["configs"][0]
    assert {"config", "status", "error", "findings"} <= set(config)
    assert config["findings"][0] | {} == config["findings"][0]
    assert {
        "code", "name", "severity", "message", "parameters", "file", "line", "column", "suggestion"
    } <= set(config["findings"][0])  # fmt: skip


def test_a_file_in_the_working_directory_is_relative_and_others_are_absolute(report):
    files = {
        finding["file"]
        for config in json.loads(report_json(report))["configs"]
        for finding in config["findings"]
    }
    assert files == {
        None,
        "configs/a.py",
        "configs/_base_/schedule.py",
        "/opt/site-packages/mmpretrain/.mim/configs/_base_/schedules/adamw.py",
    }


def test_an_empty_report():
    assert json.loads(report_json([]))["configs"] == []
