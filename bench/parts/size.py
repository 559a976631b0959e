"""How commands on saved plans scale with the number of parameters."""

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

from measure import Benchmark, lldtool

from lldtool.plan import load_plan, plan_to_json

SAVED = Path(__file__).parents[2] / "tests/output/plans/vit-base_layer-decay.json"
#: Numbers of parameters.
SIZES = (1_000, 10_000, 50_000)
DEPTH = 52
BASELINE = "inspect"


def write_plans(folder, parameters):
    """Write two plans of 54 layers with about this many parameters, and return their paths.

    Every lr except that of the last layer differs between the two.
    """
    plan, paths = load_plan(SAVED), []
    block = [p for p in plan.parameters if p.name.startswith("backbone.layers.1.")]
    rest = [p for p in plan.parameters if ".layers." not in p.name]
    for rate in (0.75, 0.65):
        scaled = [
            replace(
                p,
                name=p.name.replace("layers.1.", f"layers.{layer}.parts.{part}.", 1),
                layer_id=layer + 1,
                lr=4e-3 * rate ** (DEPTH - layer),
                lr_scale=rate ** (DEPTH - layer),
            )
            for layer in range(DEPTH)
            for part in range(round(parameters / DEPTH / len(block)))
            for p in block
        ]
        scaled += [replace(p, layer_id=DEPTH + 1 if p.layer_id else 0) for p in rest]
        paths.append(Path(folder, f"{parameters}-{rate}.json"))
        paths[-1].write_text(plan_to_json(replace(plan, parameters=tuple(scaled))))
    return paths


def _commands(a, b, page):
    """Return the commands by name, `inspect` first."""
    return {
        BASELINE: lldtool("inspect", a),
        "inspect --params": lldtool("inspect", a, "--params"),
        "check": lldtool("check", a, codes=(0, 1)),
        "explain": lldtool("explain", a),
        "explain weight": lldtool("explain", a, "weight"),
        "diff": lldtool("diff", a, b, codes=(1,)),
        "diff --params": lldtool("diff", a, b, "--params", codes=(1,)),
        "diff --format json": lldtool("diff", a, b, "--format", "json", codes=(1,)),
        "compare": lldtool("compare", a, b),
        "report": lldtool("report", a, "-o", page),
    }


@contextlib.contextmanager
def _cases():
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        yield {
            _sized(command, size): process
            for size in SIZES
            for command, process in _commands(*write_plans(folder, size), page).items()
        }


def _sized(command, size):
    return f"{command}, {size:,} parameters"


def _answer(results):
    *_, medium, large = SIZES
    commands = [c for c in _commands("", "", "") if c not in (BASELINE, "report")]
    slowest = "; ".join(_slowest(results, commands, size) for size in (medium, large))
    report = results.ratio(_sized("report", large), _sized(BASELINE, large))
    times, memory = (
        max(of(_sized(c, large)) / of(_sized(c, medium)) for c in commands)
        for of in (results.seconds, results.peak)
    )
    return (
        f"Compared with `inspect` of the same plan, the slowest command takes {slowest}. A report "
        f"draws pictures and has a row for each parameter, so it takes {report:.1f} ×. With "
        f"{large / medium:g} times the parameters, a command takes at most {times:.1f} × the time "
        f"and {memory:.1f} × the memory."
    )


def _slowest(results, commands, size):
    ratios = {c: results.ratio(_sized(c, size), _sized(BASELINE, size)) for c in commands}
    slowest = max(ratios, key=ratios.__getitem__)
    return f"{ratios[slowest]:.1f} × (`{slowest}`) with {size:,} parameters"


SIZE = Benchmark("size", "How do commands on saved plans scale?", _cases, _answer, rounds=3)
