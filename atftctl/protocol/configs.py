"""How a config file is read: the same by the ops side and by the trainer, since both make its digest."""

from __future__ import annotations

import functools
import json
import math
import re
from typing import Any

import yaml

# A number as people write it, and as YAML 1.2 and OmegaConf read it. PyYAML alone would make a string of `1e-7`.
NUMBER = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+|[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?)\Z"
)
DIGITS_MAX = 320  # of a whole number, some more than the largest float has; Python takes for ever over millions


def load_settings(text: str) -> Any:
    """The value of a config file's text: JSON where it is JSON, else YAML. Raises ValueError and yaml.YAMLError."""
    found = load_json(text)
    if found is not None:
        return found
    try:
        return yaml.load(text, Loader=settings_loader())  # noqa: S506 - a safe loader
    except (KeyError, IndexError, AttributeError, TypeError):  # PyYAML's, for `!!int ''` and the like
        raise ValueError("a value that is not what its explicit tag says") from None


def load_json(text: str) -> dict[str, Any] | None:
    """The object that a JSON text holds; None for any other text."""
    if not text.lstrip(" \t\r\n").startswith("{"):
        return None
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


@functools.cache
def settings_loader() -> Any:
    """PyYAML's safe loader class as both sides use it for configs: `1e-7` is a number and a date a word, as they are to
    OmegaConf; a key is the word that stands there, be it `on` or `1`, so that readers of YAML 1.1 and 1.2 have the same
    keys."""

    class SettingsLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            found = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(None, None, "a key that is no word", key.start_mark)
                found[key.value] = self.construct_object(value, deep=deep)
            return found

        def construct_yaml_int(self, node: Any) -> int:
            if len(node.value) > DIGITS_MAX:
                words = f"a number of {len(node.value)} digits"
                raise yaml.constructor.ConstructorError(None, None, words, node.start_mark)
            return int(super().construct_yaml_int(node))

        def construct_yaml_float(self, node: Any) -> float | str:
            value = float(super().construct_yaml_float(node))
            overflown = math.isinf(value) and "inf" not in node.value.lower()
            return str(node.value) if overflown else value  # 695e0514 is a commit, and no number

    SettingsLoader.add_constructor("tag:yaml.org,2002:int", SettingsLoader.construct_yaml_int)
    SettingsLoader.add_constructor("tag:yaml.org,2002:float", SettingsLoader.construct_yaml_float)
    for tag in ("value", "merge"):  # `=` and `<<` where a value stands
        SettingsLoader.add_constructor(f"tag:yaml.org,2002:{tag}", SettingsLoader.construct_yaml_str)
    SettingsLoader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))
    SettingsLoader.yaml_implicit_resolvers = {
        first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in SettingsLoader.yaml_implicit_resolvers.items()
    }
    return SettingsLoader
