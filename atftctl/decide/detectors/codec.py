"""States of detectors as JSON, and back."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def to_json(state: object) -> object:
    """A state as values that `json` writes: each named tuple as an object."""
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return {name: to_json(getattr(state, name)) for name in state._fields}
    if isinstance(state, tuple):
        return [to_json(item) for item in state]
    if isinstance(state, Mapping):
        return {str(key): to_json(item) for key, item in state.items()}
    return state


def from_json(kind: type[T], value: object) -> T:
    """The state of this class that `to_json` wrote. Raises ValueError where the value is no such state."""
    made: T = _made(kind, value)
    return made


def _made(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if hasattr(kind, "_fields"):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, dict) or value.keys() != hints.keys():
            raise ValueError(f"no {kind.__name__}")
        return kind(**{name: _made(hint, value[name]) for name, hint in hints.items()})
    if origin is tuple:
        return tuple(_made(typing.get_args(kind)[0], item) for item in _of(value, list))
    if origin is not None and issubclass(origin, Mapping):
        return {key: _made(typing.get_args(kind)[1], item) for key, item in _of(value, dict).items()}
    if kind is float and type(value) is int:
        return float(value)
    return _of(value, kind)


def _of(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{value!r:.40} is no {kind.__name__}")
    return value
