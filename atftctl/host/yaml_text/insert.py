"""Where a missing key goes, and how it is written: at the end of its mapping, in the mapping's own style."""

from __future__ import annotations

import re
from dataclasses import dataclass

from atftctl.host.errors import YamlError
from atftctl.host.yaml_text.scalar import Scalar as Value
from atftctl.host.yaml_text.scalar import render
from atftctl.host.yaml_text.tree import Mapping, Node, Scalar, Sequence, after_colon, child, content_end, key_name
from atftctl.protocol.keys import KeyPath

_NUMBER_KEY = re.compile(r"-?(0|[1-9][0-9]*)\Z")

Splice = tuple[int, int, str]  # start, end, and the text that stands there afterwards


def insertion(text: str, root: Node | None, path: KeyPath, value: Value, quote: str) -> Splice:
    """The splice that adds `path` with `value`. Mappings that are missing on the way are added too. `quote`: what every
    string of this text wears, `"` in JSON, else ""."""
    parent_key: Node | None = None
    node = root
    for depth, name in enumerate(path):
        if not isinstance(node, Mapping | Sequence):
            break
        pair = child(node, name)
        if pair is None and isinstance(node, Mapping):
            return _into_mapping(text, node, path[depth:], value, quote)
        if pair is not None:
            parent_key, node = pair
    if isinstance(node, Scalar) and parent_key is not None:
        return _into_null(text, root, parent_key, node, path[depth:], value, quote)
    if node is None or isinstance(node, Scalar):
        raise YamlError("the document is empty; there is no mapping to add a key to", line=node.line if node else 1)
    raise YamlError("no mapping to add a key to", line=node.line)


def _into_mapping(text: str, mapping: Mapping, rest: KeyPath, value: Value, quote: str) -> Splice:
    style = _Style(_key_quote(mapping) or quote, quote, _words_that_are_numbers(mapping))
    if mapping.flow:
        inner = _flow(rest, value, style)
        if not mapping.pairs:
            return _at(mapping.token + 1, inner)
        return _at(content_end(text, *mapping.pairs[-1]), ", " + inner)
    first = mapping.pairs[0][0]
    start = _line_start(text, first.start)
    indent = "".join("\t" if mark == "\t" else " " for mark in text[start : first.start])
    end = content_end(text, *mapping.pairs[-1])
    return _below(text, end, _block(rest, value, indent, _step(text, mapping), style))


def _into_null(
    text: str, root: Node | None, key: Node, null: Scalar, rest: KeyPath, value: Value, quote: str
) -> Splice:
    """A section that is there and empty, or says `null` out loud: that word gives way."""
    style = _Style(quote, quote, numbers=False)
    if null.anchor or null.tag:
        raise YamlError("a null with an anchor or a tag stands where a mapping was expected", line=null.line)
    if not null.empty:
        return null.token, null.end, "{" + _flow(rest, value, style) + "}"
    if key is null:
        raise YamlError("an empty item stands where a mapping was expected; write the item out", line=null.line)
    position = after_colon(text, key)
    line_end = _line_end(text, position)
    behind = text[position:line_end].strip()
    if behind and not behind.startswith("#"):  # `{section: }`
        return _at(position, " {" + _flow(rest, value, style) + "}")
    step = _step(text, root)
    indent = " " * (key.start - _line_start(text, key.start) + step)
    return _below(text, position, _block(rest, value, indent, step, style))


def _at(position: int, text: str) -> Splice:
    return position, position, text


def _below(text: str, position: int, lines: list[str]) -> Splice:
    """The lines, put under the line on which `position` stands (a block of text ends at the start of the next line)."""
    newline = _newline(text, position)
    if position and position == _line_start(text, position) and text[position - 1] == "\n":
        return _at(position, newline.join(lines) + newline)
    return _at(_line_end(text, position), newline + newline.join(lines))


@dataclass(frozen=True)
class _Style:
    """How the mapping writes its keys and this text its strings; `numbers`: its keys are numbers, and so is a new
    one."""

    keys: str
    strings: str
    numbers: bool

    def key(self, name: str) -> str:
        return name if self.numbers and _NUMBER_KEY.match(name) else render(name, quote=self.keys)

    def value(self, value: Value) -> str:
        return render(value, quote=self.strings)


def _block(rest: KeyPath, value: Value, indent: str, step: int, style: _Style) -> list[str]:
    lines = [f"{indent}{' ' * (step * depth)}{style.key(name)}:" for depth, name in enumerate(rest)]
    lines[-1] += " " + style.value(value)
    return lines


def _flow(rest: KeyPath, value: Value, style: _Style) -> str:
    opening = "".join(f"{style.key(name)}: {{" for name in rest[:-1])
    return f"{opening}{style.key(rest[-1])}: {style.value(value)}" + "}" * (len(rest) - 1)


def _words_that_are_numbers(mapping: Mapping) -> bool:
    keys = [key for key, _ in mapping.pairs]
    return bool(keys) and all(
        isinstance(key, Scalar) and not key.style and _NUMBER_KEY.match(key.value) is not None for key in keys
    )


def _key_quote(mapping: Mapping) -> str:
    """The quotes that all keys of the mapping wear, if they do (JSON-like configs)."""
    styles = {key.style for key, _ in mapping.pairs if isinstance(key, Scalar)}
    return styles.pop() if len(styles) == 1 else ""


def _step(text: str, root: Node | None) -> int:
    """How far this text indents a mapping below its key; 2 where it shows no example."""
    stack = [root]
    while stack:
        node = stack.pop(0)
        if not isinstance(node, Mapping) or node.flow:
            continue
        for key, value in node.pairs:
            if isinstance(value, Mapping) and not value.flow and value.pairs and key_name(key) is not None:
                outer = key.start - _line_start(text, key.start)
                first = value.pairs[0][0]
                inner = first.start - _line_start(text, first.start)
                if inner > outer:
                    return inner - outer
            stack.append(value)
    return 2


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, position: int) -> int:
    """Where the line ends, before its line break."""
    found = re.compile(r"\r?\n|\Z").search(text, position)
    return found.start() if found else len(text)


def _newline(text: str, position: int) -> str:
    """The line break in use where the insertion goes: that of this line, else of the one before."""
    following = re.compile(r"\r?\n").search(text, position)
    if following:
        return following.group()
    return "\r\n" if "\r\n" in text[:position] else "\n"
