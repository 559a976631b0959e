"""Numbers and names as text to read; names come from a config and may hold any character."""

from __future__ import annotations

import json
import keyword
import math
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

#: The numbers that JSON lacks, by the strings that are written for them.
NOT_IN_JSON = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
#: The ASCII characters that replace others on a terminal without UTF-8.
_ASCII = str.maketrans(
    {"×": "x", "·": "|", "…": ".", "–": "-", "█": "#", "÷": "/", "→": "->", "−": "-"}
)
_ASCII |= str.maketrans(dict(zip("▁▂▃▄▅▆▇↑↓", "_.-=+*%^v", strict=True)))
_ASCII |= str.maketrans({c: "#" if i > 3 else " " for i, c in enumerate("▏▎▍▌▋▊▉")})
#: The most characters of a config's dict or list that is written in one line.
_WIDTH = 60


def strict_json(content: object, *, indent: int | None = None) -> str:
    """Return JSON that every reader accepts: NaN and infinity are strings of `NOT_IN_JSON`."""
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
    """Return text with control and direction-changing characters as escapes: `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_plain(c) else c.encode("unicode_escape").decode() for c in text)


def _is_plain(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def to_encoding(text: str, encoding: str) -> str:
    """Return text with the characters that an encoding lacks replaced by ASCII."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_ASCII)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def count(number: int) -> str:
    """Return three digits and a unit: 640 -> `640`, 7087872 -> `7.09 M`."""
    value, units = _float(number), ["", " k", " M", " G", " T"]
    while round(value, 1) >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    if not units[0]:
        return str(number)
    return f"{value:.{max(0, 3 - len(f'{value:.0f}'))}f}{units[0]}"


def lr(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, small ones as 7.39e-6; `–` for None."""
    if value is None or value == 0:
        return "–" if value is None else "0"
    return _short_exponent(f"{value:.{digits - 1}e}")


def _short_exponent(text: str) -> str:
    """`7.39e-06` -> `7.39e-6`, `1.00e+00` -> `1.00`, `10.` -> `10`."""
    mantissa, _, exponent = text.partition("e")
    mantissa = mantissa.removesuffix(".")
    return f"{mantissa}e{int(exponent)}" if exponent and int(exponent) else mantissa


def _float(number: float) -> float:
    """Return the number, infinite where a config has an integer that no float holds."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def setting(value: float | None, digits: int = 6) -> str:
    """Return a number as configs write it: 0.05, 1e-8; `–` for None."""
    # + 0.0 makes 0 of -0.
    return "–" if value is None else _short_exponent(f"{_float(value) + 0.0:.{digits}g}")


def significant(value: float | None, digits: int = 3) -> str:
    """Return so many significant digits, trailing zeros too: 0.180, 10.5, 2.00; `–` for None."""
    return "–" if value is None else _short_exponent(f"{value + 0.0:#.{digits}g}")


def shape(sizes: Iterable[int]) -> str:
    """`768×3×16×16`; `scalar` for a tensor without dimensions."""
    return "×".join(str(size) for size in sizes) or "scalar"


def plural(number: int, noun: str) -> str:
    """`1 tensor`, `4 tensors`, `2 entries`."""
    if number != 1:
        noun = noun.removesuffix("y") + "ies" if noun.endswith("ry") else f"{noun}s"
    return f"{number:,} {noun}"


def shortened(items: Sequence[str], most: int) -> list[str]:
    """Return the first items, and the number of the others: `3 more`."""
    more = [f"{len(items) - most} more"] if len(items) > most else []
    return [*items[:most], *more]


def layer_name(layer_id: float | str | None) -> str:
    """Return a layer as its constructor calls it."""
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
    parts = [
        part
        for run in runs
        for part in ([f"{run[0]}{joint}{run[-1]}"] if len(run) > 2 else map(str, run))
    ]
    return ", ".join([*parts, *(printable(x) for x in found if isinstance(x, str))])


def value(content: object) -> str:
    """Return a value of a config in one line: numbers short, strings without quotes."""
    if isinstance(content, bool) or content is None:
        return str(content)
    if isinstance(content, (int, float)):
        return setting(content)
    if isinstance(content, str):
        return printable(content)
    return printable(json.dumps(content, ensure_ascii=False))


def quoted(content: object) -> str:
    """Return a value of a config for an error: numbers short, anything else as Python writes it."""
    return setting(content) if isinstance(content, (int, float)) else repr(content)


def literal(value: object) -> str:
    """Return a value as OpenMMLab's configs write it, in several lines where it is long."""
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
