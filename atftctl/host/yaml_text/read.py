"""Read YAML as values, with the line of every key. To edit YAML text use host.yaml_text.edit.

This uses PyYAML's C loader, because every command reads configs: 3 ms instead of 100 ms in pure Python. Size and depth
are limited before values are built: a command must answer whatever a config contains.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from atftctl.host.errors import YamlError, first_line
from atftctl.protocol.configs import load_json, settings_loader
from atftctl.protocol.messages import Message, tr

Path = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 8 << 20  # of a config; nobody writes a longer one by hand
MAX_DEPTH = 500  # nesting of brackets and indents in the text
MAX_NESTED = 100  # nesting of values, with aliases followed
MAX_NODES = 200_000  # values, with aliases and merges expanded


@dataclass(frozen=True)
class Document:
    """The value of one YAML document, and the line of each key and item (`line`)."""

    value: Any
    node: yaml.Node | None = field(default=None, repr=False)

    def is_all_of(self, text: str) -> bool:
        """Does the text hold this value and nothing else: no comment, no tag, no anchor?"""
        node = self.node
        if node is None or node.end_mark is None:
            return False
        whole = node.start_mark.index == len(text) - len(text.lstrip()) and node.end_mark.index >= len(text.rstrip())
        return whole and not text.lstrip().startswith(("!", "&", "*"))

    def line(self, path: Path) -> int:
        """The line of the value at `path`, counted from 1; of the nearest one above it where it is missing."""
        node, line = self.node, self.node.start_mark.line + 1 if self.node else 1
        for name in path:
            match = next((child for child in reversed([*_children(node)]) if child[0] == name), None)
            if match is None:
                break
            _, node, line = match
        return line


def decode(data: bytes) -> str:
    """The text of these UTF-8 bytes; a BOM is kept as its first character. Raises YamlError."""
    if len(data) > MAX_BYTES:
        raise YamlError(
            tr(
                "the file has {size} MiB; a config of more than {limit} MiB is not read",
                size=len(data) >> 20,
                limit=MAX_BYTES >> 20,
            )
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise YamlError(tr("this is not UTF-8 text"), line=line) from None


def read(data: bytes) -> Document:
    """The only document of a file. Raises YamlError, with the line, for duplicate keys, several documents and wrong
    syntax."""
    documents = read_all(data)
    if len(documents) > 1:
        text = tr("the file holds {count} documents; one was expected", count=len(documents))
        raise YamlError(text, line=documents[1].line(()))
    return documents[0] if documents else Document(None)


def read_all(data: bytes) -> list[Document]:
    """Every document of a file; a JSON file is one document. Raises YamlError."""
    text = decode(data).removeprefix("\ufeff")
    if (value := load_json(text)) is not None:
        _refuse_nested(value)
        return [Document(value)]
    try:
        _refuse_deep(text)
        return list(_documents(text))
    except yaml.MarkedYAMLError as error:
        raise _with_line(error) from None
    except (KeyError, IndexError, AttributeError, TypeError):  # PyYAML's, for `!!int ''` and the like
        raise YamlError(tr("a value does not have the type that its tag says")) from None
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise YamlError(first_line(error)) from None


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
    """A loader that accepts unknown tags (`!env`): the value is read without its tag, which only the trainer knows."""

    class LenientLoader(settings_loader()):  # type: ignore[misc]
        def construct_unknown(self, node: Any) -> Any:
            if isinstance(node, yaml.ScalarNode):
                return f"{node.tag} {node.value}"
            construct = self.construct_mapping if isinstance(node, yaml.MappingNode) else self.construct_sequence
            return construct(node, deep=True)

    LenientLoader.add_constructor(None, LenientLoader.construct_unknown)
    return LenientLoader


def _with_line(error: yaml.MarkedYAMLError) -> YamlError:
    """The error of PyYAML with its line."""
    mark, first = error.problem_mark or error.context_mark, error.context_mark
    problem = error.problem or error.context
    reason = problem if isinstance(problem, Message) else str(problem)
    if "duplicate anchor" in str(error.context) and first:  # PyYAML puts half of that sentence into the context
        reason = tr("two anchors have the same name (the first is on line {line})", line=first.line + 1)
    return YamlError(reason, line=mark.line + 1 if mark else 0)


def _refuse_deep(text: str) -> None:
    """Raises YamlError for text that is nested too deep: libyaml recurses in C without a limit, and fifty thousand
    brackets would crash the process."""
    if sum(map(text.count, ("[", "{", "- ", "? "))) <= MAX_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            mark = event.start_mark
            raise _too_deep(MAX_DEPTH, mark.line + 1 if mark else 0)


def _too_deep(limit: int, line: int = 0) -> YamlError:
    return YamlError(tr("nested more than {limit} levels deep", limit=limit), line=line)


def _refuse_costly(root: yaml.Node) -> None:
    """Raises YamlError where aliases and merges expand to too many values, which are counted before any of them is
    built (a kilobyte can expand to billions); also for a key that appears twice."""
    sizes: dict[int, tuple[int, int]] = {}  # by node: (number of values that it expands to, levels)
    open_nodes: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in sizes:
            return sizes[id(node)]
        line = node.start_mark.line + 1
        if id(node) in open_nodes:
            raise YamlError(tr("aliases form a cycle"), line=line)
        open_nodes.add(id(node))
        size, depth = 1, 0
        for _, child, _ in _children(node, unique=True):
            below, deep = measure(child)
            size, depth = size + below, max(depth, deep + 1)
        if size > MAX_NODES or depth > MAX_NESTED:
            raise YamlError(tr("aliases expand to more values than can be read"), line=line)
        open_nodes.discard(id(node))
        sizes[id(node)] = size, depth
        return sizes[id(node)]

    measure(root)


def _refuse_nested(value: Any, depth: int = 0) -> None:
    if depth > MAX_NESTED:
        raise _too_deep(MAX_NESTED)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_nested(item, depth + 1)


def _children(node: yaml.Node | None, *, unique: bool = False) -> Iterator[tuple[str | int, yaml.Node, int]]:
    """(key or number, node, line) of each item. `unique`: raises YamlError for a key that appears twice."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield index, item, item.start_mark.line + 1
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if unique and name in seen and name != "<<":
                text = tr("key {name!r} appears twice (first on line {first})", name=name, first=seen[name])
                raise YamlError(text, line=line)
            seen[name] = line
            yield name, value, line
