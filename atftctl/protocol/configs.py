"""Reading of config files. The ops side and the trainer both use this, so that they compute the same digest."""

from __future__ import annotations

import functools
import json
import math
import re
from typing import Any

import yaml

from atftctl.protocol.messages import tr

# A number as YAML 1.2 and OmegaConf read it. PyYAML alone would read `1e-7` as a string.
NUMBER = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+|[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?)\Z"
)
DIGITS_MAX = 320  # of an integer: a few more than the largest float has; converting millions of digits takes too long


def load_settings(text: str) -> Any:
    """The value of a config file's text, read as JSON where it is JSON, else as YAML. Raises ValueError and
    yaml.YAMLError."""
    settings = load_json(text)
    if settings is not None:
        return settings
    try:
        return yaml.load(text, Loader=settings_loader())  # noqa: S506 - a safe loader
    except (KeyError, IndexError, AttributeError, TypeError):  # PyYAML's, for `!!int ''` and the like
        raise ValueError(tr("a value does not have the type that its tag says")) from None


def load_json(text: str) -> dict[str, Any] | None:
    """The object that a JSON text holds; None for any other text."""
    if not text.lstrip(" \t\r\n").startswith("{"):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@functools.cache
def settings_loader() -> Any:
    """PyYAML's safe loader class with the rules for configs: `1e-7` is a number and a date is a string, as for
    OmegaConf; a key is always a string, also `on` or `1`, so that YAML 1.1 and YAML 1.2 readers see the same keys."""

    class SettingsLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            mapping = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    problem = tr("a key is a list or a mapping, not a string")
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                mapping[key.value] = self.construct_object(value, deep=deep)
            return mapping

        def construct_yaml_int(self, node: Any) -> int:
            if len(node.value) > DIGITS_MAX:
                raise yaml.constructor.ConstructorError(None, None, _too_long(node.value), node.start_mark)
            return int(super().construct_yaml_int(node))

        def construct_yaml_float(self, node: Any) -> float | str:
            value = float(super().construct_yaml_float(node))
            overflown = math.isinf(value) and "inf" not in node.value.lower()
            return str(node.value) if overflown else value  # 695e0514 is a commit, not a number

    SettingsLoader.add_constructor("tag:yaml.org,2002:int", SettingsLoader.construct_yaml_int)
    SettingsLoader.add_constructor("tag:yaml.org,2002:float", SettingsLoader.construct_yaml_float)
    for tag in ("value", "merge"):  # `=` and `<<` in the place of a value
        SettingsLoader.add_constructor(f"tag:yaml.org,2002:{tag}", SettingsLoader.construct_yaml_str)
    SettingsLoader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))
    SettingsLoader.yaml_implicit_resolvers = {
        first: [resolver for resolver in resolvers if resolver[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in SettingsLoader.yaml_implicit_resolvers.items()
    }
    return SettingsLoader


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError(tr("a key appears twice"))
    return mapping


def _integer(digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise ValueError(_too_long(digits))
    return int(digits)


def _too_long(digits: str) -> str:
    return tr("a number has {count} digits; at most {limit} are read", count=len(digits), limit=DIGITS_MAX)
