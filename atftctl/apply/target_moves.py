"""From the targets of a plan to the moves of a transaction, by what is on disk after the safety snapshot."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from atftctl.apply.moves import Content, Move, mode_of
from atftctl.domain.errors import Restored
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.steps import Target
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.process import rights
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout


def moves_for(
    layout: Layout,
    operation: str,
    targets: Sequence[Target],
    contents: Mapping[str, Content],
    safety: Snapshot | None,
    known: Iterable[Snapshot],
) -> list[Move]:
    """One move for each target, in order. Raises Restored where a file was changed after the plan was made.

    `contents`: the new content by path. `safety`: the snapshot of what is there now, whose files were hashed while they
    were copied. `known`: the snapshots that targets come back from.
    """
    paths = frozenset(target.path for target in targets)
    sources = {snapshot.id: snapshot for snapshot in known}
    digests = safety.digests() if safety else {}
    moves = []
    for number, target in enumerate(targets):
        path, old = layout.place(target.path), digests.get(target.path)
        if old != target.old and not target.volatile:
            raise Restored(
                tr("{path} was changed after the plan was made", path=target.path),
                hint=tr("run this command again and review the new plan"),
            )
        mode = target.mode & 0o777 if target.snapshot or target.moded else mode_of(path)
        move = Move(
            path=target.path,
            staged=f".{operation}.{number}.staged",  # short, because the target's name may be as long as names can be
            old=old,
            new=_new_digest(target, contents.get(target.path)),
            mode=mode,
            old_mode=_old_mode(safety, target.path, mode),
            folder=_staging_folder(layout, target.path, path, paths),
            old_kept=_attributes(layout, safety, target.path),
            new_kept=_attributes(layout, sources.get(target.snapshot), target.path),
            unit=target.unit,
        )
        moves.append(move)
    return moves


def _new_digest(target: Target, content: Content | None) -> str | None:
    if target.removes:
        return None
    return sha256_bytes(content) if isinstance(content, bytes) else target.new


def _old_mode(safety: Snapshot | None, path: str, default: int) -> int:
    file = safety.file(path) if safety else None
    return file.mode if file else default


def _attributes(layout: Layout, snapshot: Snapshot | None, path: str) -> dict[str, Any] | None:
    """Owner, group and attributes that a snapshot has for a file, for the case that the file itself is gone.

    Where root acts for a user, the owner is that user: no file may become somebody else's.
    """
    file = snapshot.file(path) if snapshot else None
    kept = dict(file.kept) if file and file.kept else None
    user = rights.user_of(layout.root)
    return {**kept, "uid": user.uid, "gid": user.gid} if kept and user else kept


def _staging_folder(layout: Layout, path: str, target: Path, paths: frozenset[str]) -> str | None:
    """Where the staged file goes if it can't lie beside its target: the nearest parent that is and stays a folder.

    None where it can lie beside the target. It can't where a file's name becomes a folder's, or the other way round.
    """
    parents = [str(folder) for folder in PurePosixPath(path).parents]
    existing = next(folder for folder in target.parents if os.path.lexists(folder))
    fits = existing.is_dir() and (target.is_symlink() or not target.is_dir())
    if fits and not paths & set(parents) and not any(other.startswith(f"{path}/") for other in paths):
        return None
    return next(folder for folder in parents if (layout.root / folder).is_dir() and folder not in paths)
