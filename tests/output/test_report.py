"""The HTML report, parsed, and used in a headless Chromium where there is one."""

import base64
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLES, TINY_VIT, make_parameter, make_plan
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

import lldtool
from lldtool.config.request import Request
from lldtool.dryrun import Capture
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity
from lldtool.output.formats import written
from lldtool.output.html import fragment
from lldtool.output.plan_document import plan_document
from lldtool.output.report import report_document
from lldtool.plan import Curve, Reason, Reasons, Schedule, UntrainedParameter

SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"{SCRIPT}\"'&{{{{ 7*7 }}}}\x1b[31m\u202e"


def plan_of(*names, **changes):
    reasons = {0.0: Reasons(weight_decay=Reason("norm_decay_mult")), 0.05: Reasons()}
    parameters = [
        make_parameter(name, layer_id=i % 3, lr=1e-3 * 0.7**i, weight_decay=d, reason=reasons[d])
        for i, (name, d) in enumerate(zip(names, [0.0, 0.05] * len(names), strict=False))
    ]
    return make_plan(*parameters, **changes)


def page_of(*plans, findings=(), error=None):
    captures = [Capture(Request(Path(p.config), p.config), p) for p in plans]
    checked = [CheckResult(p.config, tuple(findings), error) for p in plans]
    return written(report_document(captures, checked), "html")


def scheduled(plan):
    """The plan with a schedule that halves the lr of its groups."""
    groups = tuple(sorted({p.group for p in plan.parameters}))
    curve = Curve(groups, "lr", "epoch", (0, 1), (1e-3, 5e-4))
    return replace(plan, schedule=Schedule("epoch", 2, curves=(curve,)))


class Elements(HTMLParser):
    """The tags of a page, with what is in them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)


def test_nothing_is_loaded_and_no_other_script_may_run():
    page = page_of(scheduled(plan_of("a.weight", "b.weight")))
    elements = Elements(page)
    addresses = [
        value
        for _, attributes in elements.tags
        for name, value in attributes.items()
        if name in ("src", "srcset", "href", "action", "data")
    ]
    assert addresses
    assert all(address.startswith(("data:image/svg+xml;base64,", "#")) for address in addresses)
    assert [tag for tag, _ in elements.tags].count("script") == 1
    policy = next(a["content"] for tag, a in elements.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_text_of_a_config_stays_text():
    finding = Diagnostic("LLD101", HOSTILE, Severity.error, HOSTILE, (HOSTILE,), suggestion=HOSTILE)
    plan = plan_of(f"a.{HOSTILE}", "b", config=HOSTILE, notes=(HOSTILE,))
    elements = Elements(page_of(plan, findings=[finding], error=HOSTILE))
    assert [tag for tag, _ in elements.tags].count("script") == 1
    assert "".join(elements.text).count(SCRIPT) > 5
    assert "\x1b" not in "".join(elements.text)
    assert "{{ 7*7 }}" in "".join(elements.text)
    assert SCRIPT not in fragment(plan_document(plan))


def test_two_configs_are_compared_and_three_too():
    plans = [plan_of("a.weight", "b.weight", config=f"{c}.py") for c in "xyz"]
    assert "What differs" not in page_of(plans[0])
    two, three = (Elements(page_of(*plans[:n])) for n in (2, 3))
    assert "identical lr, lr_scale, weight decay and layer of 2 parameters" in two.text
    assert "weight decay differs" in three.text


def test_what_is_not_trained_is_listed():
    untrained = UntrainedParameter("stem.weight", (3, 4), 12)
    text = Elements(page_of(plan_of("a.weight", frozen=(untrained,)))).text
    assert text[text.index("stem.weight") :][:3].count("3×4") == 1
    assert "frozen" in text


def test_the_form_for_a_notebook_is_small():
    html = lldtool.Plan._repr_html_(plan_of("a.weight", "b.weight"))
    assert "<script" not in html
    assert len(html) < 3000


# The command


def test_command_writes_the_page(cli, tmp_path):
    page = tmp_path / "report.html"
    sample = SAMPLES / "vit-base_layer-decay.py"
    result = cli("report", sample, "--epoch-length", 10, "-o", page)
    assert (result.code, result.out, result.err) == (0, "", "")
    text = "".join(Elements(page.read_text(encoding="utf-8")).text)
    assert "300 epochs of 10 iterations" in text
    assert "backbone.layers.11.ffn.layers.1.weight" in text


def test_command_writes_no_page_to_a_terminal(cli, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    result = cli("report", "tests/output/plans/resnet50.json")
    assert (result.code, result.out) == (2, "")
    assert "a report is an HTML page" in result.err
    assert "-o report.html" in result.err


def test_command_says_what_to_give_for_a_directory(cli, tmp_path):
    result = cli("report", SAMPLES, "-o", tmp_path / "page.html")
    assert result.code == 2
    assert f"name a config in it, such as {SAMPLES}/beit-base.py; lldtool check" in result.err


def test_without_its_length_the_schedule_says_what_is_missing(cli):
    by_iteration = "param_scheduler.0.convert_to_iter_based=False"
    mine = "train_dataloader.dataset.data_root=mine"
    options = [by_iteration, "param_scheduler.0.by_epoch=False", mine]
    path = SAMPLES / "vit-base_layer-decay.py"
    result = cli("report", path, *(x for one in options for x in ("--cfg-options", one)))
    assert "LinearLR, which counts iterations, needs the length of an epoch" in result.out


def test_a_config_that_fails_is_told_beside_the_others(cli, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise ValueError('oh')")
    result = cli("report", SAMPLES / "vit-base_layer-decay.py", broken, SAMPLES / "resnet50.py")
    assert result.code == 2
    assert "note: " not in result.err
    assert f"error: {broken}: ValueError: oh" in result.err
    assert "could not be checked" in result.out
    assert "ValueError: oh" in result.out
    missing = tmp_path / "missing.py"
    result = cli("report", broken, missing, "-o", tmp_path / "page.html")
    assert (result.code, len(result.err.splitlines())) == (2, 2)
    assert f"error: {missing}: no such file" in result.err
    assert not (tmp_path / "page.html").exists()


def test_what_two_configs_share_is_told_of_both():
    plan = plan_of("a.weight", "b.weight")
    finding = Diagnostic("LLD101", "x", Severity.error, "norms are decayed", ("a.weight",))
    text = "".join(Elements(page_of(plan, plan, findings=[finding])).text)
    assert text.count("norms are decayed") == 2
    assert "The rules find nothing" not in text


def test_the_page_is_utf_8_whatever_stdout_is_in():
    plan = "tests/output/plans/swin-tiny.json"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lldtool", "report", plan]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, env=environment)
    page = done.stdout.decode("utf-8")
    assert " · " in page
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in html.unescape(page)


def test_saved_plans_can_be_reported(cli):
    result = cli("report", "tests/output/plans/swin-tiny.json", "tests/output/plans/resnet50.json")
    assert result.code == 0
    assert "the length of the training is not known" in result.out


def test_a_page_for_vit_h_is_below_a_megabyte(cli, tmp_path):
    config = "mmpretrain::mae/benchmarks/vit-huge-p14_8xb128-coslr-50e_in1k.py"
    cli("report", config, "--epoch-length", 100, "-o", tmp_path / "page.html")
    assert 200_000 < (tmp_path / "page.html").stat().st_size < 1_000_000


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("there is no Chromium with its driver: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--window-size=1100,1600", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:
        yield chrome


@pytest.fixture
def opened(browser, tmp_path):
    def opened(page):
        file = tmp_path / "page.html"
        file.write_text(page, encoding="utf-8")
        browser.get(file.as_uri())
        return browser

    return opened


def shown(browser):
    rows = browser.find_elements(By.CSS_SELECTOR, ".search tbody tr")
    return [row.find_elements(By.TAG_NAME, "td")[1].text for row in rows if row.is_displayed()]


NAMES = ["stem.weight", "blocks.0.weight", "blocks.1.weight", "blocks.2.bias", "head.weight"]


def test_it_loads_without_a_word_on_the_console(opened, tmp_path):
    plan = plan_of(*NAMES, f"blocks.{SCRIPT}.weight")
    finding = Diagnostic("LLD101", "x", Severity.error, "5 norms are decayed", (NAMES[0],))
    page = page_of(scheduled(plan), findings=[finding])
    browser = opened(page)
    assert browser.get_log("browser") == []
    assert f"blocks.{SCRIPT}.weight" in shown(browser)
    pictures = browser.find_elements(By.TAG_NAME, "img")
    widths = [browser.execute_script("return arguments[0].naturalWidth", p) for p in pictures]
    assert len(widths) == 2
    assert all(widths)
    if folder := os.environ.get("LLDTOOL_SCREENSHOTS"):
        browser.save_screenshot(f"{folder}/report.png")


def test_search_and_filters_narrow_the_table(opened):
    browser = opened(page_of(plan_of(*NAMES)))
    assert shown(browser) == NAMES
    search = browser.find_element(By.NAME, "name")
    search.send_keys("BLOCKS")
    assert shown(browser) == NAMES[1:4]
    assert browser.find_element(By.TAG_NAME, "output").text == "3 of 5"
    Select(browser.find_element(By.NAME, "decayed")).select_by_visible_text("decayed")
    assert shown(browser) == ["blocks.0.weight", "blocks.2.bias"]
    Select(browser.find_element(By.NAME, "layer")).select_by_visible_text("1")
    assert shown(browser) == ["blocks.0.weight"]
    search.clear()
    for name in ("decayed", "layer"):
        Select(browser.find_element(By.NAME, name)).select_by_visible_text("all")
    Select(browser.find_element(By.NAME, "reason")).select_by_visible_text("norm_decay_mult")
    assert shown(browser) == [NAMES[0], NAMES[2], NAMES[4]]


def test_columns_sort_by_value_with_the_keyboard(opened):
    browser = opened(page_of(plan_of(*NAMES)))
    button = browser.find_element(By.XPATH, "//div[@class='search']//th/button[.='lr']")
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    assert shown(browser) == NAMES[::-1]  # 1e-3 × 0.7^n: 2.4e-4 before 1e-3
    header = button.find_element(By.XPATH, "..")
    assert header.get_attribute("aria-sort") == "ascending"
    button.send_keys(Keys.ENTER)
    assert shown(browser) == NAMES


def test_dark_and_light_and_print(opened):
    browser = opened(page_of(plan_of(*NAMES)))
    colors, sources = {}, set()

    def has_another_picture(browser):
        picture = browser.find_element(By.TAG_NAME, "img")
        source = browser.execute_script("return arguments[0].currentSrc", picture)
        is_new = source not in sources
        sources.add(source)
        return source and is_new

    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        body = browser.find_element(By.TAG_NAME, "body")
        colors[scheme] = body.value_of_css_property("background-color")
        WebDriverWait(browser, 10).until(has_another_picture)
    assert colors == {"light": "rgba(255, 255, 255, 1)", "dark": "rgba(20, 23, 28, 1)"}
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    media = {"media": "print", "features": features}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    body = browser.find_element(By.TAG_NAME, "body")
    assert body.value_of_css_property("background-color") == colors["light"]
    assert not any(e.is_displayed() for e in browser.find_elements(By.TAG_NAME, "label"))
    assert browser.find_element(By.TAG_NAME, "output").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_nothing_is_wider_than_a_small_window(opened):
    browser = opened(page_of(plan_of(*[f"a.{'very_' * 30}{n}" for n in range(3)])))
    browser.set_window_size(600, 900)
    wide = browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    browser.set_window_size(1100, 1600)
    assert wide == 0


def test_a_tiny_config_end_to_end(cli, opened, tmp_path):
    config = tmp_path / "config.py"
    config.write_text(TINY_VIT + "train_cfg = dict(max_epochs=3)\n")
    browser = opened(cli("report", config).out)
    assert len(shown(browser)) == 152
    assert re.search("no param_scheduler", browser.page_source)
