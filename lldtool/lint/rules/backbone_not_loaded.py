"""LLD601 backbone-not-loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lldtool.checkpoint.contents import NESTINGS
from lldtool.config.edit import Edit
from lldtool.lint.diagnostics import Fix
from lldtool.lint.rules._blocks import backbone_names
from lldtool.lint.rules._starts import Tensor, entry_of, from_scratch, inside, meant_for, prefixes
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject, count
from lldtool.lint.rules.examples import RECIPE, Example
from lldtool.plan import Loaded
from lldtool.text import quoted


class BackboneNotLoaded(Rule):
    """A checkpoint is loaded, and gives no value to any tensor of the backbone.

    Tensors are loaded by their names. mmengine logs those that do not match and trains on: the
    backbone starts from its initialisation. With layer-wise decay it then trains at a fraction of
    the lr. Mostly the names in the file begin with something else:

    - `load_from` needs the names of the whole model, `backbone.layers.0…`. Load the weights of a
      backbone alone by `model.backbone.init_cfg`.
    - `init_cfg` of the backbone needs its own names, `layers.0…`. For the checkpoint of a whole
      model it has the option `prefix='backbone.'`.
    - The weights are nested in the file, under `model` for instance: mmengine looks only for
      `state_dict`.

    lldtool suggests the `init_cfg` that loads the backbone, if it has tried it.
    """

    severity = Severity.error
    passes = (Example(RECIPE, weights={}),)
    finds = (
        Example(RECIPE, weights={r"^backbone\.": ""}),
        Example(RECIPE, weights={"^": "model."}),
        Example(
            RECIPE,
            weights={},
            config={
                "model.backbone.init_cfg": {
                    "type": "Pretrained",
                    "checkpoint": "checkpoint.pth",
                },
                "load_from": None,
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each backbone of which nothing is loaded."""
        plan = subject.plan
        for module in backbone_names(plan):
            own, loaded = inside(plan, module), meant_for(plan, module)
            if loaded is None or not own or not all(map(from_scratch, own)):
                continue
            names = [p.name.removeprefix(f"{module}." if module else "") for p in own]
            found = next(prefixes(loaded, names), None)
            yield self.diagnostic(
                f"no tensor of {module or 'the model'} is loaded from "
                f"{quoted(loaded.checkpoint)}: {_why(loaded, own, module, found)}",
                entry_of(loaded),
                own,
                [] if found is None else [_fix(loaded, module, found)],
            )


def _why(loaded: Loaded, own: Sequence[Tensor], module: str, prefix: str | None) -> str:
    """Return why the file does not fit, as far as its keys tell."""
    if prefix is None:
        reshaped = [p for p in own if p.start == "mismatched"]
        keys = loaded.unexpected
        if reshaped or not keys:
            return f"{count(reshaped, 'has', 'have')} another shape in it"
        if len(keys) == 1 and keys[0] in NESTINGS:
            return f"its weights are under {quoted(keys[0])}, where mmengine does not look"
        return f"its keys are like {quoted(keys[0])}"
    needed = "" if loaded.module or not module else f"{module}."
    if prefix:
        instead = f", not with {quoted(needed)}" if needed else ""
        return f"the names in it begin with {quoted(prefix)}{instead}"
    return f"the names in it have no prefix, and {loaded.by} needs {quoted(needed)}"


def _fix(loaded: Loaded, module: str, prefix: str) -> Fix:
    value = {"type": "Pretrained", "checkpoint": loaded.checkpoint}
    value |= {"prefix": prefix} if prefix else {}
    return Fix([Edit(("model", *filter(None, module.split(".")), "init_cfg"), value)])
