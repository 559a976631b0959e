"""Every config of the installed mmpretrain against mmengine: `pytest -m zoo`, some minutes.

Writes `docs/zoo.md`.
"""

import hashlib
import time
from array import array
from collections import Counter

import pytest
from captures import dry_run_schedule
from conftest import ROOT, reference, settings

from lldtool.config import locate
from lldtool.config.request import Length, Request
from lldtool.dryrun import dry_run
from lldtool.errors import LldtoolError
from lldtool.versions import package_versions

pytestmark = pytest.mark.zoo
#: Iterations an epoch of the schedules that are compared.
EPOCH_LENGTH = 2
PAGE = ROOT / "docs" / "zoo.md"
#: What an error says -> why the config can't be built, the first that fits.
CAUSES = {
    "no optim_wrapper": "no training settings",
    "no model": "no training settings",
    "multi-modal dependencies": "needs the multimodal extra",
    "tried to download": "downloads at build time",
    "is not installed": "needs another package",
    "": "broken upstream",
}


def zoo():
    root = locate("mmpretrain::_base_/default_runtime.py").path.parent.parent
    paths = (p.relative_to(root) for p in root.rglob("*.py"))
    return sorted(str(p) for p in paths if "_base_" not in p.parts)


@pytest.fixture(scope="module")
def expected():
    """Config -> what mmengine's own path gives, or its error."""
    names = zoo()
    paths = [str(locate(f"mmpretrain::{name}").path) for name in names]
    answers = reference(paths, "--skip-init")
    return {name: answers[path] for name, path in zip(names, paths, strict=True)}


@pytest.fixture(scope="module")
def found():
    """Config -> lldtool's plan, or its error; and the seconds that all of them took."""
    plans, start = {}, time.perf_counter()
    for name in zoo():
        try:
            plans[name] = dry_run(Request(locate(f"mmpretrain::{name}").path, name))
        except LldtoolError as error:  # noqa: PERF203
            plans[name] = error
    return plans, time.perf_counter() - start


def test_plans_are_bit_equal_and_nothing_fails_in_lldtool_only(expected, found):
    plans, seconds = found
    different, only_lldtool, only_mmengine = [], [], []
    for name, plan in plans.items():
        failed, fails = isinstance(plan, LldtoolError), "error" in expected[name]
        if failed and not fails:
            only_lldtool.append(name)
        elif fails and not failed:
            only_mmengine.append(name)
        elif not failed and settings(plan) != expected[name]["settings"]:
            different.append(name)
    PAGE.write_text(page(expected, plans, seconds), encoding="utf-8")
    assert (different, only_lldtool, only_mmengine) == ([], [], [])


def test_reasons_are_verified(found):
    plans, _ = found
    plans = [plan for plan in plans.values() if not isinstance(plan, LldtoolError)]
    rules = Counter(
        rule
        for plan in plans
        for p in plan.parameters
        for rule in {p.reason.lr.rule, p.reason.weight_decay.rule}
    )
    assert rules["constructor"] == 0


def test_schedules_are_bit_equal():
    names = zoo()
    paths = [str(locate(f"mmpretrain::{name}").path) for name in names]
    answers = reference(paths, "--skip-init", "--schedule", str(EPOCH_LENGTH))
    different, only_lldtool, compared = [], [], 0
    for name, path in zip(names, paths, strict=True):
        expected = answers[path].get("schedule")
        try:
            made = dry_run_schedule(Request(locate(path).path, name), Length(EPOCH_LENGTH))
        except LldtoolError as error:
            only_lldtool += [(name, str(error))] if expected else []
            continue
        hashes = {
            parameter: hashlib.sha256(array("d", curve.lrs).tobytes()).hexdigest()
            for curve in made.curves
            for parameter in curve.parameters
        }
        trained = {p.name for p in made.plan.trained}
        expected = expected and {name: lr for name, lr in expected.items() if name in trained}
        compared += expected == hashes
        different += [name] if expected is not None and expected != hashes else []
    assert (different, only_lldtool) == ([], [])
    assert compared > 400


def page(expected, plans, seconds):
    built = [name for name, plan in plans.items() if not isinstance(plan, LldtoolError)]
    failed = {name: plan for name, plan in plans.items() if isinstance(plan, LldtoolError)}
    causes = {name: cause(error) for name, error in failed.items()}
    versions = ", ".join(f"{k} {v}" for k, v in package_versions().items())
    tensors = sum(len(plans[name].parameters) for name in built)
    lines = [
        "# The zoo",
        "",
        "Written by `pytest -m zoo`, which builds every config of the installed mmpretrain outside",
        "`_base_` twice: with lldtool, and with mmengine in a process without lldtool.",
        "",
        f"- {versions}",
        f"- {len(plans)} configs; {len(built)} of them can be built, and lr, lr_scale, weight",
        f"  decay and layer_id of all their {tensors:,} tensors are bit-equal",
        f"- {len(failed)} configs can't be built by lldtool or by mmengine",
        f"- lldtool took {seconds / len(plans):.2f} s per config, in one process",
        "",
        "| cause | configs |",
        "| :-- | --: |",
        *(f"| {why} | {number} |" for why, number in Counter(causes.values()).most_common()),
        "",
        "| config | cause | lldtool says | mmengine raises |",
        "| :-- | :-- | :-- | :-- |",
        *(
            f"| {name} | {causes[name]} | {cell(error.message)} | {cell(expected[name])} |"
            for name, error in failed.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def cause(error):
    return next(why for text, why in CAUSES.items() if text in str(error))


def cell(text):
    text = text["error"] if isinstance(text, dict) else text
    short = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return short if len(short) <= 120 else short[:119] + "…"
