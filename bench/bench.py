"""Time and memory of whole processes, as ratios: `python bench/bench.py [--runs N]`.

Every round runs every command once, so that a machine whose speed drifts drifts for all of them;
a ratio is the median over the rounds of one command's time over another's in the same round.
Needs Linux, for the memory.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
CONFIGS = {
    "MAE ViT-B": "mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py",
    "MAE ViT-H": "mae/benchmarks/vit-huge-p14_8xb128-coslr-50e_in1k.py",
    "SimMIM Swin-L": "simmim/benchmarks/swin-large-w14_8xb256-coslr-100e_in1k.py",
    "SparK ResNet-50": "spark/benchmarks/resnet50_8xb256-coslr-300e_in1k.py",
}


VARIANT = ("--with", "optim_wrapper.paramwise_cfg.layer_decay_rate=0.7")


def big_plans(saved, folder):
    """Two plans with 5,000 parameters in 54 layers, of which every lr but the last differs."""
    from lldtool.plan import load_plan, plan_to_json

    plan, depth, paths = load_plan(saved), 52, []
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


def commands(saved, big):
    """Name -> command line, each a process of its own."""
    from lldtool.source import locate

    python, lldtool = sys.executable, [sys.executable, "-m", "lldtool"]
    table = {
        "import torch": [python, "-c", "import torch"],
        "--help": [*lldtool, "--help"],
        "--version": [*lldtool, "--version"],
        "inspect saved-plan.json": [*lldtool, "inspect", saved],
        "diff of saved plans": [*lldtool, "diff", saved, saved],
        "diff of saved plans, 5,000 parameters": [*lldtool, "diff", *map(str, big)],
    }
    for name, config in CONFIGS.items():
        table[f"inspect {name}"] = [*lldtool, "inspect", f"mmpretrain::{config}"]
        if "ViT" in name:
            table[f"diff {name} --with"] = [*lldtool, "diff", f"mmpretrain::{config}", *VARIANT]
        path = str(locate(f"mmpretrain::{config}").path)
        table[f"obvious {name}"] = [python, "-W", "ignore", str(HERE / "obvious.py"), path]
    return table


def run(command):
    """Seconds and peak resident MB of one process."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1 is a result of diff
        raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main():
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=int, default=5, help="rounds that count, after one that doesn't"
    )
    runs = parser.parse_args().runs
    saved = HERE.parent / "tests/render/plans/vit-base_layer-decay.json"
    with tempfile.TemporaryDirectory() as folder:
        with ProcessPoolExecutor(1) as other:  # the memory of this process counts for its children
            big = other.submit(big_plans, saved, folder).result()
        table = commands(str(saved), big)
        rounds = [{name: run(command) for name, command in table.items()} for _ in range(runs + 1)][
            1:
        ]

    def ratio(name, base):
        return statistics.median(one[name][0] / one[base][0] for one in rounds)

    print("| process | seconds | × import torch | × obvious script | peak MB |")
    print("| :-- | --: | --: | --: | --: |")
    for name in table:
        seconds = statistics.median(one[name][0] for one in rounds)
        peak = max(one[name][1] for one in rounds)
        obvious = name.replace("inspect", "obvious", 1)
        faster = f"1/{ratio(obvious, name):.1f}" if obvious != name and obvious in table else ""
        row = (name, f"{seconds:.2f}", f"{ratio(name, 'import torch'):.2f}", faster, f"{peak:.0f}")
        print(f"| {' | '.join(row)} |")
    print(f"\nViT-H × ViT-B: {ratio('inspect MAE ViT-H', 'inspect MAE ViT-B'):.2f}")
    for name in ("MAE ViT-B", "MAE ViT-H"):
        print(f"diff × inspect {name}: {ratio(f'diff {name} --with', f'inspect {name}'):.2f}")


if __name__ == "__main__":
    main()
