"""The proof of an edit: exactly the intended keys changed, and each has its new value, to every kind of reader."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from atftctl.host.errors import YamlError
from atftctl.host.yaml_text import read as yaml_read
from atftctl.host.yaml_text.scalar import Scalar, same
from atftctl.host.yaml_text.tree import without_tabs
from atftctl.protocol.configs import load_json
from atftctl.protocol.keys import KeyPath, item_number


def prove(before: str, after: str, number: int, wanted: Mapping[KeyPath, Scalar]) -> None:
    """Of the document `number` of these texts. Raises YamlError."""
    readers = ((_values, "YAML 1.1"), (_values_1_2, "YAML 1.2"))
    for reader, name in ((_json, "JSON"),) if load_json(before) is not None else readers:
        expected = reader(before) or [None]
        for path, value in wanted.items():
            expected[number] = _with(expected[number], path, value)
        try:
            found = reader(after)
        except YamlError as error:
            raise YamlError(f"the edit would not be read back ({error.reason})", line=error.line) from None
        if not same(found, expected):
            other = _first_difference(expected, found)
            raise YamlError(f"can't be edited exactly: {other} would change too, to a {name} reader")


def _json(text: str) -> list[Any]:
    found = load_json(text)
    if found is None:
        raise YamlError("it would not be JSON any more")
    return [found]


def _values(text: str) -> list[Any]:
    """What a YAML 1.1 reader (PyYAML, as the trainer) makes of the text, aliases expanded."""
    return [_expand(document.value) for document in yaml_read.read_all(text.encode())]


def _values_1_2(text: str) -> list[Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    reader = YAML(typ="safe", pure=True)
    reader.Constructor = _constructor_1_2()
    try:
        return [_expand(value) for value in reader.load_all(without_tabs(text))]
    except (
        YAMLError,
        ValueError,
        TypeError,
        IndexError,
        RecursionError,
    ) as error:  # IndexError: its scanner can
        mark = getattr(error, "problem_mark", None)
        reason = str(getattr(error, "problem", "") or error).splitlines()[0]
        raise YamlError(reason, line=mark.line + 1 if mark else 0) from None


@functools.cache
def _constructor_1_2() -> Any:
    """Keys are the words that stand there, and unknown tags what they stand on, as in yaml_read."""
    from ruamel.yaml.constructor import ConstructorError, SafeConstructor
    from ruamel.yaml.nodes import MappingNode, ScalarNode

    class WordKeys(SafeConstructor):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            found = {}
            for key, value in node.value:
                if not isinstance(key, ScalarNode):
                    raise ConstructorError(None, None, "a key that is no word", key.start_mark)
                found[key.value] = self.construct_object(value, deep=deep)
            return found

        def construct_unknown(self, node: Any) -> Any:
            if isinstance(node, ScalarNode):
                return f"{node.ctag} {node.value}"
            whole = self.construct_mapping if isinstance(node, MappingNode) else self.construct_sequence
            return whole(node, deep=True)

    WordKeys.add_constructor(None, WordKeys.construct_unknown)
    return WordKeys


def _expand(value: Any) -> Any:
    """A tree without shared parts, so that one place can be set alone. Cycles were refused by yaml_read."""
    if isinstance(value, dict):
        return {key: _expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item) for item in value]
    return copy.copy(value)


def _with(value: Any, path: KeyPath, new: Scalar) -> Any:
    """The tree with this value set; mappings that are missing on the way are made."""
    if not path:
        return new
    if isinstance(value, list):
        at = item_number(path[0]) or 0
        value[at] = _with(value[at], path[1:], new)
        return value
    tree = value if isinstance(value, dict) else {}
    tree[path[0]] = _with(tree.get(path[0]), path[1:], new)
    return tree


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
