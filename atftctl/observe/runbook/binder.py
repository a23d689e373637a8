"""A YAML document onto a dataclass: every unknown key, missing key and wrong type is found, each with file, line, key
and the nearest valid name."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from atftctl.domain.errors import Refused
from atftctl.domain.text import nearest
from atftctl.host.yaml_text.read import Document

Path = tuple[str | int, ...]
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a document: where, what, and what to do about it."""

    where: str
    message: str
    hint: str = ""
    line: int = 0

    @property
    def text(self) -> str:
        return f"{self.where}: {self.message}"


class UnboundError(Exception):
    """A part of the document could not be bound; why is among the binder's problems."""


class Binder:
    """Binds one document; `file` is the name that problems carry. Problems are collected, so that all are told at
    once."""

    def __init__(self, document: Document, file: str) -> None:
        self._document = document
        self._file = file
        self.problems: list[Problem] = []
        self._told: set[Path] = set()

    def bind(self, cls: Any, fallback: Any) -> Any:
        """The document as an object of this class. A key that is missing or can't be bound has the value that it has in
        `fallback`; `problems` tells of each."""
        value = self._document.value
        if not isinstance(value, dict):
            self.problem((), "a mapping was expected")
            return fallback
        found = self._fields(cls, value, ())
        return dataclasses.replace(fallback, **found)

    def problem(self, path: Path, reason: str, *, hint: str = "", at: Path | None = None) -> None:
        """One thing that is wrong at `path`; what was wrong there, above it or below it already is enough. `at`: where
        it is found, if not there."""
        if any(path[: len(told)] == told or told[: len(path)] == path for told in self._told if told):
            return
        self._told.add(path)
        path = path if at is None else at
        line = self._document.line(path)
        where = f"{self._file}:{line}"
        key = ".".join(map(str, path))
        self.problems.append(Problem(where, f"{key + ': ' if key else ''}{reason}", hint, line))

    def _wrong(self, path: Path, reason: str, *, hint: str = "") -> UnboundError:
        self.problem(path, reason, hint=hint)
        return UnboundError()

    def _fields(self, cls: Any, value: Mapping[Any, Any], path: Path) -> dict[str, Any]:
        """The fields of a dataclass that could be bound, by name."""
        hints = _hints(cls)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for key in value:
            if key not in fields:
                self.problem((*path, str(key)), "unknown key", hint=nearest(str(key), fields))
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in value:
                self.problem((*path, name), f"key {name!r} is missing", at=path)
        found = {}
        for name in fields:
            if name in value:
                try:
                    found[name] = self._value(hints[name], value[name], (*path, name))
                except UnboundError:
                    continue
        return found

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
            raise self._wrong(path, "a mapping was expected")
        return _filled(cls, self._fields(cls, value, path))

    def _union(self, kind: Any, value: Any, path: Path) -> Any:
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        for option in options:
            if dataclasses.is_dataclass(option) or type(value) is option:
                return self._value(option, value, path)
        raise self._wrong(path, f"expected {' or '.join(_NAMES.get(option, str(option)) for option in options)}")

    def _literal(self, kind: Any, value: Any, path: Path) -> Any:
        options = typing.get_args(kind)
        if isinstance(value, dict | list) or value not in options:
            reason = f"{value!r} is none of {', '.join(map(str, options))}"
            raise self._wrong(path, reason, hint=nearest(str(value), options))
        return value

    def _tuple(self, item: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            raise self._wrong(path, "a list was expected")
        found, whole = [], True
        for index, entry in enumerate(value):
            try:
                found.append(self._value(item, entry, (*path, index)))
            except UnboundError:
                whole = False
        if not whole:
            raise UnboundError
        return tuple(found)

    def _mapping(self, item: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            raise self._wrong(path, "a mapping was expected")
        found = {}
        for key, entry in value.items():
            try:
                found[str(key)] = self._value(item, entry, (*path, str(key)))
            except UnboundError:
                continue
        return found

    def _scalar(self, kind: Any, value: Any, path: Path) -> Any:
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            raise self._wrong(path, f"{value!r} is not {_NAMES.get(kind, kind)}")
        return value


def _filled(cls: Any, found: Mapping[str, Any]) -> Any:
    """An object of this class; what it can't do without, and what could not be bound, says nothing. The problem has
    been told by then."""
    required = {
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    return cls(**{name: _nothing(_hints(cls)[name]) for name in required - found.keys()}, **found)


def _nothing(kind: Any) -> Any:
    """A value of this kind that says nothing."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _filled(kind, {})
    if origin is typing.Literal:
        return typing.get_args(kind)[0]
    if origin in (typing.Union, types.UnionType):
        return _nothing(typing.get_args(kind)[0])
    if origin is tuple:
        return ()
    return {} if origin is not None else kind()


def refuse(problems: list[Problem]) -> None:
    """Raises Refused with the first problem, and says how many there are."""
    if problems:
        more = f" (and {len(problems) - 1} more: atftctl runbook lint)" if len(problems) > 1 else ""
        first = next((problem for problem in problems if problem.hint), problems[0])
        raise Refused(f"{first.text}{more}", hint=first.hint or "edit it, then: atftctl runbook lint")


_CACHE: dict[Any, dict[str, Any]] = {}


def _hints(cls: Any) -> dict[str, Any]:
    if cls not in _CACHE:
        _CACHE[cls] = typing.get_type_hints(cls)
    return _CACHE[cls]
