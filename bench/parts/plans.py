"""What needs no torch: the command line itself, and saved plans."""

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

from measure import IMPORT_TORCH, Part, lldtool

from lldtool.plan import load_plan, plan_to_json

SAVED = Path(__file__).parents[2] / "tests/render/plans/vit-base_layer-decay.json"


@contextlib.contextmanager
def _things():
    with tempfile.TemporaryDirectory() as folder:
        big = _big_plans(folder)
        yield {
            "import torch": IMPORT_TORCH,
            "--help": lldtool("--help"),
            "--version": lldtool("--version"),
            "inspect saved-plan.json": lldtool("inspect", SAVED),
            "check saved-plan.json": lldtool("check", SAVED, codes=(0, 1)),
            "diff of saved plans": lldtool("diff", SAVED, SAVED),
            "diff of saved plans, 5,000 parameters": lldtool("diff", *big, codes=(1,)),
        }


def _big_plans(folder):
    """Two plans with 5,000 parameters in 54 layers, of which every lr but the last differs."""
    plan, depth, paths = load_plan(SAVED), 52, []
    block = [p for p in plan.parameters if p.name.startswith("backbone.layers.1.")]
    rest = [p for p in plan.parameters if ".layers." not in p.name]
    for rate in (0.75, 0.65):
        parameters = [
            replace(
                p,
                name=p.name.replace("layers.1.", f"layers.{layer}.parts.{part}.", 1),
                layer_id=layer + 1,
                lr=4e-3 * rate ** (depth - layer),
                lr_scale=rate ** (depth - layer),
            )
            for layer in range(depth)
            for part in range(8)
            for p in block
        ]
        parameters += [replace(p, layer_id=depth + 1 if p.layer_id else 0) for p in rest]
        paths.append(Path(folder, f"{rate}.json"))
        paths[-1].write_text(plan_to_json(replace(plan, parameters=tuple(parameters))))
    return paths


def _answer(figures):
    share = figures.ratio("inspect saved-plan.json")
    return f"A saved plan is shown in {share:.2f} × a bare `import torch`; torch is not imported."


PLANS = Part("plans", "What does it cost where no torch is needed?", _things, _answer)
