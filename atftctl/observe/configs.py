"""Read the config files, and compute the digest of their merged settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from atftctl.domain.facts import ConfigFile
from atftctl.domain.runbook import Files
from atftctl.host.errors import NotRegularError, OutsideProjectError, YamlError, reason
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.fingerprint import sha256_bytes, sha256_file
from atftctl.host.files.reading import open_regular
from atftctl.host.yaml_text.read import MAX_BYTES, read
from atftctl.protocol import config_digest, merge_settings
from atftctl.protocol.messages import tr


def read_config(root: Path, name: str) -> ConfigFile:
    """Read one config file. Raises nothing: that a config can't be read is one of the facts, and `restore` needs no
    config."""
    try:
        with open_regular(resolve_inside(root, name)) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ConfigFile(name, None, error=tr("the file is missing"))
    except (OutsideProjectError, NotRegularError) as error:
        return ConfigFile(name, None, error=error.message)
    except OSError as error:
        return ConfigFile(name, None, error=tr("the file can't be read: {reason}", reason=reason(error)))
    digest = sha256_bytes(data) if len(data) <= MAX_BYTES else sha256_file(root / name)
    if not data.strip(b"\0 \t\r\n"):
        return ConfigFile(name, digest, error=tr("the file is empty"))
    try:
        value = read(data).value
    except YamlError as error:
        return ConfigFile(name, digest, error=error.message)
    if value is None:
        return ConfigFile(name, digest)
    if not isinstance(value, dict):
        return ConfigFile(name, digest, error=tr("line 1: a mapping was expected"))
    return ConfigFile(name, digest, value)


def read_configs(root: Path, files: Files) -> dict[str, ConfigFile]:
    """Read the config files of a runbook, by name."""
    return {name: in_place(read_config(root, name), files) for name in files.configs}


def in_place(config: ConfigFile, files: Files) -> ConfigFile:
    """The config with the key under which the trainer merges it."""
    return replace(config, namespace=files.namespace(config.path)) if files.namespaces else config


def digest(configs: Mapping[str, ConfigFile]) -> str:
    """The digest of the merged settings of these files; "" where one of them can't be read."""
    if any(config.error for config in configs.values()):
        return ""
    return config_digest(merge_settings(config.layer for config in configs.values()))
