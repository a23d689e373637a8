"""Write a Python value as a YAML token that means the same to a YAML 1.1 and to a YAML 1.2 reader."""

from __future__ import annotations

import math
import re

Scalar = bool | int | float | str | None

# Words that a YAML 1.1 reader does not read as strings where they are not quoted.
_WORDS_1_1 = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")


def render(value: Scalar, *, quote: str = "") -> str:
    """The token for `value`. `quote`: the quote of the old token (`'`, `"` or ""), which a string keeps."""
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
    """Always with a point: YAML 1.1 requires it, and PyYAML reads `3e-05` as a string."""
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
    """One character inside double quotes, valid in JSON too, which has no `\\x` and no `\\U`. Characters above U+FFFF
    are written as they are: YAML has no surrogate pairs."""
    if character in '"\\':
        return "\\" + character
    if character.isprintable() or ord(character) > 0xFFFF:
        return character
    return f"\\u{ord(character):04x}"


def same(left: object, right: object) -> bool:
    """Are these values equal as settings? 1 equals 1.0, NaN equals NaN, True does not equal 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right
