"""Figures -> a table in the terminal, or a section of docs/performance.md."""

from pathlib import Path

from rich.table import Table

HEAD = ("", "seconds", "least to most", "×", "peak MB")
PAGE = """\
# Performance

    pip install -c constraints.txt -e '.[lite,bench]'
    {command}

writes this page. All that stands in one table ran in turn, A B C A B C …, with
`OMP_NUM_THREADS=1`, and each process was new. Seconds are medians over the rounds. × is the median
of the ratios to the first line in the same round, which drift less than seconds do. Peak MB is the
resident memory of the largest process. The obvious script loads the config, builds the model, calls
`build_optim_wrapper` and prints the groups; torchinfo summarises the same model. Without `--write`
the tables are printed; names choose some of them, `--quick` gives a first impression.

{machine}
"""


def table(part, figures):
    """For the terminal."""
    found = Table(*HEAD, title=part.question, title_justify="left", box=None, pad_edge=False)
    for column in found.columns[1:]:
        column.justify = "right"
    for row in _rows(figures):
        found.add_row(*row)
    return found


def write_page(path, sections, command, machine):
    """Write the page.

    Args:
        path: where to.
        sections: pairs of a part and its figures.
        command: that was run.
        machine: what it was run on.
    """
    texts = [PAGE.format(command=command, machine=machine)]
    for part, figures in sections:
        rounds = len(figures.samples[figures.base])
        lines = [HEAD, (":--", *["--:"] * (len(HEAD) - 1)), *_rows(figures)]
        rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        count = f"{rounds} rounds" if rounds > 1 else "One round"
        texts.append(f"## {part.question}\n\n{part.answer(figures)} {count}.\n\n{rows}\n")
    Path(path).write_text("\n".join(texts), encoding="utf-8")


def _rows(figures):
    for name in figures.samples:
        least, most = figures.spread(name)
        peak = figures.peak(name)
        yield (
            name,
            f"{figures.seconds(name):.2f}",
            f"{least:.2f} – {most:.2f}",
            f"{figures.ratio(name):.2f}",
            "" if peak is None else f"{peak:.0f}",
        )
