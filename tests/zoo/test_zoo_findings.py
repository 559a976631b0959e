"""Every rule on every config of the installed mmpretrain: `pytest -m zoo`, some minutes.

Writes `docs/zoo-findings.md`.
"""

import os
from collections import Counter
from functools import partial

import pytest
from conftest import ROOT

from lldtool.config import locate
from lldtool.config.discovery import discover
from lldtool.config.locations import Sources
from lldtool.config.request import Request
from lldtool.lint.diagnostics import Severity
from lldtool.lint.engine import check_config, final_results
from lldtool.lint.policy import Policy
from lldtool.lint.rules import all_rules
from lldtool.output.diagnostics.markdown import report_markdown
from lldtool.versions import package_versions
from lldtool.workers.pool import Fleet

pytestmark = pytest.mark.zoo
PAGE = ROOT / "docs" / "zoo-findings.md"
CONSTRUCTOR = "LearningRateDecayOptimWrapperConstructor"


@pytest.fixture(scope="module")
def report():
    """What the rules find in the zoo, without settings."""
    names = discover(["mmpretrain::."], include=(), exclude=(), include_base=False, root=None)
    requests = [Request(locate(name).path, name, own_process=True) for name in names]
    with Fleet(os.cpu_count() or 1, timeout=300) as fleet:
        results = list(fleet.map(partial(check_config, Policy()), requests))
    return final_results(results, Policy())


def decays_by_layer(name):
    files = Sources(locate(name).path).files
    return any(CONSTRUCTOR in file.read_text(encoding="utf-8") for file in files)


def codes_of(report, name, *severities):
    (one,) = [one for one in report if one.config == f"mmpretrain::{name}"]
    return {f.code for f in one.diagnostics if f.severity in (severities or tuple(Severity))}


def test_page_has_what_is_found_in_the_shipped_layer_decay_configs(report):
    chosen = [one for one in report if decays_by_layer(one.config)]
    PAGE.write_text(page(report, chosen), encoding="utf-8")
    assert len(chosen) == 21
    assert all(one.error is None for one in chosen)


def test_known_mistakes_are_found(report):
    mixmim = codes_of(report, "mixmim/benchmarks/mixmim-base_8xb128-coslr-100e_in1k.py")
    huge = codes_of(report, "mae/benchmarks/vit-huge-p14_8xb128-coslr-50e_in1k.py")
    simmim = codes_of(report, "simmim/benchmarks/swin-large-w14_8xb256-coslr-100e_in1k.py")
    beit = codes_of(report, "beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py")
    twins = codes_of(report, "twins/twins-svt-base_8xb128_in1k.py")
    assert mixmim >= {"LLD101", "LLD104", "LLD205"}
    assert "LLD205" in huge & simmim
    assert "LLD104" in beit
    assert "LLD304" in twins


@pytest.mark.parametrize(
    "name",
    [
        "mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py",
        "swin_transformer/swin-tiny_16xb64_in1k.py",
        "simmim/benchmarks/swin-base-w6_8xb256-coslr-100e_in1k-192px.py",
        "resnet/resnet50_8xb32_in1k.py",
        "mobilenet_v3/mobilenet-v3-small_8xb128_in1k.py",
        "convnext/convnext-tiny_32xb128_in1k.py",
        "efficientnet_v2/efficientnetv2-b0_8xb32_in1k.py",
    ],
)
def test_sound_configs_pass(report, name):
    assert codes_of(report, name, Severity.error, Severity.warning) == set()


def page(report, layer_decay):
    checked = [one for one in report if one.error is None]
    counts = Counter(
        (code, severity)
        for one in checked
        for code, severity in {(f.code, f.severity) for f in one.diagnostics}
    )
    names = {rule.code: rule.name for rule in all_rules()}
    versions = ", ".join(f"{k} {v}" for k, v in package_versions().items())
    lines = [
        "# Findings in mmpretrain's configs",
        "",
        "Written by `pytest -m zoo`, which checks every config of the installed mmpretrain outside",
        "`_base_` with all rules and no settings. Practitioners disagree about weight decay:",
        "[the rules](rules.md) explain what they find, why, and when to ignore them.",
        "[Schedules in the zoos](zoo-schedules.md) has what the rules of schedules find in mmdet,",
        "mmpose and mmseg, too.",
        "",
        f"- {versions}",
        f"- {len(report)} configs; {len(checked)} of them can be checked",
        "  ([the others can't be built](zoo.md))",
        f"- {sum(not bad(one) for one in checked)} configs without an error or warning",
        "",
        "| code | name | severity | configs |",
        "| :-- | :-- | :-- | --: |",
        *(
            f"| {code} | {names[code]} | {severity.value} | {number} |"
            for (code, severity), number in sorted(counts.items(), key=str)
        ),
        "",
        "## Layer-wise learning-rate decay",
        "",
        f"The {len(layer_decay)} configs with `{CONSTRUCTOR}`:",
        "",
    ]
    _title, _, findings = report_markdown(layer_decay).partition("\n")
    return "\n".join(lines) + findings


def bad(one):
    return [f for f in one.diagnostics if f.severity is not Severity.info]
