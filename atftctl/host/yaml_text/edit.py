"""The text-exact edit of YAML and JSON: the value's span is spliced, everything else keeps its bytes.

After the splice the text is parsed again, by a YAML 1.1 and by a YAML 1.2 reader (JSON by a JSON reader), and exactly
the intended keys must have changed. What can't be edited this way is refused with its line and the reason; nothing is
ever guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence as SequenceABC
from typing import Any

from atftctl.host.errors import YamlError
from atftctl.host.yaml_text import read as yaml_read
from atftctl.host.yaml_text.insert import insertion
from atftctl.host.yaml_text.proof import prove
from atftctl.host.yaml_text.scalar import Scalar as Value
from atftctl.host.yaml_text.scalar import render, same
from atftctl.host.yaml_text.tree import Alias, Mapping, Node, Pair, Scalar, Sequence, after_colon, child, is_null, parse
from atftctl.protocol.configs import load_json
from atftctl.protocol.keys import KeyPath, item_number, key_text

Edits = MappingABC[KeyPath, Value]
LONGEST = 512 << 10  # bytes; its proof by the second reader takes ten seconds
_BLOCK_MARK = re.compile(r"[|>][-+0-9]*")


def edit(data: bytes, edits: Edits) -> bytes:
    """`data` with each key path set to its value; the same bytes where every key has its value already. An item of a
    list is named by its number; where a file holds several documents, a path may begin with the document's number.

    Raises YamlError for what can't be read, or can't be changed without changing something else too.
    """
    if len(data) > LONGEST:
        raise YamlError(f"{len(data) >> 10} kB; a text of more than {LONGEST >> 10} kB is not edited")
    text = yaml_read.decode(data)
    bom, body = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    before = [document.value for document in yaml_read.read_all(data)]
    number, edits = _choose_document(before, edits)
    wanted = {path: value for path, value in edits.items() if not _has(before[number], path, value)}
    if not wanted:
        return data
    after = _splice(body, number, wanted, is_json=load_json(body) is not None)
    prove(body, after, number, wanted)
    return (bom + after).encode()


def _splice(text: str, number: int, wanted: Edits, *, is_json: bool) -> str:
    """Values that stand there are replaced in one pass; keys that are missing are added one by one."""
    quote = '"' if is_json else ""
    documents = parse(text, is_json=is_json)
    if documents and number >= len(documents):
        raise YamlError("YAML readers do not agree where its documents begin")
    replacements: list[tuple[int, int, str]] = []
    missing: dict[KeyPath, Value] = {}
    for path, value in wanted.items():
        pair = _find(documents[number] if documents else None, path)
        if pair is None:
            missing[path] = value
        else:
            replacements.append(_replacement(text, *pair, value, quote))
    for start, end, token in sorted(replacements, reverse=True):
        text = text[:start] + token + text[end:]
    for path, value in missing.items():
        documents = parse(text, is_json=is_json)
        start, end, token = insertion(text, documents[number] if documents else None, path, value, quote)
        text = text[:start] + token + text[end:]
    return text


def _find(node: Node | None, path: KeyPath) -> Pair | None:
    """The key and value nodes of `path`; None where it, or something above it, is missing."""
    pair: Pair | None = None
    for depth, name in enumerate(path):
        if node is None or (isinstance(node, Scalar) and is_null(node)):
            return None
        above = key_text(path[:depth]) or "the document"
        if isinstance(node, Alias):
            raise YamlError(f"{above} is an alias of &{node.anchor}; a change here would change both", line=node.line)
        if not isinstance(node, Mapping | Sequence):
            raise YamlError(f"{above} is not a mapping", line=node.line)
        pair = child(node, name)
        if pair is None:
            return None
        node = pair[1]
    return pair


def _replacement(text: str, key: Node, value: Node, new: Value, quote: str) -> tuple[int, int, str]:
    """(start, end, token) of the splice that gives this pair its new value."""
    if isinstance(value, Alias):
        if not value.single:
            raise YamlError(
                f"an alias of a mapping or a list (&{value.anchor}) stands where a single value was expected",
                line=value.line,
            )
        return value.start, value.end, render(new, quote=quote)
    if not isinstance(value, Scalar):
        raise YamlError("a mapping or a list stands where a single value was expected", line=key.line)
    token = render(new, quote=value.style if value.style in ("'", '"') else quote)
    if value.style in ("|", ">"):
        start, end, token = _over_block(text, value, token)
    elif value.empty and value.tag is None:
        return _into_nothing(text, key, value, token)
    else:
        start, end = value.token, value.end
    if value.tag is not None:  # it says how the old value is to be read, and goes with it
        if "#" in text[value.start : value.token]:
            raise YamlError("a comment stands between the tag and its value; write them on one line", line=value.line)
        return value.start, end, f"&{value.anchor} {token}" if value.anchor else token
    return start, end, token


def _over_block(text: str, value: Scalar, token: str) -> tuple[int, int, str]:
    """A block of text (`|` or `>`) gives way with its lines; a comment behind its mark stays, and so do the blank lines
    that follow it."""
    mark = _BLOCK_MARK.match(text, value.token)
    head = mark.end() if mark else value.token
    first_line = text[head : value.end].splitlines()[0] if text[head : value.end] else ""
    last = value.token + len(text[value.token : value.end].rstrip(" \t\r\n"))
    return value.token, max(last, head + len(first_line)), token + first_line


def _into_nothing(text: str, key: Node, value: Scalar, token: str) -> tuple[int, int, str]:
    """For `key:` and for `-` with nothing behind them, or with an anchor alone."""
    if value.anchor is not None:
        return value.end, value.end, " " + token
    if key is value:  # an item of a list
        gap = "" if text[value.start - 1 : value.start] in (" ", "[", ",") else " "
        return value.start, value.start, gap + token
    position = after_colon(text, key)
    if text[position - 1 : position] != ":":
        raise YamlError("no colon stands behind this key; write it as `key: value`", line=key.line)
    return position, position, " " + token


def _choose_document(values: SequenceABC[Any], edits: Edits) -> tuple[int, Edits]:
    """Where a file holds several documents: the one that alone has every path, else the one that alone has every first
    key, else the one whose number begins every path, which it is taken from."""
    if len(values) <= 1:
        if not values:
            raise YamlError("the file is empty or holds comments only; there is no mapping to edit", line=1)
        return 0, edits
    for length in (None, 1):
        paths = [path[:length] for path in edits]
        homes = [at for at, value in enumerate(values) if all(_at(value, path) is not _NOWHERE for path in paths)]
        if len(homes) == 1:
            return homes[0], edits
    numbers = {path[0] for path in edits}
    first = item_number(numbers.pop()) if len(numbers) == 1 else None
    if first is not None and first < len(values):
        return first, {path[1:]: value for path, value in edits.items()}
    raise YamlError(
        f"{len(values)} documents in one file, and {len(homes)} of them hold {paths[0][0]!r}; "
        f"begin the key with the document's number, 0 to {len(values) - 1}"
    )


_NOWHERE = object()


def _at(value: Any, path: KeyPath) -> Any:
    """The value at `path`, or _NOWHERE."""
    for name in path:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and (at := item_number(name)) is not None and at < len(value):
            value = value[at]
        else:
            return _NOWHERE
    return value


def _has(value: Any, path: KeyPath, wanted: Value) -> bool:
    found = _at(value, path)
    return found is not _NOWHERE and same(found, wanted)
