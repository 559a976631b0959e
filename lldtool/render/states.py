"""The state of a parameter in words, and who set it."""

from __future__ import annotations

#: State, as a plan and a diff have it -> what a reader is shown.
_WORDS = {
    "frozen_by_train": "frozen by train()",
    "zero_lr": "lr 0",
    "left out": "not in the optimizer",
}


def state_word(state: str) -> str:
    """A state as a reader is shown it: `frozen by train()`."""
    return _WORDS.get(state, state)
