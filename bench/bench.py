"""Measure lldtool, and scripts that do the same without it: `python bench/bench.py [NAME...]`.

Tables go to stdout, progress to stderr. `--write docs/performance.md` writes the page instead.
"""

import argparse
import os
import shlex
import sys

from machine import describe_machine
from measure import run
from parts import BENCHMARKS
from rich.console import Console
from tables import table, write_page

QUICK_ROUNDS = 2


def main():
    """Run the selected benchmarks, and print or write the results."""
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by all processes
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds, without slow benchmarks"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of every benchmark")
    parser.add_argument("--write", metavar="FILE", help="write the results as a Markdown page")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - known.keys()):
        parser.error(f"unknown benchmark {', '.join(unknown)}; choose from {', '.join(known)}")
    selected = [known[name] for name in options.names]
    selected = selected or [b for b in BENCHMARKS if not (options.quick and b.is_slow)]
    console, sections = Console(), []
    for benchmark in selected:
        rounds = options.rounds or (QUICK_ROUNDS if options.quick else benchmark.rounds)
        results = run(benchmark, rounds)
        sections.append((benchmark, results))
        if not options.write:
            console.print(table(benchmark, results), benchmark.answer(results), "")
    if options.write:
        command = f"python bench/bench.py {shlex.join(sys.argv[1:])}"
        write_page(options.write, sections, command, describe_machine())


if __name__ == "__main__":
    main()
