"""A progress bar on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
#: Seconds until the bar appears.
_PATIENCE = 1.0


@dataclass(frozen=True)
class Bar:
    """Passes items through, with a bar if that takes longer than a second on a terminal.

    It can be pickled.
    """

    title: str

    def __call__(self, items: Iterable[Item], total: int) -> Generator[Item, None, None]:
        """Yield the same items."""
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
