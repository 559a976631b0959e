"""Numbers and names as a person reads them; names come from a config and may hold anything."""

from __future__ import annotations

import json
import keyword
import math
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

#: The numbers that JSON lacks, by the strings that stand for them there.
NOT_IN_JSON = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
#: What a terminal without UTF-8 gets in the place of these.
_ASCII = str.maketrans(
    {"×": "x", "·": "|", "…": ".", "–": "-", "█": "#", "÷": "/", "→": "->", "−": "-"}
)
_ASCII |= str.maketrans(dict(zip("▁▂▃▄▅▆▇↑↓", "_.-=+*%^v", strict=True)))
_ASCII |= str.maketrans({c: "#" if i > 3 else " " for i, c in enumerate("▏▎▍▌▋▊▉")})
#: The most characters of a config's dict or list that is written in one line.
_WIDTH = 60


def strict_json(content: object, *, indent: int | None = None) -> str:
    """JSON that every reader takes: NaN and the infinities are the strings of `NOT_IN_JSON`."""
    encode = json.JSONEncoder(allow_nan=False, indent=indent).encode
    try:
        return encode(content)
    except ValueError:  # there is such a number
        return encode(_in_json(content))


def _in_json(content: object) -> object:
    if isinstance(content, float) and not math.isfinite(content):
        return "NaN" if math.isnan(content) else "Infinity" if content > 0 else "-Infinity"
    if isinstance(content, Mapping):
        return {
            _in_json(key) if isinstance(key, float) else key: _in_json(value)
            for key, value in content.items()
        }
    return [_in_json(x) for x in content] if isinstance(content, (list, tuple)) else content


def printable(text: str) -> str:
    """Text with control and direction-changing characters written as escapes: `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_plain(c) else c.encode("unicode_escape").decode() for c in text)


def _is_plain(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def to_encoding(text: str, encoding: str) -> str:
    """Text that this encoding can hold: ASCII signs in the place of those it lacks."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_ASCII)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def count(number: int) -> str:
    """Three digits and a unit: 640 -> `640`, 7087872 -> `7.09 M`."""
    value, units = _float(number), ["", " k", " M", " G", " T"]
    while round(value, 1) >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    if not units[0]:
        return str(number)
    return f"{value:.{max(0, 3 - len(f'{value:.0f}'))}f}{units[0]}"


def lr(value: float | None, digits: int = 3) -> str:
    """So many significant digits: 7.39e-6; `–` for none."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return mantissa + (f"e{int(exponent)}" if exponent and int(exponent) else "")


def _float(number: float) -> float:
    """The number, infinite where JSON or a config has an integer that no float holds."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def setting(value: float | None, digits: int = 6) -> str:
    """A number as a config has it: 0.05, 1e-8; `–` for none."""
    if value is None:
        return "–"
    text = f"{_float(value) + 0.0:.{digits}g}"  # + 0.0 makes 0 of -0
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text


def significant(value: float | None, digits: int = 3) -> str:
    """So many significant digits, zeros at the end too: 0.180, 10.5, 2.00; `–` for none."""
    if value is None:
        return "–"
    mantissa, e, exponent = f"{value + 0.0:#.{digits}g}".partition("e")
    return f"{mantissa.removesuffix('.')}e{int(exponent)}" if e else mantissa.removesuffix(".")


def shape(sizes: Iterable[int]) -> str:
    """`768×3×16×16`; `scalar` for a tensor without dimensions."""
    return "×".join(str(size) for size in sizes) or "scalar"


def plural(number: int, noun: str) -> str:
    """`1 tensor`, `4 tensors`, `2 entries`."""
    if number != 1:
        noun = noun.removesuffix("y") + "ies" if noun.endswith("ry") else f"{noun}s"
    return f"{number:,} {noun}"


def shortened(items: Sequence[str], most: int) -> list[str]:
    """The first of them, and how many more there are."""
    more = [f"{len(items) - most} more"] if len(items) > most else []
    return [*items[:most], *more]


def layer_name(layer_id: float | str | None) -> str:
    """A layer as its constructor calls it."""
    return "–" if layer_id is None else printable(str(layer_id))


def ranges(layer_ids: Iterable[float | str], joint: str = "–") -> str:
    """`0–4, 7`: numbers in order, neighbours as a range; two of them, `1, 2`, are none. Then names.

    Only whole numbers are neighbours.
    """
    found = dict.fromkeys(layer_ids)
    runs: list[list[float]] = []
    for number in sorted(x for x in found if not isinstance(x, str)):
        if runs and isinstance(number, int) and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = (
        [f"{run[0]}{joint}{run[-1]}"] if len(run) > 2 else [str(number) for number in run]
        for run in runs
    )
    names = (printable(x) for x in found if isinstance(x, str))
    return ", ".join([*(part for some in parts for part in some), *names])


def value(content: object) -> str:
    """A value of a config in one line: numbers short, strings bare."""
    if isinstance(content, bool) or content is None:
        return str(content)
    if isinstance(content, (int, float)):
        return setting(content)
    if isinstance(content, str):
        return printable(content)
    return printable(json.dumps(content, ensure_ascii=False))


def quoted(content: object) -> str:
    """A value of a config in an error: numbers short, anything else as Python writes it."""
    return setting(content) if isinstance(content, (int, float)) else repr(content)


def literal(value: object) -> str:
    """A value as OpenMMLab's configs write it, over several lines where it is long."""
    if isinstance(value, Mapping):
        is_call = all(map(is_name, value))
        opening, closing = ("dict(", ")") if is_call else ("{", "}")
        keys = [f"{key}=" if is_call else f"{key!r}: " for key in value]
        items = [key + literal(item) for key, item in zip(keys, value.values(), strict=True)]
    elif isinstance(value, list):
        opening, closing = "[", "]"
        items = [literal(item) for item in value]
    elif isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    else:
        return repr(value)
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) <= _WIDTH:
        return line
    inside = "".join(f"{item},\n" for item in items)
    return f"{opening}\n{textwrap.indent(inside, '    ')}{closing}"


def is_name(key: object) -> bool:
    """Whether a key can be written as a keyword argument."""
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)
