"""LLD602 backbone-partly-loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lldtool.lint.rules._blocks import Backbone, backbone_names
from lldtool.lint.rules._starts import entry_of, from_scratch, inside, meant_for
from lldtool.lint.rules.base import Diagnostic, Rule, Subject
from lldtool.lint.rules.examples import RECIPE, Example
from lldtool.plan import Parameter
from lldtool.text import quoted, shortened


class BackbonePartlyLoaded(Rule):
    r"""A checkpoint gives values to some blocks of the backbone, and none to others.

    The others start from their initialisation between pretrained blocks. The model is deeper than
    that of the checkpoint, or the file is not complete.

    Single tensors that the file does not have are no finding: a final norm or a token is often new.
    """

    passes = (Example(RECIPE, weights={}),)
    finds = (Example(RECIPE, weights={r"^backbone\.layers\.1[01]\..*": ""}),)

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each backbone with blocks that are not loaded beside others."""
        plan = subject.plan
        for module in backbone_names(plan):
            loaded = meant_for(plan, module)
            own = [p for p in inside(plan, module) if p.start is not None]
            if loaded is None or all(map(from_scratch, own)):
                continue
            places = Backbone(module, tuple(p for p in own if isinstance(p, Parameter)))
            blocks = defaultdict(list)
            for p in own:
                if place := places.block(p.name):
                    blocks[place].append(p)
            new = {
                place: members
                for place, members in blocks.items()
                if all(map(from_scratch, members))
            }
            if new and len(new) < len(blocks):
                names = shortened([f"{sequence}.{number}" for sequence, number in new], 4)
                yield self.diagnostic(
                    f"{len(new)} of {len(blocks)} blocks of {module or 'the model'} are not "
                    f"loaded from {quoted(loaded.checkpoint)}: {', '.join(names)}",
                    entry_of(loaded),
                    [p for members in new.values() for p in members],
                )
