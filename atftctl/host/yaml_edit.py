"""The text-exact YAML edit: the value's span is spliced, everything else keeps its bytes.

After the splice the text is parsed again, by a YAML 1.1 and by a YAML 1.2 reader, and exactly the intended keys
must have changed. What can't be edited this way is refused with its line and the reason; nothing is ever guessed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence as SequenceABC
from typing import Any

from atftctl.host import yaml_read
from atftctl.host.errors import YamlError
from atftctl.host.yaml_insert import insertion
from atftctl.host.yaml_scalar import Scalar as Value
from atftctl.host.yaml_scalar import render, same
from atftctl.host.yaml_tree import Alias, Mapping, Node, Scalar, after_colon, child, parse

KeyPath = tuple[str, ...]
Edits = MappingABC[KeyPath, Value]


def edit(data: bytes, edits: Edits) -> bytes:
    """`data` with each key path set to its value; the same bytes where every key has its value already.

    Raises YamlError for what can't be read, or can't be changed without changing something else too.
    """
    text = yaml_read.decode(data)
    bom, body = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    before = _values(body)
    number = _choose_document(before, list(edits))
    wanted = {path: value for path, value in edits.items() if not _has(before[number], path, value)}
    if not wanted:
        return data
    after = _splice(body, number, wanted)
    _prove(body, after, number, wanted)
    return (bom + after).encode()


def _splice(text: str, number: int, wanted: Edits) -> str:
    """Values that stand there are replaced in one pass; keys that are missing are added one by one."""
    documents = parse(text)
    if documents and number >= len(documents):
        raise YamlError("YAML readers do not agree where its documents begin")
    replacements: list[tuple[int, int, str]] = []
    missing: dict[KeyPath, Value] = {}
    for path, value in wanted.items():
        pair = _find(documents[number] if documents else None, path)
        if pair is None:
            missing[path] = value
        else:
            replacements.append(_replacement(text, *pair, value))
    for start, end, token in sorted(replacements, reverse=True):
        text = text[:start] + token + text[end:]
    for path, value in missing.items():
        documents = parse(text)
        position, added = insertion(text, documents[number] if documents else None, path, value)
        text = text[:position] + added + text[position:]
    return text


def _find(node: Node | None, path: KeyPath) -> tuple[Node, Node] | None:
    """The key and value nodes of `path`; None where it, or something above it, is missing."""
    pair: tuple[Node, Node] | None = None
    for depth, name in enumerate(path):
        if node is None or (isinstance(node, Scalar) and depth and _is_null(node)):
            return None
        if isinstance(node, Alias):
            raise YamlError(
                f"{'.'.join(path[:depth])} is an alias of &{node.anchor}; a change here would change both",
                line=node.line,
            )
        if not isinstance(node, Mapping):
            if isinstance(node, Scalar) and _is_null(node):
                return None
            raise YamlError(f"{'.'.join(path[:depth]) or 'the document'} is not a mapping", line=node.line)
        pair = child(node, name)
        if pair is None:
            return None
        node = pair[1]
    return pair


def _is_null(node: Scalar) -> bool:
    return node.empty or (node.style == "" and node.value in ("", "~", "null", "Null", "NULL"))


def _replacement(text: str, key: Node, value: Node, new: Value) -> tuple[int, int, str]:
    """(start, end, token) of the splice that gives this pair its new value."""
    if isinstance(value, Alias):
        return value.start, value.end, render(new)
    if not isinstance(value, Scalar):
        raise YamlError("a mapping or a list stands where a single value was expected", line=key.line)
    if value.tag is not None:
        raise YamlError(f"the value has an explicit tag {value.tag}", line=value.line)
    if value.style in ("|", ">"):
        raise YamlError("the value is a block of text (| or >)", line=value.line)
    if value.empty and value.anchor is None:
        position = after_colon(text, key)
        gap = "" if text[position - 1 : position] != ":" else " "
        if not gap:
            raise YamlError("a key without a colon", line=key.line)
        return position, position, gap + render(new)
    if value.empty:
        return value.end, value.end, " " + render(new)
    return value.token, value.end, render(new, quote=value.style)


def _prove(before: str, after: str, number: int, wanted: Edits) -> None:
    """Exactly the intended keys changed, and each has its new value, to both kinds of reader."""
    for reader, name in ((_values, "1.1"), (_values_1_2, "1.2")):
        expected = reader(before)
        if not expected:
            expected = [None]
        for path, value in wanted.items():
            expected[number] = _with(expected[number], path, value)
        try:
            found = reader(after)
        except YamlError as error:
            raise YamlError(f"the edit would not be read back ({error.reason})", line=error.line) from None
        if not same(found, expected):
            other = _first_difference(expected, found)
            raise YamlError(f"can't be edited exactly: {other} would change too, to a YAML {name} reader")


def _first_difference(left: Any, right: Any, path: str = "") -> str:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            if key not in left or key not in right or not same(left[key], right[key]):
                return _first_difference(left.get(key), right.get(key), f"{path}.{key}" if path else str(key))
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            if not same(one, other):
                return _first_difference(one, other, f"{path}[{index}]" if path else "")
    return path or "the document"


def _values(text: str) -> list[Any]:
    """What a YAML 1.1 reader (PyYAML, as the trainer) makes of the text, aliases expanded."""
    return [_expand(document.value) for document in yaml_read.read_all(text.encode())]


def _values_1_2(text: str) -> list[Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return [_expand(value) for value in YAML(typ="safe", pure=True).load_all(text)]
    except (YAMLError, ValueError, TypeError, IndexError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = str(getattr(error, "problem", "") or error).splitlines()[0]
        raise YamlError(reason, line=mark.line + 1 if mark else 0) from None


def _expand(value: Any) -> Any:
    """A tree without shared parts, so that one place can be set alone. Cycles were refused by yaml_read."""
    if isinstance(value, dict):
        return {key: _expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item) for item in value]
    return copy.copy(value)


def _choose_document(values: SequenceABC[Any], paths: SequenceABC[KeyPath]) -> int:
    """Where a file holds several documents, the one that has the first key of every path."""
    if len(values) <= 1:
        if not values:
            raise YamlError("the file is empty; there is no mapping to edit", line=1)
        return 0
    homes = {
        number for number, value in enumerate(values) for path in paths if isinstance(value, dict) and path[0] in value
    }
    if len(homes) != 1:
        raise YamlError(f"{len(values)} documents in one file, and {len(homes)} of them hold {paths[0][0]!r}")
    return homes.pop()


def _has(value: Any, path: KeyPath, wanted: Value) -> bool:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return same(value, wanted)


def _with(value: Any, path: KeyPath, new: Value) -> Any:
    tree = value if isinstance(value, dict) else {}
    if len(path) == 1:
        tree[path[0]] = new
    else:
        tree[path[0]] = _with(tree.get(path[0]), path[1:], new)
    return tree
