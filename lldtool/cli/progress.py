"""How far long work is, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
#: Work that takes no longer than this, in seconds, needs no bar.
_PATIENCE = 1.0


@dataclass(frozen=True)
class Bar:
    """Passes items through, with a bar of this title once that takes longer than a second.

    Only where stderr is a terminal. Another process may be given it.
    """

    title: str

    def __call__(self, items: Iterable[Item], total: int) -> Generator[Item, None, None]:
        """The same items, of which there are so many."""
        items, began = iter(items), time.monotonic()
        if sys.stderr is None or not sys.stderr.isatty():
            yield from items
            return
        for number, item in enumerate(items, 1):
            yield item
            if time.monotonic() - began > _PATIENCE:
                yield from _shown(self.title, items, number, total)


def _shown(title: str, items: Iterator[Item], done: int, total: int) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, completed=done, description=title)
