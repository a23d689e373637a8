"""YAML read as values, with the line of every key. Never used to write: editing is host.yaml_text.edit's.

PyYAML's C loader, since this is on the way of every command: 3 ms where pure Python takes 100. What is read is bounded
before it is built: the tool must answer whatever stands in a config.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from atftctl.host.errors import YamlError
from atftctl.protocol.configs import load_json, settings_loader

Path = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 8 << 20  # nobody writes a longer config by hand
MAX_DEPTH = 500  # of brackets and indents as written
MAX_NESTED = 100  # of the values, aliases followed
MAX_NODES = 200_000  # aliases and merges expanded


@dataclass(frozen=True)
class Document:
    """The value of one YAML document; `line` tells where each key or item stands."""

    value: Any
    node: yaml.Node | None = field(default=None, repr=False)

    def is_all_of(self, text: str) -> bool:
        """Is the text this value and nothing else: no comment, no tag, no anchor?"""
        node = self.node
        if node is None or node.end_mark is None:
            return False
        whole = node.start_mark.index == len(text) - len(text.lstrip()) and node.end_mark.index >= len(text.rstrip())
        return whole and not text.lstrip().startswith(("!", "&", "*"))

    def line(self, path: Path) -> int:
        """The line (from 1) of `path`, or of the nearest thing above it."""
        node, line = self.node, self.node.start_mark.line + 1 if self.node else 1
        for name in path:
            found = next((child for child in reversed([*_children(node)]) if child[0] == name), None)
            if found is None:
                break
            _, node, line = found
        return line


def decode(data: bytes) -> str:
    """UTF-8 text; a BOM is kept as its first character. Raises YamlError."""
    if len(data) > MAX_BYTES:
        raise YamlError(f"{len(data) >> 20} MiB; a config of more than {MAX_BYTES >> 20} MiB is not read")
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
    return documents[0] if documents else Document(None)


def read_all(data: bytes) -> list[Document]:
    """Every document of a file; a file of JSON is one. Raises YamlError."""
    text = decode(data).removeprefix("\ufeff")
    if (found := load_json(text)) is not None:
        _refuse_nested(found)
        return [Document(found)]
    try:
        _refuse_deep(text)
        return list(_documents(text))
    except yaml.MarkedYAMLError as error:
        raise _told(error) from None
    except (KeyError, IndexError, AttributeError, TypeError):  # PyYAML's, for `!!int ''` and the like
        raise YamlError("a value that is not what its explicit tag says") from None
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise YamlError(str(error).splitlines()[0] if str(error) else "can't be read") from None


def _documents(text: str) -> Iterator[Document]:
    loader = _lenient_loader()(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            _refuse_costly(node)
            yield Document(loader.construct_document(node), node)
    finally:
        loader.dispose()


@functools.cache
def _lenient_loader() -> Any:
    """An explicit tag that we don't know (`!env`) is read as what it stands on: the trainer makes sense of it."""

    class LenientLoader(settings_loader()):  # type: ignore[misc]
        def construct_unknown(self, node: Any) -> Any:
            if isinstance(node, yaml.ScalarNode):
                return f"{node.tag} {node.value}"
            whole = self.construct_mapping if isinstance(node, yaml.MappingNode) else self.construct_sequence
            return whole(node, deep=True)

    LenientLoader.add_constructor(None, LenientLoader.construct_unknown)
    return LenientLoader


def _told(error: yaml.MarkedYAMLError) -> YamlError:
    mark, first = error.problem_mark or error.context_mark, error.context_mark
    reason = str(error.problem or error.context)
    if "duplicate anchor" in str(error.context) and first:  # half of that sentence stands in the context
        reason = f"two anchors have one name (the first on line {first.line + 1})"
    return YamlError(reason, line=mark.line + 1 if mark else 0)


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


def _refuse_costly(root: yaml.Node) -> None:
    """What a kilobyte of aliases and merges expands to is counted, node by node, before any of it is built. Raises
    YamlError, for a key that stands twice, too."""
    sizes: dict[int, tuple[int, int]] = {}  # by node: how many it expands to, how deep
    open_nodes: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in sizes:
            return sizes[id(node)]
        line = node.start_mark.line + 1
        if id(node) in open_nodes:
            raise YamlError("aliases that lead back to themselves", line=line)
        open_nodes.add(id(node))
        size, depth = 1, 0
        for _, child, _ in _children(node, unique=True):
            below, deep = measure(child)
            size, depth = size + below, max(depth, deep + 1)
        if size > MAX_NODES or depth > MAX_NESTED:
            raise YamlError("aliases that expand to more than can be read", line=line)
        open_nodes.discard(id(node))
        sizes[id(node)] = size, depth
        return sizes[id(node)]

    measure(root)


def _refuse_nested(value: Any, depth: int = 0) -> None:
    if depth > MAX_NESTED:
        raise YamlError(f"nested more than {MAX_NESTED} deep")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_nested(item, depth + 1)


def _children(node: yaml.Node | None, *, unique: bool = False) -> Iterator[tuple[str | int, yaml.Node, int]]:
    """(key or number, node, line) of each item; `unique`: YamlError for a key that stands twice."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, item, item.start_mark.line + 1
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if unique and name in seen and name != "<<":
                raise YamlError(f"key {name!r} stands twice (first on line {seen[name]})", line=line)
            seen[name] = line
            yield name, value, line
