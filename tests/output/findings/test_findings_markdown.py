"""Markdown for the summary of a CI job."""

import pytest
from markdown_it import MarkdownIt

from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity
from lldtool.output.diagnostics.markdown import report_markdown


def test_markdown(report, snapshot):
    assert report_markdown(report) == snapshot


def test_it_is_headings_a_table_and_findings(report):
    tokens = MarkdownIt("commonmark").enable("table").parse(report_markdown(report))
    kinds = [token.type for token in tokens]
    assert kinds.count("heading_open") == 1 + 4  # configs with something new to tell
    assert kinds.count("tr_open") == 1 + 7
    assert kinds.count("fence") == 3


def test_one_config_needs_no_table(report):
    assert "| config |" not in report_markdown(report[:1])


@pytest.mark.parametrize("limit", [300, 1000, 2000, 10_000, 1024**2])
def test_no_longer_than_the_limit_and_what_is_left_out_is_counted(limit):
    findings = tuple(
        Diagnostic(f"LLD{n}", "größe", Severity.error, "ü" * 40, suggestion="x") for n in range(100)
    )
    text = report_markdown([CheckResult("a.py", findings)], limit=limit)
    assert len(text.encode()) <= limit
    shown = text.count("**error**")
    left = f"{100 - shown} more entries left out: the report may not be longer than {limit:,} bytes"
    assert text.count(left) == (shown < 100)
    assert text.count("```") == 2 * shown


def test_a_table_that_is_too_long_goes_with_all_below_it():
    configs = tuple(CheckResult(f"{n}.py", error="no such file") for n in range(200))
    text = report_markdown(configs, limit=1000)
    assert text.splitlines()[2:] == [
        "200 more entries left out: the report may not be longer than 1,000 bytes."
    ]


def test_a_fence_is_longer_than_any_in_it():
    code = "```\n<script>\n````"
    finding = Diagnostic("LLD101", "x", Severity.error, "y", suggestion=code)
    text = report_markdown([CheckResult("a.py", (finding,))])
    (fence,) = [t for t in MarkdownIt("commonmark").parse(text) if t.type == "fence"]
    assert fence.content == f"{code}\n"


SUGGESTION = """\
# in optim_wrapper.paramwise_cfg, instead of 'a'
"b": 0.0,
# in optim_wrapper, delete 'x'
# in optim_wrapper, delete 'y_z'"""


@pytest.mark.parametrize(
    ("config", "languages", "contents"),
    [
        ("a.yaml", ["yaml"], [SUGGESTION]),
        ("a.yml@main", ["yaml"], [SUGGESTION]),
        ("a.json", ["json"], ['"b": 0.0,']),
        ("a.py", ["python"], [SUGGESTION]),
        ("mmpretrain::mae/a", ["python"], [SUGGESTION]),
    ],
)
def test_a_fence_has_the_language_of_the_config(config, languages, contents):
    finding = Diagnostic("LLD101", "x", Severity.error, "y", suggestion=SUGGESTION)
    text = report_markdown([CheckResult(config, (finding,))])
    tokens = MarkdownIt("commonmark").parse(text)
    fences = [token for token in tokens if token.type == "fence"]
    assert [fence.info for fence in fences] == languages
    assert [fence.content for fence in fences] == [f"{content}\n" for content in contents]
    shown = [token.content for token in tokens if token.type in ("inline", "fence")]
    for line in SUGGESTION.splitlines():
        assert line.strip("# ,").replace("_", "") in "".join(shown).replace("_", "").replace(
            "\\", ""
        )
