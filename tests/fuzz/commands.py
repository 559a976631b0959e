"""What workers do with a mutated config: run commands on it as a user does."""

import contextlib
import io

from lldtool.cli import main
from lldtool.config.request import Request
from lldtool.lint.diagnostics import exit_code
from lldtool.lint.engine import check_config, final_results
from lldtool.lint.policy import Policy
from lldtool.lint.rules import all_rules
from lldtool.output.diagnostics.as_json import report_json
from lldtool.output.diagnostics.github import report_github
from lldtool.output.diagnostics.junit import report_junit
from lldtool.output.diagnostics.markdown import report_markdown
from lldtool.output.diagnostics.sarif import report_sarif
from lldtool.output.diagnostics.text import report_text


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
    result = check_config(Policy(), Request(path, str(path), own_process=True))
    report = final_results([result], Policy())
    forms = (report_json, report_github, report_junit, report_markdown)
    texts = [form(report) for form in forms]
    texts += [report_sarif(report, all_rules()), report_text(report, width=80, color=False)]
    return exit_code(report), texts[0], report[0].error or ""
