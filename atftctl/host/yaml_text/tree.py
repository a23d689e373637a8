"""YAML text as a tree of spans: where each token starts and ends, in characters. Built from libyaml's events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from atftctl.host.errors import YamlError
from atftctl.protocol.keys import item_number

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*(?:\s+(?:#[^\r\n]*)?)+)+")  # a comment may stand behind each
# What a JSON string may have and a string of YAML 1.1 may not; as wide as what it is replaced by.
_JSON_ESCAPES = re.compile(r"\\(?:\\|(?P<slash>/)|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2}))|\x7f")


@dataclass
class Node:
    """One node's span [start, end) in the text. `token` is where the value itself starts, behind anchor and tag."""

    start: int
    end: int
    token: int
    line: int
    anchor: str | None = None
    tag: str | None = None


@dataclass
class Scalar(Node):
    value: str = ""
    style: str = ""  # '' plain, "'", '"', '|', '>'

    @property
    def empty(self) -> bool:
        """`key:` with nothing behind it."""
        return self.token >= self.end and self.style == ""


@dataclass
class Alias(Node):
    single: bool = True  # it stands for a scalar, not for a list or mapping


@dataclass
class Mapping(Node):
    flow: bool = False
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


@dataclass
class Sequence(Node):
    flow: bool = False
    items: list[Node] = field(default_factory=list)


Pair = tuple[Node, Node]  # a key and its value; for an item of a list, the item twice


def parse(text: str, *, is_json: bool = False) -> list[Node]:
    """The documents of `text` (without BOM). Raises YamlError."""
    try:
        return list(_documents(text, is_json=is_json))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(str(error.problem or error.context), line=mark.line + 1 if mark else 0) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(str(error).splitlines()[0] if str(error) else "can't be read") from None


def _readable(text: str) -> str:
    """JSON as YAML 1.1 can read it; every character keeps its place."""

    def replacement(found: re.Match[str]) -> str:
        return "\\n" if found["slash"] else "\\u0041" if found["half"] else found.group().replace("\x7f", "?")

    return _JSON_ESCAPES.sub(replacement, text)


def without_tabs(text: str) -> str:
    """Tabs between tokens as spaces, each in its place, for readers that take none there; those in strings stay."""
    if "\t" not in text:
        return text
    tokens: Iterator[Any] = yaml.scan(text, Loader=_Loader)
    spans = [(one.start_mark.index, one.end_mark.index) for one in tokens if isinstance(one, yaml.ScalarToken)]
    parts, position = [], 0
    for start, end in spans:
        parts += [text[position:start].replace("\t", " "), text[start:end]]
        position = end
    return "".join([*parts, text[position:].replace("\t", " ")])


def _documents(text: str, *, is_json: bool) -> Iterator[Node]:
    events: Iterator[Any] = yaml.parse(_readable(text) if is_json else text, Loader=_Loader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            yield _Builder(text, events, is_json=is_json).node(next(events))


class _Builder:
    """The nodes of one document."""

    def __init__(self, text: str, events: Iterator[Any], *, is_json: bool) -> None:
        self._is_json = is_json
        self._text = text
        self._events = events
        self._singles: dict[str, bool] = {}  # by anchor: is it on a scalar?

    def node(self, event: Any) -> Node:
        start, end, line = event.start_mark.index, event.end_mark.index, event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            single = self._singles.get(str(event.anchor), False)
            return Alias(start, end, start, line, anchor=event.anchor, single=single)
        if event.anchor:
            self._singles[event.anchor] = isinstance(event, yaml.ScalarEvent)
        properties = _PROPERTIES.match(self._text, start) if event.anchor or event.tag else None
        token = min(properties.end(), end) if properties else start
        if event.anchor and not properties:
            token = end  # an anchor on nothing: `key: &a`
        common = {"start": start, "token": token, "line": line, "anchor": event.anchor, "tag": event.tag}
        if isinstance(event, yaml.ScalarEvent):
            value = json.loads(self._text[start:end]) if self._is_json and event.style == '"' else event.value
            return Scalar(end=end, value=value, style=event.style or "", **common)
        flow = bool(event.flow_style)
        if isinstance(event, yaml.SequenceStartEvent):
            sequence = Sequence(end=end, flow=flow, **common)
            sequence.items, sequence.end = self._until(yaml.SequenceEndEvent)
            return sequence
        mapping = Mapping(end=end, flow=flow, **common)
        nodes, mapping.end = self._until(yaml.MappingEndEvent)
        mapping.pairs = list(zip(nodes[::2], nodes[1::2], strict=True))
        return mapping

    def _until(self, last: Any) -> tuple[list[Node], int]:
        """The nodes of a collection, and where it ends."""
        nodes: list[Node] = []
        while not isinstance(event := next(self._events), last):
            nodes.append(self.node(event))
        return nodes, event.end_mark.index


def is_null(node: Scalar) -> bool:
    return node.empty or (node.style == "" and node.value in ("", "~", "null", "Null", "NULL"))


def key_name(node: Node) -> str | None:
    return node.value if isinstance(node, Scalar) else None


def child(node: Mapping | Sequence, name: str) -> Pair | None:
    """The pair of this key, or the item of this number. Raises YamlError for a key that stands twice, and for an item
    that is not there."""
    if isinstance(node, Sequence):
        count = len(node.items)
        number = item_number(name)
        if number is None:
            raise YamlError(
                f"a list stands there, not a mapping; its items are named by number, not {name!r}", line=node.line
            )
        if number >= count:
            raise YamlError(f"the list there has no item {name}: it holds {count}, the first is 0", line=node.line)
        item = node.items[number]
        return item, item
    found = [pair for pair in node.pairs if key_name(pair[0]) == name]
    if len(found) > 1:
        raise YamlError(f"key {name!r} stands twice (first on line {found[0][0].line})", line=found[1][0].line)
    return found[0] if found else None


def after_colon(text: str, key: Node) -> int:
    """Just behind the colon of a key, or behind the key where it has none (`{a, b}`)."""
    colon = re.compile(r"\s*:").match(text, key.end)
    return colon.end() if colon else key.end


def content_end(text: str, key: Node, value: Node) -> int:
    """Where the last character of a pair's value stands, comments and blank lines behind it not counted."""
    if isinstance(value, Mapping) and not value.flow and value.pairs:
        return content_end(text, *value.pairs[-1])
    if isinstance(value, Sequence) and not value.flow and value.items:
        last = value.items[-1]
        if isinstance(last, Scalar) and last.empty and not last.anchor and not last.tag:
            raise YamlError("a list that ends in an empty item; write the item out", line=value.line)
        return content_end(text, key, last)
    if isinstance(value, Scalar) and value.empty and not value.anchor and not value.tag:
        return after_colon(text, key)
    return value.end
