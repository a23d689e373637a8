"""Find the project, and refuse one whose state folders others could have written."""

from __future__ import annotations

import os
from pathlib import Path

from atftctl.domain.errors import Refused, UsageError
from atftctl.host.errors import UntrustedError, reason
from atftctl.host.files import trust
from atftctl.host.process import inherited_state, rights
from atftctl.state.layout import Layout

STATE_FOLDERS = (".atftctl", "backups")


def find_project(start: Path, *, rescue: bool = False) -> Layout:
    """The nearest folder from `start` upwards that holds `runbooks/*.yaml`, by its real path.

    For a rescue any number of runbooks will do, and none at all where our own folder is there. Raises UsageError;
    Refused where our own folder there is not to be obeyed.
    """
    if not start.is_absolute() and inherited_state.lost_folder():
        raise UsageError(
            f"the working folder ({inherited_state.lost_folder()}) is not there any more",
            hint="cd into the project, or name it by its full path: --project DIR",
        )
    start = start.resolve()
    if not start.is_dir():
        raise UsageError(f"{start} is not a folder")
    for folder in (start, *start.parents):
        found = sorted(path for path in (folder / "runbooks").glob("*.yaml") if not path.name.startswith("."))
        if not found and rescue and (folder / ".atftctl").is_dir():
            return _trusted(Layout(root=folder, runbook=folder / "runbooks" / "none.yaml"))
        if len(found) > 1 and not rescue:
            names = ", ".join(path.name for path in found)
            raise UsageError(
                f"{folder / 'runbooks'} holds {len(found)} runbooks: {names}", hint="keep one of them there"
            )
        if found:
            return _trusted(Layout(root=folder, runbook=found[0]))
    raise UsageError(
        f"no project at {start} or above: no runbooks/*.yaml",
        hint="cd into the project, or name it: --project DIR",
    )


def _trusted(layout: Layout) -> Layout:
    """Whoever could have written our own files could have them do anything. Raises Refused."""
    rights.user_of(layout.root)  # decided before anything of the project is read
    project = layout.root.stat()
    try:
        for folder in STATE_FOLDERS:
            trust.refuse(layout.root / folder, project)
        for parent in (layout.state, layout.journal):
            for name in _names(parent):
                trust.refuse(parent / name, project)
    except UntrustedError as error:
        raise Refused(str(error), hint=error.hint) from None
    return layout


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise UntrustedError(
            f"{trust.describe(folder, folder.stat())} can't be looked into: {reason(error)}",
            hint=trust.advice(folder.stat(), str(folder)),
        ) from None
