"""The rules of schedules on every config of OpenMMLab's packages: `pytest -m zoo`, half an hour.

In the environment of tests/relatives/make_venv.sh, which has the packages. With LLDTOOL_UPDATE_DOCS
it writes `docs/zoo-schedules.md`, of which somebody has looked at every line.
"""

import os
from collections import defaultdict
from functools import partial

import pytest
from conftest import ROOT

from lldtool.config import locate
from lldtool.config.discovery import discover
from lldtool.config.request import Request
from lldtool.lint.engine import check_config, final_results
from lldtool.lint.policy import Policy
from lldtool.lint.rules import all_rules
from lldtool.text import plural
from lldtool.versions import installed_version
from lldtool.workers.pool import Fleet

pytestmark = pytest.mark.zoo
PAGE = ROOT / "docs" / "zoo-schedules.md"
#: Package -> its distribution.
PACKAGES = {
    "mmpretrain": "mmpretrain", "mmdet": "mmdet", "mmpose": "mmpose", "mmseg": "mmsegmentation",
}  # fmt: skip


@pytest.fixture(scope="module")
def results():
    """Package -> what the rules find in its configs."""
    missing = [name for name in PACKAGES.values() if installed_version(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed")
    policy = Policy().overridden(select=["LLD5"])
    found = {}
    with Fleet(os.cpu_count() or 1, timeout=300) as fleet:
        for package in PACKAGES:
            names = discover(
                [f"{package}::."], include=(), exclude=(), include_base=False, root=None
            )
            requests = [Request(locate(name).path, name, own_process=True) for name in names]
            checked = fleet.map(partial(check_config, policy), requests)
            found[package] = final_results(list(checked), policy)
    return found


def test_page_has_all_that_is_found(results):
    text = "\n".join(page(results)) + "\n"
    if os.environ.get("LLDTOOL_UPDATE_DOCS"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text


def page(results):
    yield from (
        "# Schedules in the zoos",
        "",
        "What the [rules of schedules](rules.md) find in the configs that mmpretrain, mmdet,",
        "mmpose and mmseg ship, outside `_base_` and without settings. Each finding was checked by",
        "hand.",
    )
    names = {rule.code: rule.name for rule in all_rules()}
    for package, checked in results.items():
        working = [one for one in checked if one.error is None]
        configs = defaultdict(list)
        for one in working:
            for found in one.diagnostics:
                key = found.code, found.severity.value, found.message
                configs[key].append(one.config.partition("::")[2])
        yield from (
            "",
            f"## {package} {installed_version(PACKAGES[package])}",
            "",
            f"{plural(len(working), 'config')} of {len(checked)} can be checked.",
            "",
            "| rule | finding | configs |",
            "| :-- | :-- | :-- |",
        )
        for (code, severity, message), own in sorted(configs.items()):
            which = f"`{own[0]}`" + (f" and {len(own) - 1:,} more" if len(own) > 1 else "")
            yield f"| {code} {names[code]}, {severity} | {message} | {which} |"
