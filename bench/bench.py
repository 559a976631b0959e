"""What lldtool costs beside what one would do without it: `python bench/bench.py [PART...]`.

Tables on stdout, progress on stderr; `--write docs/performance.md` writes the page instead.
"""

import argparse
import os
import shlex
import sys

from machine import described
from measure import measured
from parts import PARTS
from rich.console import Console
from tables import table, write_page

#: Rounds of a quick look.
QUICK = 2


def main():
    """Measure the parts that were asked for, and show or write what came out."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for all that is started
    known = {part.name: part for part in PARTS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK} rounds, and no part that takes minutes"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of every part")
    parser.add_argument("--write", metavar="FILE", help="write the tables as a page")
    options = parser.parse_args()
    unknown = set(options.parts) - known.keys()
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}: {', '.join(known)} are known")
    parts = [known[name] for name in options.parts]
    parts = parts or [part for part in PARTS if not (options.quick and part.is_slow)]
    console, sections = Console(), []
    for part in parts:
        rounds = options.rounds or (QUICK if options.quick else part.rounds)
        figures = measured(part, rounds)
        sections.append((part, figures))
        if not options.write:
            console.print(table(part, figures), part.answer(figures), "")
    if options.write:
        command = f"python bench/bench.py {shlex.join(sys.argv[1:])}"
        write_page(options.write, sections, command, described())


if __name__ == "__main__":
    main()
