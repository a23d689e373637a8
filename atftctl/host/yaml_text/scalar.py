"""A Python value as a YAML token that means the same to a YAML 1.1 and to a YAML 1.2 reader."""

from __future__ import annotations

import math
import re

Scalar = bool | int | float | str | None

# What a YAML 1.1 reader takes for something else than a string when it stands unquoted.
_WORDS_1_1 = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")


def render(value: Scalar, *, quote: str = "") -> str:
    """The token for `value`; `quote` is the quoting that stood there before (`'`, `"` or none), kept for strings."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    return _string(value, quote)


def _float(value: float) -> str:
    """With a point always: PyYAML reads `3e-05` as a string, since YAML 1.1 wants `3.0e-05`."""
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    mantissa, e, exponent = repr(value).partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return mantissa + e + exponent


def _string(value: str, quote: str) -> str:
    printable = value.isprintable()
    if quote == "'" and printable:
        return "'" + value.replace("'", "''") + "'"
    plain = _PLAIN.match(value) and value.lower() not in _WORDS_1_1
    if quote == '"' or not plain:
        return '"' + "".join(map(_escape, value)) + '"'
    return value


def _escape(character: str) -> str:
    """One character inside double quotes, so that it is JSON, too: that has no `\\x` and no `\\U`. Beyond the first
    65,536 characters YAML takes them as they are, and has no surrogate pairs."""
    if character in '"\\':
        return "\\" + character
    if character.isprintable() or ord(character) > 0xFFFF:
        return character
    return f"\\u{ord(character):04x}"


def same(left: object, right: object) -> bool:
    """Equal as settings: 1 and 1.0 are, True and 1 are not, NaN and NaN are."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right
