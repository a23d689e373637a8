"""Turns a mapping into the dataclasses of the settings; refuses unknown keys, wrong types and values out of range."""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping
from typing import Any, Literal

from atftctl.trainer.errors import SettingsError


def number(default: float, low: float, high: float) -> Any:
    """Declare a field with its default and the range of its value, both ends included."""
    return dataclasses.field(default=default, metadata={"range": (low, high)})


def bind(cls: Any, values: Any, where: str) -> Any:
    """Return `values` as an instance of the dataclass `cls`.

    `where` is the dotted path of the section, with a dot at its end. Raises SettingsError, which names the key.
    """
    if not isinstance(values, Mapping):
        raise SettingsError(f"{where or 'the config'}: a mapping was expected, not {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            close = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(fields)}"
            raise SettingsError(f"{where}{key}: unknown setting; {hint}")
    return cls(**{name: _value(hints[name], fields[name], value, f"{where}{name}") for name, value in values.items()})


def _value(kind: Any, field: Any, value: Any, where: str) -> Any:  # noqa: C901 - one case for each type
    if dataclasses.is_dataclass(kind):
        return bind(kind, {} if value is None else value, f"{where}.")
    if typing.get_origin(kind) is Literal:
        if value not in typing.get_args(kind):
            raise SettingsError(f"{where}: {value!r} is not one of {', '.join(typing.get_args(kind))}")
        return value
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        if not isinstance(value, list) or not all(type(each) is item for each in value):
            raise SettingsError(f"{where}: a list of {_PLURAL[item]} was expected, not {value!r}")
        return tuple(value)
    if kind == str | None:
        if value is not None and not isinstance(value, str):
            value = str(value)  # an unquoted date
        return value
    if kind is float and type(value) is int:
        value = float(value)
    if kind is int and type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not kind:
        hint = " (write 3.0e-05, not 3e-05)" if kind is float and isinstance(value, str) and "e" in value else ""
        raise SettingsError(f"{where}: {value!r} is not {_NAMES[kind]}{hint}")
    low, high = field.metadata.get("range", (-math.inf, math.inf))
    if kind is not bool and not low <= value <= high:
        raise SettingsError(f"{where}: {value} is out of its range, {low:g} to {high:g}")
    return value


_PLURAL = {int: "whole numbers", str: "names"}
_NAMES = {bool: "true or false", int: "a whole number", float: "a number"}
