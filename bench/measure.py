"""Run benchmarks: every case once per round, in turn, so that drift affects all of them.

Needs Linux, for the memory figures.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """Seconds, and the peak resident MB of a process where that was measured."""

    seconds: float
    peak: float | None = None


Case = Callable[[], Sample]


@dataclass(frozen=True)
class Process:
    """A command line to run, and the exit codes that mean it did its work."""

    command: Sequence[str]
    codes: Sequence[int] = (0,)

    def __call__(self) -> Sample:
        """Run the command in a new process."""
        timed = [sys.executable, "-S", Path(__file__).with_name("timed.py"), *self.command]
        code, seconds, peak = subprocess.check_output(timed, text=True).split()
        if int(code) not in self.codes:
            raise SystemExit(f"exit code {code}: {' '.join(self.command)}")
        return Sample(float(seconds), float(peak))


def lldtool(*arguments, codes=(0,)):
    """Return an lldtool command as a case."""
    return Process([sys.executable, "-m", "lldtool", *map(str, arguments)], codes)


IMPORT_TORCH = Process([sys.executable, "-c", "import torch"])


@dataclass(frozen=True)
class Results:
    """The samples of each case, one per round. The first case is the baseline."""

    samples: Mapping[str, Sequence[Sample]]

    @property
    def baseline(self) -> str:
        """The case that the others are compared with."""
        return next(iter(self.samples))

    def seconds(self, case):
        """Return the median over the rounds."""
        return statistics.median(sample.seconds for sample in self.samples[case])

    def spread(self, case):
        """Return the minimum and the maximum over the rounds."""
        seconds = [sample.seconds for sample in self.samples[case]]
        return min(seconds), max(seconds)

    def ratio(self, case, baseline=None):
        """Return the median of the ratios of two cases in the same round."""
        pairs = zip(self.samples[case], self.samples[baseline or self.baseline], strict=True)
        return statistics.median(a.seconds / b.seconds for a, b in pairs)

    def peak(self, case):
        """Return the maximum MB over the rounds, or None if memory was not measured."""
        return max((s.peak for s in self.samples[case] if s.peak is not None), default=None)


@dataclass(frozen=True)
class Benchmark:
    """A question, the cases to time, and the answer as a sentence.

    `cases` is a context manager that provides the cases by name. `--quick` skips a slow benchmark.
    """

    name: str
    question: str
    cases: Callable[[], AbstractContextManager[Mapping[str, Case]]]
    answer: Callable[[Results], str]
    rounds: int = 5
    is_slow: bool = False


def run(benchmark, rounds):
    """Run a benchmark, with progress on stderr, and return its results."""
    with benchmark.cases() as cases:
        samples = {name: [] for name in cases}
        for number in range(1, rounds + 1):
            for name, case in cases.items():
                progress = f"{benchmark.name} {number}/{rounds}  {name} …"
                print(progress, end=" ", file=sys.stderr, flush=True)
                samples[name].append(case())
                print(f"{samples[name][-1].seconds:.2f} s", file=sys.stderr)
    return Results(samples)
