"""Taking a snapshot whole: copies first, the manifest last, the folder renamed into place. And taking one away: renamed
out of sight first, so that every snapshot that is listed is whole whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from atftctl.apply.snapshots.copier import Copier
from atftctl.apply.snapshots.remove import PARTIAL, sweep
from atftctl.domain.errors import AtftError, DiskFull, Restored
from atftctl.domain.snapshot import LinkPolicy, Passes, Snapshot, SnapshotFile, passed_by, to_manifest
from atftctl.host import footprint
from atftctl.host.copying.copier import Progress, no_progress, read_back
from atftctl.host.copying.parallel import all_of
from atftctl.host.errors import HostError, OutsideProjectError, reason, reason_and_place
from atftctl.host.files.containment import locate
from atftctl.host.files.durable import READ_BACK, remove, rename, write_durably, write_new
from atftctl.host.files.folders import fsync_dir, make_dirs, remove_tree, sync_file_system
from atftctl.host.files.reading import size_of
from atftctl.host.git import facts as git
from atftctl.state import sealed_records
from atftctl.state.layout import CODE_DIFF, MANIFEST, PIN, Layout
from atftctl.state.reserve import FULL

NOT_TAKEN = "no snapshot was taken; the others are untouched"
DIFF_LIMIT = 32 << 20
MANY = 200  # small files; fewer are fsynced one by one


@dataclass(frozen=True)
class SnapshotSpec:
    """What is to be taken. `about`: the snapshot but for what only taking it shows."""

    about: Snapshot = field(default_factory=lambda: Snapshot("", "", "", "", ()))
    paths: Sequence[str] = ()
    reliance: LinkPolicy = field(default_factory=LinkPolicy)
    passes: Passes = ()
    optional: frozenset[str] = frozenset()  # these are left out where they can't be read
    kept_elsewhere: tuple[str, ...] = ()  # files that are not in the diff of a dirty work tree
    secrets: tuple[str, ...] = ()  # patterns of such files
    pin: str = ""


def take(
    layout: Layout,
    taking: SnapshotSpec,
    *,
    now: datetime,
    progress: Progress = no_progress,
    note: Callable[[str], None] = lambda _: None,
) -> Snapshot:
    """A whole snapshot or none. A file that is not there is left out. Raises Restored; DiskFull where no room is."""
    try:
        make_dirs(layout.backups, 0o700)
        for line in sweep(layout):
            note(line)
        name = _free_name(layout, now)
        partial = layout.backups / f".{name}{PARTIAL}"
        make_dirs(partial, 0o700)
        try:
            snapshot = _fill(Copier(layout, partial, taking.reliance, now, progress, note), name, taking)
            rename(partial, layout.snapshot(name))
        except BaseException:
            remove_tree(partial)
            raise
        footprint.leave(f"took snapshot {name}")
        fsync_dir(layout.backups)
    except OSError as error:
        raise _words(error) from error
    return snapshot


def _words(error: OSError) -> Restored:
    what = reason_and_place(error)
    if error.errno in FULL:
        return DiskFull(what, state=NOT_TAKEN, hint="make room (atftctl backup prune), then run it again")
    return Restored(what, state=NOT_TAKEN, hint="remove the cause, then run it again")


def _fill(copier: Copier, name: str, taking: SnapshotSpec) -> Snapshot:
    layout, partial, about = copier.layout, copier.folder, taking.about
    files, left_out = _copies(copier, taking)
    commit, dirty = git.head(layout.root)
    digests = {file.path: file.sha256 for file in files}
    snapshot = replace(
        about,
        id=name,
        created=copier.now.astimezone(UTC).isoformat(timespec="microseconds"),
        number=max((one.number for one in taking.reliance.snapshots), default=0) + 1,
        files=tuple(files),
        left_out={**about.left_out, **left_out},
        commit=commit,
        dirty=dirty,
        code_diff=_code_diff(copier, taking) if dirty else "",
        passed=passed_by(digests, taking.passes),
        pinned=bool(taking.pin),
        folder=str(layout.snapshot(name).relative_to(layout.root)),
    )
    if taking.pin:
        write_new(partial / PIN, taking.pin.encode("utf-8", "replace"), 0o600)
    write_durably(partial / MANIFEST, sealed_records.seal(to_manifest(snapshot)), 0o600)
    for folder in _folders(files):
        fsync_dir(partial / folder)
    return snapshot


def _copies(copier: Copier, taking: SnapshotSpec) -> tuple[list[SnapshotFile], dict[str, str]]:
    """The copies, and which files were left out and why."""
    files: dict[str, SnapshotFile | None] = {}
    left_out: dict[str, str] = {}

    def attempt(path: str, *, durable: bool) -> None:
        try:
            files[path] = copier.take(path, durable=durable)
        except (OSError, HostError, Restored) as error:
            if (path in taking.paths and path not in taking.optional) or _full(error):
                raise _of_path(path, error) from error
            remove(copier.folder / path)
            files[path] = None
            left_out[path] = _reason(error)
            copier.note(f"{path} is left out of the snapshot: {left_out[path]}")

    paths = _followed(copier, taking, left_out)
    small = [path for path in paths if size_of(copier.layout.root / path) <= READ_BACK]
    together = set(small) if len(small) >= MANY else set()
    sizes = (size_of(copier.layout.root / path) for path in paths)
    all_of(
        (size, partial(attempt, path, durable=path not in together)) for path, size in zip(paths, sizes, strict=True)
    )
    if together:
        sync_file_system(copier.folder)
        for path in copier.copied & together:
            if (file := files.get(path)) and not _reads_back(copier, file):
                remove(copier.folder / path)
                attempt(path, durable=True)
    return [file for path in paths if (file := files.get(path))], left_out


def _followed(copier: Copier, taking: SnapshotSpec, left_out: dict[str, str]) -> list[str]:
    """The paths as they are now: a symlink and, beside it, the file that it leads to. What may not be followed is left
    out where that is allowed. Raises OutsideProjectError."""
    layout, found, plain = copier.layout, dict[str, None](), dict[str, Path]()
    for path in taking.paths:
        if path not in taking.optional and (layout.root / path).is_symlink():
            found[path] = None  # as a symlink; what it leads to is asked for by its own name
            continue
        try:
            located = locate(layout.root, path, layout.outside, plain=plain)
        except (OSError, OutsideProjectError) as error:
            if path not in taking.optional:
                raise _of_path(path, error) from error
            left_out[path] = _reason(error)
            copier.note(f"{path} is left out of the snapshot: {left_out[path]}")
            continue
        found |= {link: None for link, _ in located.links}
        if not located.real.is_dir():
            found[located.path] = None
    return list(found)


def _reads_back(copier: Copier, file: SnapshotFile) -> bool:
    try:
        read_back(copier.folder / file.path, file.sha256)
    except (OSError, HostError) as error:
        copier.note(f"{file.path}: {_reason(error)}; copied again")
        return False
    return True


def _of_path(path: str, error: Exception) -> Exception:
    if isinstance(error, HostError):
        return Restored(f"{path}: {error}", state=NOT_TAKEN)
    if isinstance(error, OSError) and not error.filename:
        error.filename = path
    return error


def _full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, AtftError) else reason(error)


def _code_diff(copier: Copier, taking: SnapshotSpec) -> str:
    """What the work tree changes on its commit, as a patch; its SHA-256. Never in the way of a snapshot."""
    patch = git.diff(copier.layout.root, limit=DIFF_LIMIT, without=taking.secrets, files=taking.kept_elsewhere)
    if patch is None:
        copier.note("the work tree's changes to the code are not in the snapshot: git gave no diff of less than 32 MB")
        return ""
    return write_new(copier.folder / CODE_DIFF, patch, 0o400) if patch else ""


def _folders(files: Iterable[SnapshotFile]) -> list[str]:
    """Every folder of the snapshot, deepest first, its own last."""
    found = {str(folder) for file in files for folder in Path(file.path).parents} | {"."}
    return sorted(found, key=lambda one: (-len(Path(one).parts), one))


def _free_name(layout: Layout, now: datetime) -> str:
    """The timestamp of the guide's copies; a second snapshot in the same second gets a number."""
    stamp = now.strftime("%Y%m%d_%H%M%S")
    name, number = stamp, 1
    while layout.snapshot(name).exists():
        number += 1
        name = f"{stamp}_{number}"
    return name
