"""Where `init` may write a runbook."""

from __future__ import annotations

import os
import re
from pathlib import Path

from atftctl.domain.errors import Refused, UsageError
from atftctl.host.errors import reason
from atftctl.host.process import inherited_state
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

FOLDER = "runbooks"


def checked_folder(start: Path) -> Path:
    """The real path of the folder that becomes a project. Raises UsageError, and Refused where it has a runbook."""
    if not start.is_absolute() and inherited_state.lost_folder():
        raise UsageError(tr("the working folder ({path}) does not exist any more", path=inherited_state.lost_folder()))
    root = start.resolve()
    if not root.is_dir():
        raise UsageError(tr("{path} is not a folder", path=start))
    if root in (Path("/"), _home()):
        raise Refused(
            tr("{path} is not the folder of one project", path=root), hint=tr("cd into the project, or --project DIR")
        )
    refuse_runbook(root)
    return root


def _home() -> Path | None:
    """The user's home; None for a user who has none, as in a container."""
    try:
        return Path.home().resolve()
    except (RuntimeError, OSError):
        return None


def outer_project(root: Path) -> Path | None:
    """The nearest folder above that has a runbook; None where there is none."""
    return next((folder for folder in root.parents if any((folder / FOLDER).glob("*.yaml"))), None)


def refuse_runbook(root: Path) -> None:
    """Raises Refused where the folder has a runbook, or something else is in the way of one."""
    folder = root / FOLDER
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Refused(tr("{path} is a symlink or no folder; a runbook belongs into a folder", path=folder))
    try:
        known = sorted(path.name for path in folder.glob("*.yaml") if not path.name.startswith("."))
    except OSError as error:
        raise Refused(tr("{path} can't be listed: {reason}", path=folder, reason=reason(error))) from None
    if known:
        raise Refused(
            tr("this project has a runbook already: {path}", path=str(Path(FOLDER, known[0]))),
            hint=tr("check it with: atftctl runbook lint; or remove it to begin anew"),
        )


def refuse_read_only(root: Path) -> None:
    """Raises Refused where nothing could be written there."""
    for folder in (root, root / FOLDER):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise Refused(
                tr("{path} can't be written by this user", path=folder),
                hint=tr("run this command as the owner of the project; or see what it would write: --dry-run"),
            )


def layout_of(root: Path, service: str) -> Layout:
    """The layout of the new project."""
    name = re.sub(r"[^a-z0-9]+", "-", service.lower()).strip("-")[:60] or "service"
    return Layout(root=root, runbook=root / FOLDER / f"{name}.yaml")
