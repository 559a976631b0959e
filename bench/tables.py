"""Write results as a table in the terminal or as docs/performance.md."""

from pathlib import Path

from rich.table import Table

HEAD = ("", "seconds", "min – max", "×", "peak MB")
PAGE = """\
# Performance

This page is written by

    pip install -c constraints.txt -e '.[lite,bench]'
    {command}

The cases of each table run in turn (A B C A B C …), each in a new process with
`OMP_NUM_THREADS=1`. Seconds are medians over the rounds. × is the median of the ratios to the
first case in the same round; ratios drift less than seconds. Peak MB is the resident memory of
the largest process. The plain script loads the config, builds the model, calls
`build_optim_wrapper` and prints the param groups; torchinfo summarises the same model. Without
`--write`, `bench.py` prints the tables. Pass names to run only some benchmarks, and `--quick` for
a first impression.

{machine}
"""


def table(benchmark, results):
    """Return the table for the terminal."""
    shown = Table(*HEAD, title=benchmark.question, title_justify="left", box=None, pad_edge=False)
    for column in shown.columns[1:]:
        column.justify = "right"
    for row in _rows(results):
        shown.add_row(*row)
    return shown


def write_page(path, sections, command, machine):
    """Write the page.

    Args:
        path: the file to write.
        sections: pairs of a benchmark and its results.
        command: the command line that was run.
        machine: the machine that it was run on.
    """
    texts = [PAGE.format(command=command, machine=machine)]
    for benchmark, results in sections:
        rounds = len(results.samples[results.baseline])
        lines = [HEAD, (":--", *["--:"] * (len(HEAD) - 1)), *_rows(results)]
        rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        count = f"{rounds} rounds" if rounds > 1 else "One round"
        texts.append(f"## {benchmark.question}\n\n{benchmark.answer(results)} {count}.\n\n{rows}\n")
    Path(path).write_text("\n".join(texts), encoding="utf-8")


def _rows(results):
    for case in results.samples:
        least, most = results.spread(case)
        peak = results.peak(case)
        yield (
            case,
            f"{results.seconds(case):.2f}",
            f"{least:.2f} – {most:.2f}",
            f"{results.ratio(case):.2f}",
            "" if peak is None else f"{peak:.0f}",
        )
