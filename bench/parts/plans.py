"""Commands that need no torch: the command line itself, and saved plans."""

import contextlib
import tempfile

from measure import IMPORT_TORCH, Benchmark, lldtool

from parts.size import SAVED, write_plans


@contextlib.contextmanager
def _cases():
    with tempfile.TemporaryDirectory() as folder:
        large = write_plans(folder, 5_000)
        yield {
            "import torch": IMPORT_TORCH,
            "--help": lldtool("--help"),
            "--version": lldtool("--version"),
            "inspect saved-plan.json": lldtool("inspect", SAVED),
            "check saved-plan.json": lldtool("check", SAVED, codes=(0, 1)),
            "diff of saved plans": lldtool("diff", SAVED, SAVED),
            "diff of saved plans, 5,000 parameters": lldtool("diff", *large, codes=(1,)),
        }


def _answer(results):
    share = results.ratio("inspect saved-plan.json")
    return (
        f"`inspect` of a saved plan takes {share:.2f} × a bare `import torch`. It imports no torch."
    )


PLANS = Benchmark("plans", "How long do commands take that need no torch?", _cases, _answer)
