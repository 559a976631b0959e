"""The options that commands share, with one wording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from lldtool.analysis.lr_curves import Length
from lldtool.cli.output import Color
from lldtool.config import locate
from lldtool.config.request import Request

ConfigArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="A config file, mmpretrain::path/of/config.py or saved plan.json; also x.py@REVISION.",
        show_default=False,
    ),
]
CfgOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--cfg-options",
        metavar="KEY=VALUE",
        help="Override a config entry, in mmengine's syntax. Repeatable.",
        show_default=False,
    ),
]
Match = Annotated[
    str | None,
    typer.Option(
        "--match", metavar="GLOB", show_default=False,
        help="Only parameters whose name matches; type:GLOB for the class of their module.",
    ),
]  # fmt: skip
EpochLength = Annotated[
    int | None,
    typer.Option(
        "--epoch-length", metavar="N", min=1, show_default=False, help="Iterations an epoch."
    ),
]
DatasetSize = Annotated[
    int | None,
    typer.Option(
        "--dataset-size", metavar="N", min=1, show_default=False,
        help="Samples an epoch; with the config's batch size and --world-size.",
    ),
]  # fmt: skip
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs", metavar="N", min=1, show_default=False, help="Instead of train_cfg's."
    ),
]
Settings = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", show_default=False,
        help="The settings of check to use; else the nearest lldtool.toml or pyproject.toml.",
    ),
]  # fmt: skip
Device = Annotated[str, typer.Option(metavar="cpu|cuda|cuda:N", help="Where the model is built.")]
AutoScaleLr = Annotated[
    bool,
    typer.Option("--auto-scale-lr", help="Scale every lr as the runner does with auto_scale_lr."),
]
WorldSize = Annotated[
    int | None,
    typer.Option(
        "--world-size", metavar="N", min=1, show_default=False,
        help="The number of GPUs: the whole batch is as many of the config's.",
    ),
]  # fmt: skip
AllowNetwork = Annotated[
    bool,
    typer.Option("--allow-network", help="Let the model download while it is built."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file.", show_default=False),
]
PlotFile = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE", show_default=False,
        help="Draw a picture as well: FILE.png, .svg or .pdf.",
    ),
]  # fmt: skip
Dark = Annotated[bool, typer.Option("--dark", help="Draw it light on dark.")]
ColorOption = Annotated[Color, typer.Option("--color", help="When to use colour.")]
Traceback = Annotated[
    bool, typer.Option("--traceback", help="After an error, show where it came from.")
]


def length(epoch_length: int | None, dataset_size: int | None, epochs: int | None) -> Length:
    """How long the training is, as the options say.

    Raises:
        BadParameter: they say it twice.
    """
    if epoch_length is not None and dataset_size is not None:
        raise typer.BadParameter("--epoch-length and --dataset-size exclude each other")
    return Length(epoch_length, dataset_size, epochs)


def requests(
    cfg_options: Sequence[str] | None,
    device: str,
    auto_scale_lr: bool,
    world_size: int | None,
    allow_network: bool,
) -> Callable[[str], Request]:
    """CONFIG -> what the options that all commands share ask for."""

    def request(config: str) -> Request:
        found = locate(config)
        return Request(
            path=found.path,
            name=config,
            checkout=found.checkout,
            cfg_options=tuple(cfg_options or ()),
            device=device,
            auto_scale_lr=auto_scale_lr,
            world_size=world_size,
            allow_network=allow_network,
            own_process=True,
        )

    return request
