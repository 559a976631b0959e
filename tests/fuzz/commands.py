"""What workers do with a mutated config: run commands on it as a user does."""

import contextlib
import io

from lldtool.checking import check_config, report_of
from lldtool.cli import main
from lldtool.policy import Policy
from lldtool.render.findings.as_json import report_json
from lldtool.render.findings.github import report_github
from lldtool.render.findings.junit import report_junit
from lldtool.render.findings.markdown import report_markdown
from lldtool.render.findings.sarif import report_sarif
from lldtool.render.findings.text import report_text
from lldtool.request import Request
from lldtool.rules import all_rules


def run(arguments):
    """Exit code, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    code = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code or 0
    return code, out.getvalue(), err.getvalue()


def check(path):
    """The report of `check` in every form; what is in it, does not matter here."""
    report = report_of(
        [check_config(Policy(), Request(path, str(path), own_process=True))], Policy()
    )
    forms = (report_json, report_github, report_junit, report_markdown)
    texts = [form(report) for form in forms]
    texts += [report_sarif(report, all_rules()), report_text(report, width=80, color=False)]
    return report.exit_code, texts[0], report.configs[0].error or ""
