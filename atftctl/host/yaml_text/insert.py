"""Insert a missing key: at the end of its mapping, in the style of that mapping."""

from __future__ import annotations

import re
from dataclasses import dataclass

from atftctl.host.errors import YamlError
from atftctl.host.yaml_text.scalar import Scalar as Value
from atftctl.host.yaml_text.scalar import render
from atftctl.host.yaml_text.tree import Mapping, Node, Scalar, Sequence, after_colon, child, content_end, key_name
from atftctl.protocol.keys import KeyPath
from atftctl.protocol.messages import tr

_NUMBER_KEY = re.compile(r"-?(0|[1-9][0-9]*)\Z")

Splice = tuple[int, int, str]  # start and end of the text to replace, and the new text


def insertion(text: str, root: Node | None, path: KeyPath, value: Value, quote: str) -> Splice:
    """The splice that adds `path` with `value`, and the mappings above it that are missing. `quote`: the quote of every
    string in this text: `"` in JSON, else "". Raises YamlError."""
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
        text = tr("the document is empty; there is no mapping to add a key to")
        raise YamlError(text, line=node.line if node else 1)
    raise YamlError(tr("there is no mapping to add a key to"), line=node.line)


def _into_mapping(text: str, mapping: Mapping, rest: KeyPath, value: Value, quote: str) -> Splice:
    style = _Style(_key_quote(mapping) or quote, quote, _has_number_keys(mapping))
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
    """The splice for a section that is empty or `null`; the word `null` is replaced."""
    style = _Style(quote, quote, numbers=False)
    if null.anchor or null.tag:
        text = tr("a mapping was expected, not a null with an anchor or a tag")
        raise YamlError(text, line=null.line)
    if not null.empty:
        return null.token, null.end, "{" + _flow(rest, value, style) + "}"
    if key is null:
        raise YamlError(tr("a mapping was expected, not an empty item; write the item out"), line=null.line)
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
    """The splice that puts these lines after the line of `position` (a block scalar ends at the start of the next
    line)."""
    newline = _newline(text, position)
    if position and position == _line_start(text, position) and text[position - 1] == "\n":
        return _at(position, newline.join(lines) + newline)
    return _at(_line_end(text, position), newline + newline.join(lines))


@dataclass(frozen=True)
class _Style:
    """The quotes of a mapping's keys and of the text's strings. `numbers`: the keys of the mapping are numbers, and a
    new key is written like one."""

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


def _has_number_keys(mapping: Mapping) -> bool:
    keys = [key for key, _ in mapping.pairs]
    return bool(keys) and all(
        isinstance(key, Scalar) and not key.style and _NUMBER_KEY.match(key.value) is not None for key in keys
    )


def _key_quote(mapping: Mapping) -> str:
    """The quote of all keys of the mapping; "" where they have none, or different ones."""
    styles = {key.style for key, _ in mapping.pairs if isinstance(key, Scalar)}
    return styles.pop() if len(styles) == 1 else ""


def _step(text: str, root: Node | None) -> int:
    """By how many characters this text indents a mapping below its key; 2 where it has no example."""
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
    """The end of the line, before its line break."""
    end = re.compile(r"\r?\n|\Z").search(text, position)
    return end.start() if end else len(text)


def _newline(text: str, position: int) -> str:
    """The line break to insert: that of this line, else that of the line before."""
    following = re.compile(r"\r?\n").search(text, position)
    if following:
        return following.group()
    return "\r\n" if "\r\n" in text[:position] else "\n"
