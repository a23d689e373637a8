"""Find the project, and refuse one whose state folders other users may write."""

from __future__ import annotations

import os
from pathlib import Path

from atftctl.domain.errors import Refused, UsageError
from atftctl.host.errors import UntrustedError, reason
from atftctl.host.files import trust
from atftctl.host.process import inherited_state, rights
from atftctl.protocol.messages import joined, tr
from atftctl.state.layout import Layout

STATE_FOLDERS = (".atftctl", "backups")


def find_project(start: Path, *, rescue: bool = False) -> Layout:
    """The nearest folder at or above `start` that holds `runbooks/*.yaml`, as a real path.

    `rescue`: accept several runbooks, and none where the folder `.atftctl` exists. Raises UsageError; Refused where
    other users may write the folders of atftctl there.
    """
    if not start.is_absolute() and inherited_state.lost_folder():
        raise UsageError(
            tr("the working folder ({path}) does not exist any more", path=inherited_state.lost_folder()),
            hint=tr("cd into the project, or name it by its full path: --project DIR"),
        )
    start = start.resolve()
    if not start.is_dir():
        raise UsageError(tr("{path} is not a folder", path=start))
    for folder in (start, *start.parents):
        runbooks = sorted(path for path in (folder / "runbooks").glob("*.yaml") if not path.name.startswith("."))
        if not runbooks and rescue and (folder / ".atftctl").is_dir():
            return _trusted(Layout(root=folder, runbook=folder / "runbooks" / "none.yaml"))
        if len(runbooks) > 1 and not rescue:
            text = tr(
                "{folder} holds {count} runbooks: {names}",
                folder=folder / "runbooks",
                count=len(runbooks),
                names=joined(", ", [path.name for path in runbooks]),
            )
            raise UsageError(text, hint=tr("keep only one runbook in that folder"))
        if runbooks:
            return _trusted(Layout(root=folder, runbook=runbooks[0]))
    raise UsageError(
        tr("there is no project at {path} or above it: no runbooks/*.yaml", path=start),
        hint=tr("cd into the project, or name it: --project DIR; to make a project of a folder: atftctl init"),
    )


def _trusted(layout: Layout) -> Layout:
    """Refuse a project whose atftctl files other users may write: such a user could make atftctl do anything. Raises
    Refused."""
    rights.user_of(layout.root)  # cached before anything of the project is read
    project = layout.root.stat()
    try:
        for folder in STATE_FOLDERS:
            trust.refuse(layout.root / folder, project)
        for parent in (layout.state, layout.journal, layout.baselines):
            for name in _names(parent):
                trust.refuse(parent / name, project)
    except UntrustedError as error:
        raise Refused(error.message, hint=error.hint) from None
    return layout


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise UntrustedError(
            tr(
                "{folder} can't be listed: {reason}",
                folder=trust.describe(folder, folder.stat()),
                reason=reason(error),
            ),
            hint=trust.advice(folder.stat(), str(folder)),
        ) from None
