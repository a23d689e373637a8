"""YAML text as a tree of spans: where each token starts and ends, in characters. Built from ruamel's events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from atftctl.host.errors import YamlError

_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*\s+)+")


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
    pass


@dataclass
class Mapping(Node):
    flow: bool = False
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


@dataclass
class Sequence(Node):
    flow: bool = False
    items: list[Node] = field(default_factory=list)


def parse(text: str) -> list[Node]:
    """The documents of `text` (without BOM)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        events = YAML(typ="safe", pure=True).parse(text)  # without comments, a third faster
        return list(_documents(events, text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = str(error.problem or error.context)
        if "'\\t'" in reason:
            reason = "a tab where YAML 1.2 allows none; replace it by spaces"
        raise YamlError(reason, line=mark.line + 1 if mark else 0) from None
    except (YAMLError, ValueError, IndexError, RecursionError) as error:  # IndexError: its scanner, at some ends
        raise YamlError(str(error).splitlines()[0] if str(error) else "can't be read") from None


def _documents(events: Iterator[Any], text: str) -> Iterator[Node]:
    for event in events:
        if type(event).__name__ == "DocumentStartEvent":
            yield _node(next(events), events, text)


def _node(event: Any, events: Iterator[Any], text: str) -> Node:
    kind = type(event).__name__
    start, end, line = event.start_mark.index, event.end_mark.index, event.start_mark.line + 1
    if kind == "AliasEvent":
        return Alias(start, end, start, line, anchor=event.anchor)
    tag = None if event.ctag is None else str(event.ctag)
    properties = _PROPERTIES.match(text, start) if event.anchor or tag else None
    token = min(properties.end(), end) if properties else start
    if event.anchor and not properties:
        token = end  # an anchor on nothing: `key: &a`
    common = {"start": start, "token": token, "line": line, "anchor": event.anchor, "tag": tag}
    if kind == "ScalarEvent":
        return Scalar(end=end, value=event.value, style=event.style or "", **common)
    flow = bool(event.flow_style)
    if kind == "SequenceStartEvent":
        sequence = Sequence(end=end, flow=flow, **common)
        while type(event := next(events)).__name__ != "SequenceEndEvent":
            sequence.items.append(_node(event, events, text))
        sequence.end = event.end_mark.index
        return sequence
    mapping = Mapping(end=end, flow=flow, **common)
    while type(event := next(events)).__name__ != "MappingEndEvent":
        key = _node(event, events, text)
        mapping.pairs.append((key, _node(next(events), events, text)))
    mapping.end = event.end_mark.index
    return mapping


def key_name(node: Node) -> str | None:
    return node.value if isinstance(node, Scalar) else None


def child(mapping: Mapping, name: str) -> tuple[Node, Node] | None:
    """The pair of this key; a key that stands twice is refused."""
    found = [pair for pair in mapping.pairs if key_name(pair[0]) == name]
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
