"""What a dry run is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lldtool.errors import LldtoolError
from lldtool.plan import Step

#: Of which param groups the curves of the schedule are wanted.
Curves = Literal["none", "main", "all"]
#: Where the number of samples in an epoch may be from.
ON_COMMAND_LINE, IN_SETTINGS = "--dataset-size", "[tool.lldtool.dataset-size]"
#: Before the first step of a training.
START = Step(0, 0)
#: Where the length of an epoch may be from.
EPOCH_LENGTH_OPTION, IN_CHECKPOINT = "--epoch-length", "the checkpoint"


@dataclass(frozen=True)
class Checkout:
    """The tree of a git revision: the repository's own directory, and the one with the tree."""

    top: Path
    tree: Path


@dataclass(frozen=True)
class Length:
    """The length of the training, as far as the user gives it.

    `epoch_length` is in iterations, and `epoch_length_from` says where it is from. `dataset_size`
    is in samples, which the config's batch size and the number of GPUs turn into iterations;
    `dataset_size_from` says where that is from. `epochs` overrides the config's `max_epochs`, and
    its `max_iters` by as many iterations.
    """

    epoch_length: int | None = None
    dataset_size: int | None = None
    epochs: int | None = None
    dataset_size_from: str = ON_COMMAND_LINE
    epoch_length_from: str = EPOCH_LENGTH_OPTION

    def in_checkpoint(self, epoch_length: int | None) -> Length:
        """Return the same length, with the epochs of a checkpoint where the user gives none."""
        if epoch_length is None or self.epoch_length is not None or self.dataset_size is not None:
            return self
        return replace(self, epoch_length=epoch_length, epoch_length_from=IN_CHECKPOINT)


@dataclass(frozen=True)
class Request:
    """One config and how to dry-run it.

    `cfg_options` are `KEY=VALUE` strings as on the command line, or dotted key -> value. `edits`
    come after them: `KEY=VALUE` strings with keys that may contain dots, and `DELETE` as a value.
    `checkout` is the tree that the config is in where it is one of a git revision: the working
    directory and its modules are then those of the revision.
    `world_size` is the number of GPUs; None where the user did not say. `length` is that of the
    training, as far as the user gives it. `curves` are those of the plan's schedule to step: of the
    param group with the highest lr, the `main` one, or of all. `own_process` says that
    nothing but dry runs happens in this process, so that stubs that save time may
    replace packages that a notebook or a test suite would miss. `initialised` says that the model
    is built with the values that its parameters have in training. `load_from` replaces the
    config's entry of that name; `resume` is a checkpoint that the training is resumed from in its
    place. `at` asks for the settings of the step that follows this one. `missing_modules` are
    replaced by stubs from the start.
    """

    path: Path
    name: str
    cfg_options: tuple[str, ...] | Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[str, ...] = ()
    checkout: Checkout | None = None
    device: str = "cpu"
    auto_scale_lr: bool = False
    world_size: int | None = None
    load_from: str | None = None
    at: Step | None = None
    resume: str | None = None
    length: Length = Length()
    curves: Curves = "none"
    allow_network: bool = False
    own_process: bool = False
    initialised: bool = False
    missing_modules: tuple[str, ...] = ()

    def edited(self, edits: Sequence[str]) -> Request:
        """The same config with these `KEY=VALUE` edits, which its name then says."""
        return replace(self, name=f"{self.name} with {' '.join(edits)}", edits=tuple(edits))

    def require_unchanged(self, kind: str) -> None:
        """Raise an LldtoolError if what it names is to be overridden, and is not a config.

        Args:
            kind: what it names.
        """
        options = (self.cfg_options, self.edits, self.load_from)
        if any((*options, self.auto_scale_lr, self.world_size)):
            raise LldtoolError(
                f"a {kind} can't be overridden or scaled",
                config=self.name,
                hint="name the config instead",
            )
