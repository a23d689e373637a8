"""Read a YAML document as a dataclass. Every unknown key, missing key and wrong type is reported, with its file, line,
key and the nearest valid name."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from atftctl.domain.errors import Refused
from atftctl.domain.record import record
from atftctl.domain.text import nearest
from atftctl.domain.texts import Text
from atftctl.host.yaml_text.read import Document
from atftctl.protocol.messages import joined, tr, trn

Path = tuple[str | int, ...]
_NAMES = {bool: tr("true or false"), int: tr("a whole number"), float: tr("a number"), str: tr("a string")}
_CACHE: dict[Any, dict[str, Any]] = {}  # the types of the fields, by class


@record
class Problem:
    """One problem in a document: where it is, what is wrong, and what to do about it."""

    where: str
    message: str
    hint: str = ""
    line: int = 0

    @property
    def text(self) -> str:
        """The place and the message."""
        return tr("{where}: {message}", where=self.where, message=self.message)


class UnboundError(Exception):
    """A part of the document could not be read; the reason is among the binder's problems."""


def key_of(field: dataclasses.Field[Any]) -> str:
    """The key of a field in the document: its name, unless that is a word of Python (`for`)."""
    return str(field.metadata.get("key", field.name))


class Binder:
    """Reads one document. `file`: the name in the problems. Problems are collected, so that all are shown at once."""

    def __init__(self, document: Document, file: str) -> None:
        self._document = document
        self._file = file
        self.problems: list[Problem] = []
        self._reported: set[Path] = set()

    def bind(self, cls: Any, fallback: Any) -> Any:
        """The document as an object of this class. A key that is missing or wrong gets its value from `fallback`, and a
        problem is reported."""
        value = self._document.value
        if not isinstance(value, dict):
            self.problem((), tr("a mapping was expected"))
            return fallback
        return dataclasses.replace(fallback, **self._fields(cls, value, ()))

    def problem(self, path: Path, reason: str, *, hint: str = "", at: Path | None = None) -> None:
        """Report a problem at `path`, unless one was reported there, above it or below it. `at`: the path whose line is
        shown, where it is another one."""
        if any(path[: len(other)] == other or other[: len(path)] == path for other in self._reported if other):
            return
        self._reported.add(path)
        path = path if at is None else at
        line = self._document.line(path)
        where = f"{self._file}:{line}"
        key = ".".join(map(str, path))
        message = tr("{key}: {reason}", key=key, reason=reason) if key else reason
        self.problems.append(Problem(where, message, hint, line))

    def _wrong(self, path: Path, reason: str, *, hint: str = "") -> UnboundError:
        self.problem(path, reason, hint=hint)
        return UnboundError()

    def _fields(self, cls: Any, value: Mapping[Any, Any], path: Path) -> dict[str, Any]:
        """The valid fields of a dataclass, by name."""
        hints = _hints(cls)
        fields = {key_of(field): field for field in dataclasses.fields(cls)}
        for key in value:
            if key not in fields:
                self.problem((*path, str(key)), tr("unknown key"), hint=nearest(str(key), fields))
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in value:
                self.problem((*path, name), tr("key {name!r} is missing", name=name), at=path)
        bound = {}
        for name, field in fields.items():
            if name in value:
                try:
                    bound[field.name] = self._value(hints[field.name], value[name], (*path, name))
                except UnboundError:
                    continue
        return bound

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
        if cls is Text and isinstance(value, str):
            return Text(value, value)
        if not isinstance(value, dict):
            raise self._wrong(path, tr("a text was expected") if cls is Text else tr("a mapping was expected"))
        return _filled(cls, self._fields(cls, value, path))

    def _union(self, kind: Any, value: Any, path: Path) -> Any:
        options = typing.get_args(kind)
        if value is None and type(None) in options:
            return None
        for option in options:
            if dataclasses.is_dataclass(option) or type(value) is option:
                return self._value(option, value, path)
        names = [_NAMES.get(option, str(option)) for option in options]
        raise self._wrong(path, tr("a value of one of these types was expected: {types}", types=joined(", ", names)))

    def _literal(self, kind: Any, value: Any, path: Path) -> Any:
        options = typing.get_args(kind)
        if isinstance(value, dict | list) or value not in options:
            allowed = joined(", ", map(str, options))
            reason = tr("{value} is not one of: {allowed}", value=repr(value), allowed=allowed)
            raise self._wrong(path, reason, hint=nearest(str(value), options))
        return value

    def _tuple(self, item: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            raise self._wrong(path, tr("a list was expected"))
        entries, valid = [], True
        for index, entry in enumerate(value):
            try:
                entries.append(self._value(item, entry, (*path, index)))
            except UnboundError:
                valid = False
        if not valid:
            raise UnboundError
        return tuple(entries)

    def _mapping(self, item: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            raise self._wrong(path, tr("a mapping was expected"))
        entries = {}
        for key, entry in value.items():
            try:
                entries[str(key)] = self._value(item, entry, (*path, str(key)))
            except UnboundError:
                continue
        return entries

    def _scalar(self, kind: Any, value: Any, path: Path) -> Any:
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            reason = tr("{value} is not {type}", value=repr(value), type=_NAMES.get(kind, str(kind)))
            raise self._wrong(path, reason)
        return value


def refuse(problems: list[Problem]) -> None:
    """Raises Refused for the first problem that has a hint, else for the first; does nothing where there is none."""
    if not problems:
        return
    first = next((problem for problem in problems if problem.hint), problems[0])
    message = first.text
    if more := len(problems) - 1:
        message = trn(
            "{problem} (and {count} more problem: atftctl runbook lint)",
            "{problem} (and {count} more problems: atftctl runbook lint)",
            more,
            problem=message,
        )
    raise Refused(message, hint=first.hint or tr("edit the runbook, then run: atftctl runbook lint"))


def _filled(cls: Any, bound: Mapping[str, Any]) -> Any:
    """An object of this class. Required fields that are missing or wrong, whose problem was reported, get an empty
    value."""
    required = {
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    return cls(**{name: _empty(_hints(cls)[name]) for name in required - bound.keys()}, **bound)


def _empty(kind: Any) -> Any:
    """An empty value of this type."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _filled(kind, {})
    if origin is typing.Literal:
        return typing.get_args(kind)[0]
    if origin in (typing.Union, types.UnionType):
        return _empty(typing.get_args(kind)[0])
    if origin is tuple:
        return ()
    return {} if origin is not None else kind()


def _hints(cls: Any) -> dict[str, Any]:
    if cls not in _CACHE:
        _CACHE[cls] = typing.get_type_hints(cls)
    return _CACHE[cls]
