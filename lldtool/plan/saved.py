"""Plan <-> JSON, of which a saved plan is made. Floats read back bit for bit."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lldtool.errors import LldtoolError
from lldtool.files import read_bytes
from lldtool.plan.plans import SCHEMA_VERSION, Layer, Plan
from lldtool.text import NOT_IN_JSON, strict_json

#: The fields of a plan that are numbers or lists of them, and those that hold any value.
_NUMBERS = frozenset(
    {"lr", "lr_scale", "weight_decay", "mult", "would_give", "auto_scale_lr", "value", "factors"}
)
_ANY_VALUES = frozenset(
    {"paramwise_cfg", "options", "extras", "param_scheduler", "schedulers", "ema"}
)


def plan_to_json(plan: Plan) -> str:
    """Return a plan as JSON, with a line for each parameter so that diffs of it read well.

    Floats are written as Python's `repr` writes them. The text is ASCII, which no terminal or pipe
    spoils.
    """
    return dump_by_line(plan_content(plan))


def plan_content(plan: Plan) -> dict[str, Any]:
    """Return the entries of a plan's JSON."""
    content = {"schema_version": plan.schema_version, **plan_header(plan)}
    content |= {"schedule": plan.schedule, "layers": [_layer_row(layer) for layer in plan.layers]}
    lists = ("parameters", "frozen", "left_out", "buffers", "loaded", "notes", "legacy_options")
    return content | {key: getattr(plan, key) for key in lists}


def plan_header(plan: Plan) -> dict[str, Any]:
    """Return the part of a plan's JSON that is about the config as a whole."""
    keys = ("config", "lldtool_version", "versions", "model", "optim_wrapper", "optimizer")
    others = ("constructor", "param_scheduler", "auto_scale_lr")
    step = {} if plan.step is None else {"step": plan.step}
    return {key: getattr(plan, key) for key in (*keys, *others)} | step


def _layer_row(layer: Layer) -> dict[str, Any]:
    """Return a layer for scripts; `plan_from_json` makes the layers from the parameters."""
    decays = {p.weight_decay for p in layer.parameters if p.weight_decay is not None}
    keys = ("num_tensors", "num_trained", "numel")
    return {
        **{key: getattr(layer, key) for key in ("layer_id", "optimizer", "lr", "lr_scale")},
        "weight_decays": sorted(decays),
        **{key: getattr(layer, key) for key in keys},
    }


def dump_by_line(content: Mapping[str, Any]) -> str:
    """Return JSON with a line for each entry, and for each item of a list."""
    import msgspec

    lines = []
    for key, value in msgspec.to_builtins(content).items():
        if isinstance(value, (list, tuple)) and value:
            items = ",\n".join(f"  {strict_json(item)}" for item in value)
            lines.append(f"{strict_json(key)}: [\n{items}\n ]")
        else:
            lines.append(f"{strict_json(key)}: {strict_json(value)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def load_plan(path: str | Path) -> Plan:
    """Read a plan that `lldtool inspect --format json` saved.

    Raises:
        LldtoolError: the file can't be read or is no plan.
    """
    try:
        text = read_bytes(Path(path))
    except OSError as error:
        reason = error.strerror or error
        raise LldtoolError(f"can't read the plan: {reason}", config=str(path)) from error
    return plan_from_json(text, source=str(path))


def plan_from_json(text: str | bytes, *, source: str = "plan") -> Plan:
    """Read what `plan_to_json` wrote.

    Args:
        text: the JSON, as a string or in UTF-8.
        source: where it is from, for the error.

    Raises:
        LldtoolError: it is no JSON, no plan, or from a newer lldtool.
    """
    import msgspec

    try:
        content = _entries(text)
        version = content["schema_version"]
        if not isinstance(version, int) or version < 1:
            raise ValueError(f"schema_version is {version!r}")
        if version <= SCHEMA_VERSION:
            return msgspec.convert(content, Plan)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise LldtoolError(f"not a saved plan: {error}", config=source) from error
    raise LldtoolError(
        f"a plan of schema_version {version}; this lldtool reads up to {SCHEMA_VERSION}",
        config=source,
        hint="pip install --upgrade lldtool",
    )


def is_plan(text: str | bytes) -> bool:
    """Whether JSON is a saved plan, rather than an mmengine config in JSON or no JSON at all."""
    try:
        return bool(_entries(text))
    except (ValueError, RecursionError):
        return False


def _entries(text: str | bytes) -> dict[str, Any]:
    """Return the entries of a saved plan, `schema_version` and whatever others.

    Raises:
        ValueError: the text is no JSON, or has no schema_version.
        RecursionError: it is nested too deeply.
    """
    import msgspec

    text = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    content = None
    if not any(name.encode() in text for name in NOT_IN_JSON):
        # Five times as fast as the standard library, but stricter: no NaN, no number above 1e308.
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            content = msgspec.json.decode(text)
    if content is None:
        constant = NOT_IN_JSON.__getitem__
        content = json.loads(text, parse_constant=constant, object_hook=_with_numbers)
    if not isinstance(content, dict) or "schema_version" not in content:
        raise ValueError("no schema_version")
    return content


def _with_numbers(entries: dict[str, Any]) -> dict[str, Any]:
    """Replace the strings that `strict_json` writes for numbers by those numbers."""
    for key, value in entries.items():
        if key in _ANY_VALUES or (key in _NUMBERS and not isinstance(value, dict)):
            entries[key] = _number(value)
    return entries


def _number(content: Any) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(content, dict):
        return {key: _number(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_number(item) for item in content]
    return NOT_IN_JSON.get(content, content) if isinstance(content, str) else content
