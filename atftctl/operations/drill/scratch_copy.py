"""Make a scratch copy of the project, and edit its settings. The project itself is only read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from atftctl.host.git import facts as git
from atftctl.host.yaml_text.edit import edit
from atftctl.host.yaml_text.scalar import Scalar
from atftctl.operations.project import Project
from atftctl.protocol.keys import KeyPath

LEFT_OUT = {".git", ".venv", ".atftctl", "backups", "logs", "models", "cache", "run", "__pycache__"}


def copy_project(project: Project, home: Path) -> Path:
    """Copy the files that git tracks, or, without git, all files that no run creates. Return the new folder.

    `home`: the folder that the copy is made in.
    """
    root = project.layout.root
    names = git.tracked_files(root) or [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and not LEFT_OUT.intersection(path.relative_to(root).parts)
    ]
    copy = home / "project"
    for name in names:
        source = root / name
        if not source.is_file() or source.is_symlink() or LEFT_OUT.intersection(Path(name).parts):
            continue
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    return copy


def set_values(root: Path, name: str, edits: Mapping[KeyPath, Scalar]) -> None:
    """Edit settings in one YAML file of the scratch copy, as text. Raises YamlError, OSError."""
    path = root / name
    path.write_bytes(edit(path.read_bytes(), edits))
