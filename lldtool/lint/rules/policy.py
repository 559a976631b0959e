"""LLD106 policy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lldtool.config.selectors import matching_pattern
from lldtool.lint.rules._decay import cause, ways_by_key
from lldtool.lint.rules._parameters import grouped_by
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject, count
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, Example, keys
from lldtool.plan import Parameter


class PolicyBroken(Rule):
    """A parameter breaks the `no-decay` or `must-decay` list of the settings.

    The lists are yours, in `[tool.lldtool]`: globs of parameter names, or `type:` and a glob of
    module classes. What `no-decay` names must get no weight decay, what `must-decay` names must
    get it. LLD101 to LLD105 report nothing for a name in `may-decay`.

    Fix the config, or the list.
    """

    severity = Severity.error
    passes = (
        Example(RECIPE),
        Example(
            RECIPE,
            settings="""\
no-decay = ["*.pos_embed", "type:LayerNorm"]
must-decay = ["*.ffn.*.weight"]
""",
        ),
    )
    finds = (
        Example(
            LAYER_DECAY,
            {"norm_decay_mult": 0.0, "flat_decay_mult": 0.0},
            settings='no-decay = ["*.pos_embed", "type:LayerNorm"]\n',
        ),
        Example(
            LAYER_DECAY,
            {"flat_decay_mult": 0.0, **keys("head", decay_mult=0.0)},
            settings='must-decay = ["head.fc.weight"]\n',
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each pattern that is broken, and each cause."""
        for patterns, is_decayed, words in (
            (subject.no_decay, True, "weight decay, but no-decay names"),
            (subject.must_decay, False, "no weight decay, but must-decay names"),
        ):
            broken = [
                (pattern, p)
                for p in subject.parameters
                if bool(p.weight_decay) is is_decayed and (pattern := matching_pattern(patterns, p))
            ]
            for (pattern, *at), pairs in grouped_by(broken, _pattern_and_cause).items():
                found = [p for _, p in pairs]
                message = f"{count(found, 'tensor gets', 'tensors get')} {words} {pattern!r}"
                mult = 1.0 - is_decayed
                ways = partial(ways_by_key, subject, found, tuple(at), decay_mult=mult)
                yield self.diagnostic(message, tuple(at), found, ways, of_decay=True)


def _pattern_and_cause(pair: tuple[str, Parameter]) -> tuple[str, ...]:
    pattern, parameter = pair
    return (pattern, *cause(parameter))
