"""Edit values in YAML and JSON text: only the text of a value is replaced, everything else keeps its bytes.

After the edit the text is read again by a YAML 1.1 and by a YAML 1.2 reader (JSON by a JSON reader), and exactly the
intended keys must have changed. What can't be edited this way is refused with its line and the reason.
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
from atftctl.protocol.messages import tr

Edits = MappingABC[KeyPath, Value]
LONGEST = 512 << 10  # bytes; for such a text the YAML 1.2 reader takes ten seconds
_BLOCK_MARK = re.compile(r"[|>][-+0-9]*")
_MISSING = object()


def edit(data: bytes, edits: Edits) -> bytes:
    """The text `data` with the value of each key path set; the same bytes where every key has its value already. In a
    path a list item is named by its number; where a file holds several documents, a path may begin with the number of
    the document, from 0.

    Raises YamlError for text that can't be read, or can't be changed without changing something else too.
    """
    if len(data) > LONGEST:
        problem = tr(
            "the file has {size} kB; a file of more than {limit} kB is not edited",
            size=len(data) >> 10,
            limit=LONGEST >> 10,
        )
        raise YamlError(problem)
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
    """Replace the values of existing keys in one pass, then add missing keys one by one."""
    quote = '"' if is_json else ""
    documents = parse(text, is_json=is_json)
    if documents and number >= len(documents):
        raise YamlError(tr("YAML readers do not agree where the documents in the file begin"))
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
    """The key and value nodes of `path`; None where the key, or a mapping above it, is missing."""
    pair: Pair | None = None
    for depth, name in enumerate(path):
        if node is None or (isinstance(node, Scalar) and is_null(node)):
            return None
        above = key_text(path[:depth]) or tr("the document")
        if isinstance(node, Alias):
            problem = tr(
                "{key} is an alias of &{anchor}: changing it would also change &{anchor}", key=above, anchor=node.anchor
            )
            raise YamlError(problem, line=node.line)
        if not isinstance(node, Mapping | Sequence):
            raise YamlError(tr("{key} is not a mapping", key=above), line=node.line)
        pair = child(node, name)
        if pair is None:
            return None
        node = pair[1]
    return pair


def _replacement(text: str, key: Node, value: Node, new: Value, quote: str) -> tuple[int, int, str]:
    """(start, end, token) of the splice that sets the new value of this pair."""
    if isinstance(value, Alias):
        if not value.single:
            problem = tr(
                "a single value was expected, not an alias of a mapping or a list (&{anchor})", anchor=value.anchor
            )
            raise YamlError(problem, line=value.line)
        return value.start, value.end, render(new, quote=quote)
    if not isinstance(value, Scalar):
        raise YamlError(tr("a single value was expected, not a mapping or a list"), line=key.line)
    token = render(new, quote=value.style if value.style in ("'", '"') else quote)
    if value.style in ("|", ">"):
        start, end, token = _over_block(text, value, token)
    elif value.empty and value.tag is None:
        return _into_nothing(text, key, value, token)
    else:
        start, end = value.token, value.end
    if value.tag is not None:  # the tag says how the old value is to be read, and is removed with it
        if "#" in text[value.start : value.token]:
            problem = tr("there is a comment between the tag and its value; write both on one line")
            raise YamlError(problem, line=value.line)
        return value.start, end, f"&{value.anchor} {token}" if value.anchor else token
    return start, end, token


def _over_block(text: str, value: Scalar, token: str) -> tuple[int, int, str]:
    """The splice for a block scalar (`|` or `>`): all its lines are replaced; a comment after its mark and the blank
    lines that follow it stay."""
    mark = _BLOCK_MARK.match(text, value.token)
    head = mark.end() if mark else value.token
    first_line = text[head : value.end].splitlines()[0] if text[head : value.end] else ""
    last = value.token + len(text[value.token : value.end].rstrip(" \t\r\n"))
    return value.token, max(last, head + len(first_line)), token + first_line


def _into_nothing(text: str, key: Node, value: Scalar, token: str) -> tuple[int, int, str]:
    """The splice for `key:` or `-` with no value, or with an anchor only."""
    if value.anchor is not None:
        return value.end, value.end, " " + token
    if key is value:  # an item of a list
        gap = "" if text[value.start - 1 : value.start] in (" ", "[", ",") else " "
        return value.start, value.start, gap + token
    position = after_colon(text, key)
    if text[position - 1 : position] != ":":
        raise YamlError(tr("there is no colon after this key; write it as `key: value`"), line=key.line)
    return position, position, " " + token


def _choose_document(values: SequenceABC[Any], edits: Edits) -> tuple[int, Edits]:
    """The number of the document to edit, and the edits in it. Among several documents: the only one that has every
    path, else the only one that has the first key of every path, else the one whose number every path begins with."""
    if len(values) <= 1:
        if not values:
            raise YamlError(tr("the file is empty or holds comments only; there is no mapping to edit"), line=1)
        return 0, edits
    for length in (None, 1):
        paths = [path[:length] for path in edits]
        homes = [
            number for number, value in enumerate(values) if all(_at(value, path) is not _MISSING for path in paths)
        ]
        if len(homes) == 1:
            return homes[0], edits
    numbers = {path[0] for path in edits}
    first = item_number(numbers.pop()) if len(numbers) == 1 else None
    if first is not None and first < len(values):
        return first, {path[1:]: value for path, value in edits.items()}
    problem = tr(
        "the file holds {count} documents, and {matches} of them have the key {key!r}; "
        "begin the key with the number of the document, 0 to {last}",
        count=len(values),
        matches=len(homes),
        key=paths[0][0],
        last=len(values) - 1,
    )
    raise YamlError(problem)


def _at(value: Any, path: KeyPath) -> Any:
    """The value at `path`, or _MISSING."""
    for name in path:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and (number := item_number(name)) is not None and number < len(value):
            value = value[number]
        else:
            return _MISSING
    return value


def _has(value: Any, path: KeyPath, wanted: Value) -> bool:
    current = _at(value, path)
    return current is not _MISSING and same(current, wanted)
