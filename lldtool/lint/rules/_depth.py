"""How the lr_scale rises from block to block, and which option says how deep the backbone is."""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from lldtool.config.edit import PARAMWISE_CFG, Edit
from lldtool.lint.rules._blocks import Backbone
from lldtool.lint.rules.base import Subject
from lldtool.plan import Parameter

#: Reasons of an lr that say in so many words what it is to be.
_ASKED_FOR = ("custom_key", "bias_lr_mult", "dcn_offset_lr_mult")
#: What constructors call the option that says how many blocks there are.
_DEPTH_OPTION = re.compile(r"(\w+_)?(num|n)?_?(layers?|blocks?|depth)")
#: Scales are powers of one rate, up to the rounding of floats.
_TOLERANCE = 1e-6


def has_lr_asked_for(p: Parameter) -> bool:
    """Whether a custom key or an option of its own gives the parameter its lr."""
    return p.reason.lr.rule in _ASKED_FOR


@dataclass(frozen=True)
class Ladder:
    """The lr_scales of a backbone's blocks, each a power of `rate`, the smallest first.

    `rate` is below 1: what a layer has of the lr of the next one.
    """

    backbone: Backbone
    rate: float
    scales: tuple[float, ...]

    def steps(self, low: float, high: float) -> int | None:
        """How many layers lie between two scales; None where that is no whole number."""
        steps = math.log(high / low) / -math.log(self.rate)
        return round(steps) if abs(steps - round(steps)) < 1e-3 else None

    def members(self, scale: float) -> list[Parameter]:
        """The parameters of the blocks with this scale."""
        return [
            p
            for p in self.backbone.in_blocks
            if p.lr_scale is not None and math.isclose(p.lr_scale, scale, rel_tol=_TOLERANCE)
        ]

    @cached_property
    def blocks(self) -> int | None:
        """How many blocks there are, or layers that hold several; None where they are in stages.

        A constructor that goes by stages may count more. Where there are none, the first and the
        last block have the same shapes.
        """
        places: dict[tuple[str, int], dict[str, tuple[int, ...]]] = defaultdict(dict)
        for p in self.backbone.in_blocks:
            place = self.backbone.block(p.name)
            # What comes after the blocks, as a neck does, may have numbers too.
            if place is not None and p.lr_scale != 1 and not has_lr_asked_for(p):
                places[place][p.name.partition(f".{place[1]}.")[2]] = p.shape
        numbers = [number for _, number in places]
        layers = (self.steps(self.scales[0], self.scales[-1]) or 0) + 1
        if len({sequence for sequence, _ in places}) != 1:
            return None
        first, last = places[min(places)], places[max(places)]
        if any(last.get(name, shape) != shape for name, shape in first.items()):
            return None
        # One layer each; the first blocks may be frozen.
        return max(numbers) + 1 if len(places) == layers else layers


def ladder(backbone: Backbone) -> Ladder | None:
    """The lr_scales of the blocks that layer decay gave them; None where they are not of its kind.

    That is where they are no powers of one rate, or fall from the first block to the last.
    """
    members = [
        (p, p.lr_scale) for p in backbone.in_blocks if p.lr_scale and not has_lr_asked_for(p)
    ]
    scales = _distinct(scale for _, scale in members if 0 < scale < math.inf)
    if len(scales) < 2 or members[0][1] > members[-1][1]:
        return None
    ratios = [low / high for low, high in itertools.pairwise(scales)]
    found = Ladder(backbone, max(ratios), tuple(scales))
    if any(found.steps(low, high) is None for low, high in itertools.pairwise(scales)):
        return None
    return found


def _distinct(scales: Iterable[float]) -> list[float]:
    """The scales in order, those that differ by rounding only taken as one."""
    found: list[float] = []
    for scale in sorted(scales):
        if not found or not math.isclose(found[-1], scale, rel_tol=_TOLERANCE):
            found.append(scale)
    return found


@dataclass(frozen=True)
class DepthOption:
    """The option that says how deep the backbone is, and edits of it that may be right."""

    at: tuple[str, ...]
    says: str
    ways: list[list[Edit]]


def depth_option(subject: Subject, blocks: int, steps: int) -> DepthOption | None:
    """The option that told the constructor another depth than the model has.

    It is known by its value; or it is one that the config leaves at its default.

    Args:
        subject: of the config.
        blocks: how many blocks the model has.
        steps: by how many layers the last block is below the base lr; it should be one.
    """
    told = blocks + steps - 1
    options = {
        name: value
        for name, value in subject.paramwise_cfg.items()
        if type(value) is int and value > 0 and abs(value - told) <= 2
    }
    if options:
        name = min(options, key=lambda name: abs(options[name] - told))
        right = options[name] - steps + 1
        # A constructor may count what comes between the last block and the head.
        right = blocks if blocks == right + 1 else right
        at = (*PARAMWISE_CFG, name)
        return DepthOption(at, f"{name} is {options[name]}", [[Edit(at, right)]])
    for name in subject.plan.constructor.reads or ():
        if _DEPTH_OPTION.fullmatch(name) and name not in subject.paramwise_cfg:
            way = [Edit((*PARAMWISE_CFG, name), blocks)]
            return DepthOption(PARAMWISE_CFG, f"{name} is {told} by default", [way])
    return None
