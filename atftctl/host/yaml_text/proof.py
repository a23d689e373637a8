"""Check an edit: for every kind of YAML reader exactly the intended keys changed, and each has its new value."""

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
from atftctl.protocol.messages import tr


def prove(before: str, after: str, number: int, wanted: Mapping[KeyPath, Scalar]) -> None:
    """Check that the texts differ in nothing but the `wanted` values, in document `number`. Raises YamlError."""
    readers = ((_values, "YAML 1.1"), (_values_1_2, "YAML 1.2"))
    for reader, name in ((_json, "JSON"),) if load_json(before) is not None else readers:
        expected = reader(before) or [None]
        for path, value in wanted.items():
            expected[number] = _with(expected[number], path, value)
        try:
            actual = reader(after)
        except YamlError as error:
            problem = tr("the edited text could not be read ({reason})", reason=error.reason)
            raise YamlError(problem, line=error.line) from None
        if not same(actual, expected):
            other = _first_difference(expected, actual)
            problem = tr(
                "can't be edited exactly: for a {reader} reader, {key} would change too", reader=name, key=other
            )
            raise YamlError(problem)


def _json(text: str) -> list[Any]:
    value = load_json(text)
    if value is None:
        raise YamlError(tr("the edited text would not be JSON any more"))
    return [value]


def _values(text: str) -> list[Any]:
    """The documents as a YAML 1.1 reader sees them (PyYAML, which the trainer uses), with aliases expanded."""
    return [_expand(document.value) for document in yaml_read.read_all(text.encode())]


def _values_1_2(text: str) -> list[Any]:
    """The documents as a YAML 1.2 reader sees them, with aliases expanded."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    reader = YAML(typ="safe", pure=True)
    reader.Constructor = _constructor_1_2()
    try:
        return [_expand(value) for value in reader.load_all(without_tabs(text))]
    except (YAMLError, ValueError, TypeError, IndexError, RecursionError) as error:  # its scanner raises IndexError
        mark = getattr(error, "problem_mark", None)
        reason = str(getattr(error, "problem", "") or error).splitlines()[0]
        raise YamlError(reason, line=mark.line + 1 if mark else 0) from None


@functools.cache
def _constructor_1_2() -> Any:
    """A constructor with the rules of yaml_read: keys are strings, and values are read without unknown tags."""
    from ruamel.yaml.constructor import ConstructorError, SafeConstructor
    from ruamel.yaml.nodes import MappingNode, ScalarNode

    class TextKeys(SafeConstructor):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            mapping = {}
            for key, value in node.value:
                if not isinstance(key, ScalarNode):
                    problem = "a key is a list or a mapping, not a string"
                    raise ConstructorError(None, None, problem, key.start_mark)
                mapping[key.value] = self.construct_object(value, deep=deep)
            return mapping

        def construct_unknown(self, node: Any) -> Any:
            if isinstance(node, ScalarNode):
                return f"{node.ctag} {node.value}"
            construct = self.construct_mapping if isinstance(node, MappingNode) else self.construct_sequence
            return construct(node, deep=True)

    TextKeys.add_constructor(None, TextKeys.construct_unknown)
    return TextKeys


def _expand(value: Any) -> Any:
    """A copy without shared parts, so that one value can be set alone. yaml_read has refused cycles."""
    if isinstance(value, dict):
        return {key: _expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item) for item in value]
    return copy.copy(value)


def _with(value: Any, path: KeyPath, new: Scalar) -> Any:
    """The tree with the value at `path` set; missing mappings above it are added."""
    if not path:
        return new
    if isinstance(value, list):
        index = item_number(path[0]) or 0
        value[index] = _with(value[index], path[1:], new)
        return value
    tree = value if isinstance(value, dict) else {}
    tree[path[0]] = _with(tree.get(path[0]), path[1:], new)
    return tree


def _first_difference(left: Any, right: Any, path: str = "") -> str:
    """The key of the first value that differs."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            if key not in left or key not in right or not same(left[key], right[key]):
                return _first_difference(left.get(key), right.get(key), f"{path}.{key}" if path else str(key))
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (left_item, right_item) in enumerate(zip(left, right, strict=True)):
            if not same(left_item, right_item):
                return _first_difference(left_item, right_item, f"{path}[{index}]" if path else "")
    return path or tr("the document")
