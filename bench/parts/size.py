"""How what needs no torch grows with the parameters of saved plans."""

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

from measure import Part, lldtool

from lldtool.plan import load_plan, plan_to_json

SAVED = Path(__file__).parents[2] / "tests/output/plans/vit-base_layer-decay.json"
#: Numbers of parameters.
SIZES = (1_000, 10_000, 50_000)
DEPTH = 52
BASE = "inspect"


def plans_of(folder, parameters):
    """Two plans with so many parameters in 54 layers, of which every lr but the last differs."""
    plan, paths = load_plan(SAVED), []
    block = [p for p in plan.parameters if p.name.startswith("backbone.layers.1.")]
    rest = [p for p in plan.parameters if ".layers." not in p.name]
    for rate in (0.75, 0.65):
        found = [
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
        found += [replace(p, layer_id=DEPTH + 1 if p.layer_id else 0) for p in rest]
        paths.append(Path(folder, f"{parameters}-{rate}.json"))
        paths[-1].write_text(plan_to_json(replace(plan, parameters=tuple(found))))
    return paths


def _commands(a, b, page):
    """Name -> the command, `inspect` first."""
    return {
        BASE: lldtool("inspect", a),
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
def _things():
    with tempfile.TemporaryDirectory() as folder:
        yield {
            _name(command, size): process
            for size in SIZES
            for command, process in _commands(
                *plans_of(folder, size), Path(folder, "page.html")
            ).items()
        }


def _name(command, size):
    return f"{command}, {size:,} parameters"


def _answer(figures):
    large, *_ = reversed(SIZES)
    commands = [c for c in _commands("", "", "") if c not in (BASE, "report")]
    slowest = "; ".join(_slowest(figures, commands, size) for size in SIZES[1:])
    report = figures.ratio(_name("report", large), _name(BASE, large))
    more = large / SIZES[1]
    times, memory = (
        max(of(_name(c, large)) / of(_name(c, SIZES[1])) for c in commands)
        for of in (figures.seconds, figures.peak)
    )
    return (
        f"Of what `inspect` takes for the same plan, no command takes more than {slowest}; but a "
        f"report, which draws pictures and holds a row for each parameter, {report:.1f} ×. With "
        f"{more:g} times the parameters no command takes more than {times:.1f} × the time and "
        f"{memory:.1f} × the memory."
    )


def _slowest(figures, commands, size):
    ratios = {c: figures.ratio(_name(c, size), _name(BASE, size)) for c in commands}
    slowest = max(ratios, key=ratios.__getitem__)
    return f"{ratios[slowest]:.1f} × (`{slowest}`) for {size:,} parameters"


SIZE = Part("size", "How do saved plans grow?", _things, _answer, rounds=3)
