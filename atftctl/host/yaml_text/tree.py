"""Parse YAML text into a tree of nodes with their positions in the text, from libyaml's events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from atftctl.host.errors import YamlError, first_line
from atftctl.protocol.keys import item_number
from atftctl.protocol.messages import Message, tr

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*(?:\s+(?:#[^\r\n]*)?)+)+")  # a comment may follow each
# Escapes that JSON allows and YAML 1.1 does not. The replacement has the same length.
_JSON_ESCAPES = re.compile(r"\\(?:\\|(?P<slash>/)|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2}))|\x7f")


@dataclass
class Node:
    """One node: its span [start, end) in characters, the start of its value after anchor and tag (`token`), and its
    line, counted from 1."""

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
        """True for the value of `key:` with nothing after it."""
        return self.token >= self.end and self.style == ""


@dataclass
class Alias(Node):
    single: bool = True  # its anchor is on a scalar, not on a list or a mapping


@dataclass
class Mapping(Node):
    flow: bool = False
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


@dataclass
class Sequence(Node):
    flow: bool = False
    items: list[Node] = field(default_factory=list)


Pair = tuple[Node, Node]  # a key and its value; for a list item, the item twice


def parse(text: str, *, is_json: bool = False) -> list[Node]:
    """The documents of `text` (without BOM). Raises YamlError."""
    try:
        return list(_documents(text, is_json=is_json))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context
        reason = problem if isinstance(problem, Message) else str(problem)
        raise YamlError(reason, line=mark.line + 1 if mark else 0) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(first_line(error)) from None


def without_tabs(text: str) -> str:
    """The text with each tab between tokens replaced by a space, for readers that accept none there. Tabs in strings
    stay."""
    if "\t" not in text:
        return text
    tokens: Iterator[Any] = yaml.scan(text, Loader=_Loader)
    scalars = [token for token in tokens if isinstance(token, yaml.ScalarToken)]
    spans = [(token.start_mark.index, token.end_mark.index) for token in scalars]
    parts, position = [], 0
    for start, end in spans:
        parts += [text[position:start].replace("\t", " "), text[start:end]]
        position = end
    return "".join([*parts, text[position:].replace("\t", " ")])


def _readable(text: str) -> str:
    """JSON text that YAML 1.1 can read; every character keeps its position."""

    def replacement(escape: re.Match[str]) -> str:
        return "\\n" if escape["slash"] else "\\u0041" if escape["half"] else escape.group().replace("\x7f", "?")

    return _JSON_ESCAPES.sub(replacement, text)


def _documents(text: str, *, is_json: bool) -> Iterator[Node]:
    events: Iterator[Any] = yaml.parse(_readable(text) if is_json else text, Loader=_Loader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            yield _Builder(text, events, is_json=is_json).node(next(events))


class _Builder:
    """Builds the nodes of one document from its events."""

    def __init__(self, text: str, events: Iterator[Any], *, is_json: bool) -> None:
        self._is_json = is_json
        self._text = text
        self._events = events
        self._singles: dict[str, bool] = {}  # by anchor: is it on a scalar?

    def node(self, event: Any) -> Node:
        """The node that begins with this event."""
        start, end, line = event.start_mark.index, event.end_mark.index, event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            single = self._singles.get(str(event.anchor), False)
            return Alias(start, end, start, line, anchor=event.anchor, single=single)
        if event.anchor:
            self._singles[event.anchor] = isinstance(event, yaml.ScalarEvent)
        properties = _PROPERTIES.match(self._text, start) if event.anchor or event.tag else None
        token = min(properties.end(), end) if properties else start
        if event.anchor and not properties:
            token = end  # an anchor without a value: `key: &a`
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
        """The nodes of a collection, and the position of its end."""
        nodes: list[Node] = []
        while not isinstance(event := next(self._events), last):
            nodes.append(self.node(event))
        return nodes, event.end_mark.index


def is_null(node: Scalar) -> bool:
    """Is this value null: empty, `~` or `null`?"""
    return node.empty or (node.style == "" and node.value in ("", "~", "null", "Null", "NULL"))


def key_name(node: Node) -> str | None:
    """The text of a key; None for a key that is not a scalar."""
    return node.value if isinstance(node, Scalar) else None


def child(node: Mapping | Sequence, name: str) -> Pair | None:
    """The pair of this key, or the list item of this number; None where a key is missing. Raises YamlError for a key
    that appears twice, and for an item that is missing."""
    if isinstance(node, Sequence):
        count = len(node.items)
        number = item_number(name)
        if number is None:
            text = tr("this is a list, not a mapping; name its items by number, not {name!r}", name=name)
            raise YamlError(text, line=node.line)
        if number >= count:
            text = tr("the list has no item {name}: it holds {count}, and the first is 0", name=name, count=count)
            raise YamlError(text, line=node.line)
        item = node.items[number]
        return item, item
    pairs = [pair for pair in node.pairs if key_name(pair[0]) == name]
    if len(pairs) > 1:
        first, second = pairs[0][0], pairs[1][0]
        text = tr("key {name!r} appears twice (first on line {first})", name=name, first=first.line)
        raise YamlError(text, line=second.line)
    return pairs[0] if pairs else None


def after_colon(text: str, key: Node) -> int:
    """The position after the colon of a key; after the key where it has none (`{a, b}`)."""
    colon = re.compile(r"\s*:").match(text, key.end)
    return colon.end() if colon else key.end


def content_end(text: str, key: Node, value: Node) -> int:
    """The position after the last character of a pair's value, without the comments and blank lines that follow it.
    Raises YamlError."""
    if isinstance(value, Mapping) and not value.flow and value.pairs:
        return content_end(text, *value.pairs[-1])
    if isinstance(value, Sequence) and not value.flow and value.items:
        last = value.items[-1]
        if isinstance(last, Scalar) and last.empty and not last.anchor and not last.tag:
            raise YamlError(tr("the list ends in an empty item; write its value out"), line=value.line)
        return content_end(text, key, last)
    if isinstance(value, Scalar) and value.empty and not value.anchor and not value.tag:
        return after_colon(text, key)
    return value.end
