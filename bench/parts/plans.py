"""What needs no torch: the command line itself, and saved plans."""

import contextlib
import tempfile

from measure import IMPORT_TORCH, Part, lldtool

from parts.size import SAVED, plans_of


@contextlib.contextmanager
def _things():
    with tempfile.TemporaryDirectory() as folder:
        big = plans_of(folder, 5_000)
        yield {
            "import torch": IMPORT_TORCH,
            "--help": lldtool("--help"),
            "--version": lldtool("--version"),
            "inspect saved-plan.json": lldtool("inspect", SAVED),
            "check saved-plan.json": lldtool("check", SAVED, codes=(0, 1)),
            "diff of saved plans": lldtool("diff", SAVED, SAVED),
            "diff of saved plans, 5,000 parameters": lldtool("diff", *big, codes=(1,)),
        }


def _answer(figures):
    share = figures.ratio("inspect saved-plan.json")
    return f"A saved plan is shown in {share:.2f} × a bare `import torch`; torch is not imported."


PLANS = Part("plans", "What does it cost where no torch is needed?", _things, _answer)
