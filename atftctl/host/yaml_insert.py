"""Where a missing key goes, and how it is written: at the end of its mapping, in the mapping's own style."""

from __future__ import annotations

import re

from atftctl.host.errors import YamlError
from atftctl.host.yaml_scalar import Scalar as Value
from atftctl.host.yaml_scalar import render
from atftctl.host.yaml_tree import Mapping, Node, Scalar, after_colon, child, content_end, key_name


def insertion(text: str, root: Node | None, path: tuple[str, ...], value: Value) -> tuple[int, str]:
    """(position, text to insert) that adds `path` with `value`. Mappings that are missing on the way are added too."""
    parent_key: Node | None = None
    node = root
    for depth, name in enumerate(path):
        if not isinstance(node, Mapping):
            break
        pair = child(node, name)
        if pair is None:
            return _into_mapping(text, node, path[depth:], value)
        parent_key, node = pair
    if isinstance(node, Scalar) and parent_key is not None:
        return _into_null(text, root, parent_key, node, path[depth:], value)
    if node is None or isinstance(node, Scalar):
        raise YamlError("the document is empty; there is no mapping to add a key to", line=node.line if node else 1)
    raise YamlError("no mapping to add a key to", line=node.line)


def _into_mapping(text: str, mapping: Mapping, rest: tuple[str, ...], value: Value) -> tuple[int, str]:
    if mapping.flow:
        inner = _flow(rest, value, quote=_key_quote(mapping))
        if not mapping.pairs:
            return mapping.token + 1, inner
        return content_end(text, *mapping.pairs[-1]), ", " + inner
    first = mapping.pairs[0][0]
    indent = " " * (first.start - _line_start(text, first.start))
    end = content_end(text, *mapping.pairs[-1])
    lines = _block(rest, value, indent, step=_step(text, mapping), quote=_key_quote(mapping))
    return _below(text, end, lines)


def _into_null(
    text: str, root: Node | None, key: Node, null: Scalar, rest: tuple[str, ...], value: Value
) -> tuple[int, str]:
    """A section that is there and empty. What says `null` out loud, or stands in flow style, can't take a line
    below."""
    if not null.empty or null.anchor or null.tag:
        raise YamlError("an explicit null stands where a mapping was expected; remove the word", line=null.line)
    position = after_colon(text, key)
    line_end = _line_end(text, position)
    behind = text[position:line_end].strip()
    if behind and not behind.startswith("#"):  # `{section: }`
        return position, " {" + _flow(rest, value, quote="") + "}"
    step = _step(text, root)
    indent = " " * (key.start - _line_start(text, key.start) + step)
    return _below(text, position, _block(rest, value, indent, step=step, quote=""))


def _below(text: str, position: int, lines: list[str]) -> tuple[int, str]:
    """The lines, put under the line on which `position` stands (a block of text ends at the start of the next line)."""
    newline = _newline(text, position)
    if position and position == _line_start(text, position) and text[position - 1] == "\n":
        return position, newline.join(lines) + newline
    return _line_end(text, position), newline + newline.join(lines)


def _block(rest: tuple[str, ...], value: Value, indent: str, *, step: int, quote: str) -> list[str]:
    lines = [f"{indent}{' ' * (step * depth)}{_key(name, quote)}:" for depth, name in enumerate(rest)]
    lines[-1] += " " + render(value)
    return lines


def _flow(rest: tuple[str, ...], value: Value, *, quote: str) -> str:
    opening = "".join(f"{_key(name, quote)}: {{" for name in rest[:-1])
    return f"{opening}{_key(rest[-1], quote)}: {render(value)}" + "}" * (len(rest) - 1)


def _key(name: str, quote: str) -> str:
    return render(name, quote=quote)


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
