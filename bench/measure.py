"""Things to time -> figures: each thing once a round, in turn, so that a drift is everyone's.

Needs Linux, for the memory.
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
    """Seconds, and the peak resident MB of a process where one was measured."""

    seconds: float
    peak: float | None = None


Thing = Callable[[], Sample]


@dataclass(frozen=True)
class Process:
    """A command line to run from start to end, and the exit codes that say it did its work."""

    command: Sequence[str]
    codes: Sequence[int] = (0,)

    def __call__(self) -> Sample:
        """Run it."""
        timed = [sys.executable, "-S", Path(__file__).with_name("timed.py"), *self.command]
        code, seconds, peak = subprocess.check_output(timed, text=True).split()
        if int(code) not in self.codes:
            raise SystemExit(f"exit code {code}: {' '.join(self.command)}")
        return Sample(float(seconds), float(peak))


def lldtool(*arguments, codes=(0,)):
    """A process of lldtool's."""
    return Process([sys.executable, "-m", "lldtool", *map(str, arguments)], codes)


IMPORT_TORCH = Process([sys.executable, "-c", "import torch"])


@dataclass(frozen=True)
class Figures:
    """Name -> its sample of each round. The first name is what the others are compared with."""

    samples: Mapping[str, Sequence[Sample]]

    @property
    def base(self) -> str:
        """The name that the others are compared with."""
        return next(iter(self.samples))

    def seconds(self, name):
        """The median."""
        return statistics.median(sample.seconds for sample in self.samples[name])

    def spread(self, name):
        """The least and the most seconds."""
        found = [sample.seconds for sample in self.samples[name]]
        return min(found), max(found)

    def ratio(self, name, base=None):
        """The median over the rounds of one thing's seconds over another's in the same round."""
        pairs = zip(self.samples[name], self.samples[base or self.base], strict=True)
        return statistics.median(one.seconds / other.seconds for one, other in pairs)

    def peak(self, name):
        """The most MB, or None."""
        return max((s.peak for s in self.samples[name] if s.peak is not None), default=None)


@dataclass(frozen=True)
class Part:
    """A question, what to time to answer it, and the answer in a sentence.

    `things` is a context in which there are the things by their names; `rounds` how often each is
    timed where nothing else is asked for; a slow part is not for a quick look.
    """

    name: str
    question: str
    things: Callable[[], AbstractContextManager[Mapping[str, Thing]]]
    answer: Callable[[Figures], str]
    rounds: int = 5
    is_slow: bool = False


def measured(part, rounds):
    """The figures of a part; which thing of which round runs is said on stderr."""
    with part.things() as things:
        samples = {name: [] for name in things}
        for number in range(1, rounds + 1):
            for name, thing in things.items():
                print(f"{part.name} {number}/{rounds}  {name} …", end=" ", file=sys.stderr)
                sys.stderr.flush()
                samples[name].append(thing())
                print(f"{samples[name][-1].seconds:.2f} s", file=sys.stderr)
    return Figures(samples)
