"""A YAML document onto a dataclass: every unknown key, missing key and wrong type is refused with file, line and
key."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from atftctl.domain.errors import Refused
from atftctl.domain.words import nearest
from atftctl.host.yaml_read import Document

T = TypeVar("T")
Path = tuple[str | int, ...]
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class Binder:
    """Binds one document; `file` is the name that errors carry."""

    def __init__(self, document: Document, file: str) -> None:
        self._document = document
        self._file = file

    def bind(self, cls: type[T]) -> T:
        """Raises Refused with file, line, key and the nearest valid name."""
        bound: T = self._dataclass(cls, self._document.value, ())
        return bound

    def fail(self, path: Path, reason: str, *, then: str = "") -> Refused:
        where = f"{self._file}:{self._document.line(path)}"
        key = ".".join(map(str, path))
        return Refused(f"{where}: {key + ': ' if key else ''}{reason}", then=then)

    def _value(self, kind: Any, value: Any, path: Path) -> Any:
        origin = typing.get_origin(kind)
        if dataclasses.is_dataclass(kind):
            return self._dataclass(kind, value, path)
        if origin in (typing.Union, types.UnionType):
            return self._union(kind, value, path)
        if origin is typing.Literal:
            return self._literal(kind, value, path)
        if origin is tuple:
            return self._tuple(typing.get_args(kind)[0], value, path)
        if origin is not None and issubclass(origin, Mapping):
            return self._mapping(typing.get_args(kind)[1], value, path)
        return self._scalar(kind, value, path)

    def _dataclass(self, cls: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            raise self.fail(path, "a mapping was expected")
        hints = _hints(cls)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for key in value:
            if key not in fields:
                raise self.fail((*path, str(key)), "unknown key", then=nearest(str(key), fields))
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in value:
                raise self.fail(path, f"key {name!r} is missing")
        return cls(**{name: self._value(hints[name], item, (*path, name)) for name, item in value.items()})

    def _union(self, kind: Any, value: Any, path: Path) -> Any:
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        for option in options:
            if dataclasses.is_dataclass(option) or type(value) is option:
                return self._value(option, value, path)
        raise self.fail(path, f"expected {' or '.join(_NAMES.get(one, str(one)) for one in options)}")

    def _literal(self, kind: Any, value: Any, path: Path) -> Any:
        options = typing.get_args(kind)
        if value not in options:
            raise self.fail(
                path,
                f"{value!r} is none of {', '.join(map(str, options))}",
                then=nearest(str(value), options),
            )
        return value

    def _tuple(self, item: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            raise self.fail(path, "a list was expected")
        return tuple(self._value(item, one, (*path, index)) for index, one in enumerate(value))

    def _mapping(self, item: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            raise self.fail(path, "a mapping was expected")
        return {str(key): self._value(item, one, (*path, str(key))) for key, one in value.items()}

    def _scalar(self, kind: Any, value: Any, path: Path) -> Any:
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            raise self.fail(path, f"{value!r} is not {_NAMES.get(kind, kind)}")
        return value


_CACHE: dict[Any, dict[str, Any]] = {}


def _hints(cls: Any) -> dict[str, Any]:
    if cls not in _CACHE:
        _CACHE[cls] = typing.get_type_hints(cls)
    return _CACHE[cls]
