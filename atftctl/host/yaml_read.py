"""YAML read as values, with the line of every key. Never used to write: editing is host.yaml_edit's.

PyYAML's C loader, since this is on the way of every command: 3 ms where pure Python takes 100.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from atftctl.host.errors import YamlError

Path = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_DEPTH = 500
MAX_NODES = 200_000  # an alias bomb is refused, not expanded


@dataclass(frozen=True)
class Document:
    """The value of one YAML document, and the line (from 1) where each key or item stands."""

    value: Any
    lines: dict[Path, int] = field(repr=False)

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest thing above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def decode(data: bytes) -> str:
    """UTF-8 text; a BOM is kept as its first character."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise YamlError("not UTF-8 text", line=line) from None


def read(data: bytes) -> Document:
    """The one document of a file. Duplicate keys, several documents and broken syntax are refused with their line."""
    documents = read_all(data)
    if len(documents) > 1:
        raise YamlError(f"{len(documents)} documents in one file; one was expected", line=documents[1].line(()))
    return documents[0] if documents else Document(None, {})


def read_all(data: bytes) -> list[Document]:
    text = decode(data).removeprefix("\ufeff")
    try:
        _refuse_deep(text)
        nodes = list(yaml.compose_all(text, Loader=_Loader))
        values = list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(str(error.problem or error.context), line=mark.line + 1 if mark else 0) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(str(error).splitlines()[0] if str(error) else "can't be read") from None
    except (TypeError, KeyError) as error:  # an unhashable key
        raise YamlError(f"a key that is not a plain word or number ({error})") from None
    return [Document(value, _lines(node)) for node, value in zip(nodes, values, strict=True)]


def _refuse_deep(text: str) -> None:
    """libyaml composes by recursion in C, where nobody counts: fifty thousand brackets end the process. Only what could
    be so deep is looked at. Raises YamlError."""
    if sum(map(text.count, ("[", "{", "- ", "? "))) <= MAX_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            mark = event.start_mark
            raise YamlError(f"nested more than {MAX_DEPTH} deep", line=mark.line + 1 if mark else 0)


def _lines(root: yaml.Node | None) -> dict[Path, int]:
    lines: dict[Path, int] = {}
    if root is None:
        return lines
    lines[()] = root.start_mark.line + 1
    stack: list[tuple[Path, yaml.Node, int]] = [((), root, 0)]
    visited = 0
    while stack:
        path, node, depth = stack.pop()
        for key, child, line in _children(node):
            visited += 1
            if visited > MAX_NODES or depth > 100:
                raise YamlError("aliases that expand to more than can be read", line=line)
            lines[(*path, key)] = line
            stack.append(((*path, key), child, depth + 1))
    return lines


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node, int]]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, item, item.start_mark.line + 1
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if name in seen and name != "<<":
                raise YamlError(f"key {name!r} stands twice (first on line {seen[name]})", line=line)
            seen[name] = line
            yield name, value, line
