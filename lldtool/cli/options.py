"""The options that several commands share, each declared once, and the groups of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import OptionInfo

from lldtool.cli.streams import Color, check_writable, emit, use_color, width, write_whole
from lldtool.config import locate
from lldtool.config.request import Curves, Length, Request
from lldtool.config.settings_files import settings_files
from lldtool.errors import LldtoolError
from lldtool.output.formats import WRITERS

if TYPE_CHECKING:
    from lldtool.output.document import Document

#: Options and arguments whose help has no `[default: …]`.
option = partial(typer.Option, show_default=False)
argument = partial(typer.Argument, show_default=False)

# fmt: off
ConfigArgument = Annotated[str, argument(
    metavar="CONFIG",
    help="Config file, mmpretrain::path/to/config.py, saved plan.json, checkpoint.pth, or "
    "FILE@REVISION.",
)]
ConfigArguments = Annotated[list[str], argument(
    metavar="CONFIG",
    help="Config files, mmpretrain::path/to/config.py, saved plans, checkpoints, or FILE@REVISION.",
)]
Match = Annotated[str | None, option(
    "--match", metavar="GLOB",
    help="Only include parameters with a matching name, or module class with type:GLOB.",
)]
SettingsFile = Annotated[Path | None, option(
    "--config", metavar="FILE",
    help="Settings file. Default: the nearest lldtool.toml or pyproject.toml.",
)]
OutputFile = Annotated[Path | None, option(
    "--output", "-o", metavar="FILE", help="Write the result to FILE instead of stdout.",
)]
ColorOption = Annotated[Color, typer.Option("--color", help="When to use colour.")]
# fmt: on


def format_option(*own: str) -> OptionInfo:
    """Return `--format`, with a command's own formats and those of every document."""
    formats = [*own, *WRITERS]

    def known(value: str) -> str:
        if value not in formats:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, formats))}.")
        return value

    option: OptionInfo = typer.Option(
        "--format",
        metavar=f"<{'|'.join(formats)}>",
        callback=known,
        autocompletion=lambda: formats,
        help="Output format.",
    )
    return option


@dataclass(frozen=True)
class DryRunOptions:
    """How a config is dry-run."""

    # fmt: off
    cfg_options: Annotated[list[str] | None, option(
        "--cfg-options", metavar="KEY=VALUE",
        help="Override a config entry, in mmengine's syntax. Repeatable.",
    )] = None
    device: Annotated[
        str, typer.Option(metavar="cpu|cuda|cuda:N", help="Device to build the model on.")
    ] = "cpu"
    auto_scale_lr: Annotated[bool, option(
        "--auto-scale-lr", help="Scale the lr to the batch size, as mmengine's runner does.",
    )] = False
    world_size: Annotated[int | None, option(
        "--world-size", metavar="N", min=1,
        help="Number of GPUs; the total batch size is this times the config's batch size.",
    )] = None
    load_from: Annotated[str | None, option(
        "--load-from", metavar="CHECKPOINT",
        help="Show what this checkpoint fills; replaces load_from of the config.",
    )] = None
    allow_network: Annotated[bool, option(
        "--allow-network", help="Allow downloads while the model is built.",
    )] = False
    traceback: Annotated[bool, option(
        "--traceback", help="Show the traceback of an error.",
    )] = False
    # fmt: on

    def request(
        self,
        config: str,
        length: Length | None = None,
        curves: Curves = "none",
        *,
        with_settings: bool = True,
    ) -> Request:
        """Return the request for a dry run of a config, in a training of some length.

        Args:
            config: as the user names it.
            length: of the training.
            curves: of the plan to step.
            with_settings: whether the nearest settings give the size of the data set. A command
                that checks the config leaves that to its policy.

        Raises:
            LldtoolError: there is no such config, or a mistake in the settings.
        """
        found = locate(config)
        request = Request(
            path=found.path,
            name=config,
            checkout=found.checkout,
            cfg_options=tuple(self.cfg_options or ()),
            device=self.device,
            auto_scale_lr=self.auto_scale_lr,
            world_size=self.world_size,
            load_from=self._checkpoint(),
            length=length or Length(),
            curves=curves,
            allow_network=self.allow_network,
            own_process=True,
        )
        return _with_dataset_size(request) if with_settings else request

    def _checkpoint(self) -> str | None:
        """Return `--load-from`.

        Raises:
            LldtoolError: the file does not exist.
        """
        if self.load_from is not None and not Path(self.load_from).expanduser().is_file():
            raise LldtoolError(f"--load-from {self.load_from}: no such file")
        return self.load_from


def _with_dataset_size(request: Request) -> Request:
    """Return the request with the size of the data set that the settings give.

    Raises:
        LldtoolError: there is a mistake in the settings.
    """
    if not any(map(_mentions_dataset_size, settings_files(Path.cwd()))):
        return request
    from lldtool.lint.policy import load_policy

    return load_policy(Path.cwd()).with_dataset_size(request)


def _mentions_dataset_size(file: Path) -> bool:
    """Whether a file has the name of the setting: quicker to tell than what it is set to."""
    with contextlib.suppress(OSError):
        return file.is_file() and b"dataset-size" in file.read_bytes()
    return False


@dataclass(frozen=True)
class OutputOptions:
    """Where the result goes, and whether it is coloured."""

    output: OutputFile = None
    color: ColorOption = Color.auto

    @property
    def is_colored(self) -> bool:
        """Whether to use colour."""
        return use_color(self.color, self.output)

    def check(self, *input_files: Path) -> None:
        """Raise an LldtoolError if the result can't be written, or would replace an input."""
        check_writable(self.output, *input_files)

    def laid_out(self, document: Document, form: str) -> str:
        """Return a document as a `table` or `text` for the terminal, or as `markdown`."""
        from lldtool.output.formats import written

        return written(document, form, width=width(), color=self.is_colored)

    def emit(self, text: str) -> None:
        """Write the result."""
        emit(text, self.output)


@dataclass(frozen=True)
class PlotOptions:
    """The plot that is saved beside the result, if any."""

    # fmt: off
    plot: Annotated[Path | None, option(
        "--plot", metavar="FILE", help="Also save a plot to FILE (.png, .svg or .pdf).",
    )] = None
    dark: Annotated[bool, option("--dark", help="Use a dark background for the plot.")] = False
    # fmt: on

    def check(self, output: Path | None, *input_files: Path) -> None:
        """Raise an LldtoolError if the plot can't be written, or would replace another file."""
        if self.plot is None:
            if self.dark:
                raise LldtoolError("--dark needs --plot FILE")
            return
        if self.plot.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise LldtoolError(f"--plot {self.plot}: the name must end in .png, .svg or .pdf")
        check_writable(self.plot, *input_files, option="--plot")
        if output is not None and output.resolve() == self.plot.resolve():
            raise LldtoolError("--output and --plot name the same file")

    def save(self, picture: Callable[..., bytes], *content: object) -> None:
        """Save what a function draws of this content in the file's format."""
        if self.plot is not None:
            form = self.plot.suffix.lower().removeprefix(".")
            write_whole(self.plot, picture(*content, form, dark=self.dark), option="--plot")


@dataclass(frozen=True)
class LengthOptions:
    """How long the training is."""

    # fmt: off
    epoch_length: Annotated[int | None, option(
        "--epoch-length", metavar="N", min=1, help="Iterations per epoch.",
    )] = None
    dataset_size: Annotated[int | None, option(
        "--dataset-size", metavar="N", min=1,
        help="Samples per epoch; sets the iterations per epoch from the total batch size.",
    )] = None
    epochs: Annotated[int | None, option(
        "--epochs", metavar="N", min=1, help="Number of epochs. Default: as in train_cfg.",
    )] = None
    # fmt: on

    @property
    def length(self) -> Length:
        """The length of the training.

        Raises:
            BadParameter: `--epoch-length` and `--dataset-size` are both given.
        """
        if self.epoch_length is not None and self.dataset_size is not None:
            raise typer.BadParameter("--epoch-length and --dataset-size exclude each other")
        return Length(self.epoch_length, self.dataset_size, self.epochs)
