"""Plans with anything in them, for hypothesis."""

import math
from dataclasses import replace
from typing import get_args

from hypothesis import strategies as st

from lldtool.plan import (
    Buffer,
    Constructor,
    Loaded,
    Model,
    Optimizer,
    OptimWrapper,
    Parameter,
    Plan,
    Reason,
    Reasons,
    Start,
    State,
    UntrainedParameter,
)

HOSTILE = [
    "\x1b[2J\x1b[1;1H", "\x1b]0;title\x07", "\x9b31m", "\r", "\n", "\n\n", "\t", "\0", "\x7f", "\b",
    "\u2028", "\u202e", "\ud800", "\udcff", "\ufffe", "[bold]", "[/]", "[link=x]", ":smile:",
    "|", "`", "```\n", "~~~", "**", "__", "<script>", "<!--", "-->", "&amp;", "]]>", "<![CDATA[",
    "::error::", "\n::error::x", "##[error]", "%0A", "%", ",", ":", "](x)", "![x](y)", "- ", "1. ",
    "===", "---", "> ", "# ", "    ", "\\", "{0}", "嵌入", "é", "👩‍👩‍👧", "$x$", "'", '"', "/",
    "=1+1", "+", "-", "@SUM", "＝",
    "..", "/.mim/configs/",
]  # fmt: skip
#: Any text, and more often what readers of some format take for more than text.
anything = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec=None), max_size=4)), max_size=6
).map("".join)

# What a plan's JSON can hold: any text but lone surrogates, any float. One NaN, which is itself.
text = anything.map(lambda text: text.encode(errors="ignore").decode())
floats = st.floats(allow_nan=False) | st.just(math.nan)
optional_floats = st.none() | floats
shapes = st.lists(st.integers(0, 10_000), max_size=5).map(tuple)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
options = st.none() | st.dictionaries(text, json_values, max_size=3)
layer_ids = st.none() | st.integers(-1, 100) | st.floats(-2, 100) | text
reasons = st.builds(
    Reason, rule=text, key=st.none() | text, mult=optional_floats, beats=st.tuples(text)
)
parameters = st.builds(
    Parameter,
    name=text,
    shape=shapes,
    numel=st.integers(0, 10**12),
    dtype=text,
    module_type=text,
    layer_id=layer_ids,
    lr=optional_floats,
    lr_scale=optional_floats,
    weight_decay=optional_floats,
    group=st.integers(0, 1000),
    extras=st.dictionaries(text, json_values, max_size=3),
    reason=st.builds(Reasons, lr=reasons, weight_decay=reasons),
    state=st.sampled_from(get_args(State)),
    start=st.none() | st.sampled_from(get_args(Start)),
    checkpoint_shape=st.none() | shapes,
)
untrained = st.builds(
    UntrainedParameter,
    name=text,
    shape=shapes,
    numel=st.integers(0, 10**12),
    layer_id=layer_ids,
)
loaded = st.builds(
    Loaded,
    checkpoint=text,
    by=st.sampled_from(["load_from", "init_cfg"]),
    module=text,
    prefix=st.none() | text,
    unexpected=st.lists(text, max_size=4).map(tuple),
)
plans = st.builds(
    Plan,
    config=text,
    model=st.builds(
        Model, text, st.none() | text, st.integers(0, 10**12), st.none() | st.integers(0)
    ),
    optim_wrapper=st.builds(OptimWrapper, text, options),
    optimizer=st.builds(Optimizer, text, optional_floats, optional_floats, options),
    constructor=st.builds(Constructor, text, st.dictionaries(text, json_values, max_size=3)),
    parameters=st.lists(parameters, max_size=4).map(tuple),
    frozen=st.lists(untrained, max_size=2).map(tuple),
    left_out=st.lists(untrained, max_size=2).map(tuple),
    notes=st.lists(text, max_size=2).map(tuple),
    buffers=st.lists(st.builds(Buffer, text, shapes, st.integers(0), text), max_size=2).map(tuple),
    loaded=st.none() | st.lists(loaded, max_size=2).map(tuple),
    versions=st.dictionaries(text, st.none() | text, max_size=3),
    lldtool_version=text,
)


@st.composite
def named_plans(draw):
    """A plan in which every name is there once, from a few names so that two plans share some."""
    plan = draw(plans)
    names = draw(st.permutations([f"{m}.{i}" for m in ("backbone", "head") for i in range(5)]))
    members = draw(st.lists(parameters, max_size=6))
    kept = [replace(p, name=name) for p, name in zip(members, names, strict=False)]
    others = [UntrainedParameter(name, (1,), 1) for name in names[len(kept) : len(kept) + 3]]
    cut = draw(st.integers(0, len(others)))
    return replace(plan, parameters=tuple(kept), frozen=tuple(others[:cut]),
                   left_out=tuple(others[cut:]))  # fmt: skip
