"""Take a snapshot: copies first, the manifest last, then the folder is renamed into place. So every listed snapshot is
whole, even after a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from atftctl.apply.snapshots.copier import Copier
from atftctl.apply.snapshots.remove import PARTIAL, sweep
from atftctl.apply.snapshots.units import Listing, Units
from atftctl.domain.errors import AtftError, DiskFull, Restored
from atftctl.domain.snapshot import LinkPolicy, Passes, Snapshot, SnapshotFile, passed_by, to_manifest
from atftctl.host import footprint
from atftctl.host.copying.copier import Progress, no_progress, read_back
from atftctl.host.copying.parallel import run_jobs
from atftctl.host.errors import HostError, OutsideProjectError, reason, reason_and_place
from atftctl.host.files.containment import locate
from atftctl.host.files.durable import READ_BACK, remove, rename, write_durably, write_new
from atftctl.host.files.folders import fsync_dir, make_dirs, remove_tree, sync_file_system
from atftctl.host.files.reading import size_of
from atftctl.host.git import facts as git
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import CODE_DIFF, MANIFEST, PIN, Layout
from atftctl.state.reserve import FULL

NOT_TAKEN = tr("no snapshot was taken; the other snapshots are unchanged")
DIFF_LIMIT = 32 << 20  # bytes
MANY = 200  # this many small files are synced together; fewer are fsynced one by one


@dataclass(frozen=True)
class SnapshotSpec:
    """What a snapshot is to hold. `about`: its fields, except for those that are known once it is taken."""

    about: Snapshot = field(default_factory=lambda: Snapshot("", "", "", "", ()))
    paths: Sequence[str] = ()
    reliance: LinkPolicy = field(default_factory=LinkPolicy)
    passes: Passes = ()
    optional: frozenset[str] = frozenset()  # paths that are left out where they can't be read
    kept_elsewhere: tuple[str, ...] = ()  # files that the diff of a dirty work tree leaves out
    secrets: tuple[str, ...] = ()  # patterns of files that the diff leaves out too
    pin: str = ""  # why the snapshot is pinned; empty where it is not
    needed: frozenset[str] = frozenset()  # paths that the operation replaces
    units: tuple[str, ...] = ()  # models that are a folder or a pattern, of which `paths` holds all files
    listing: Listing = lambda _: ()  # for `units`, and for the folders in them


def take(
    layout: Layout,
    spec: SnapshotSpec,
    *,
    now: datetime,
    progress: Progress = no_progress,
    note: Callable[[str], None] = lambda _: None,
) -> Snapshot:
    """Take a snapshot and return it; on an error there is none. A file that does not exist is left out.

    Raises Restored; DiskFull where there is not enough disk space.
    """
    try:
        make_dirs(layout.backups, 0o700)
        for line in sweep(layout):
            note(line)
        name = _free_name(layout, now)
        partial = layout.backups / f".{name}{PARTIAL}"
        make_dirs(partial, 0o700)
        try:
            snapshot = _fill(Copier(layout, partial, spec.reliance, now, progress, note), name, spec)
            rename(partial, layout.snapshot(name))
        except BaseException:
            remove_tree(partial)
            raise
        footprint.leave(tr("took snapshot {snapshot}", snapshot=name))
        fsync_dir(layout.backups)
    except OSError as error:
        raise _not_taken(error) from error
    return snapshot


def _not_taken(error: OSError) -> Restored:
    message = reason_and_place(error)
    if error.errno in FULL:
        return DiskFull(
            message,
            state=NOT_TAKEN,
            hint=tr("free some disk space (atftctl backup prune), then run this command again"),
        )
    return Restored(message, state=NOT_TAKEN, hint=tr("remove the cause, then run this command again"))


def _fill(copier: Copier, name: str, spec: SnapshotSpec) -> Snapshot:
    """Copy the files, then write the manifest. Raises OSError, HostError, Restored."""
    layout, partial, about = copier.layout, copier.folder, spec.about
    files, left_out = _copy_files(copier, spec)
    commit, dirty = git.head(layout.root)
    digests = {file.path: file.sha256 for file in files}
    snapshot = replace(
        about,
        id=name,
        created=copier.now.astimezone(UTC).isoformat(timespec="microseconds"),
        number=max((known.number for known in spec.reliance.snapshots), default=0) + 1,
        files=tuple(files),
        left_out={**about.left_out, **left_out},
        whole=spec.units,
        commit=commit,
        dirty=dirty,
        code_diff=_code_diff(copier, spec) if dirty else "",
        passed=passed_by(digests, spec.passes),
        pinned=bool(spec.pin),
        folder=str(layout.snapshot(name).relative_to(layout.root)),
    )
    if spec.pin:
        write_new(partial / PIN, spec.pin.encode("utf-8", "replace"), 0o600)
    write_durably(partial / MANIFEST, sealed_records.seal(to_manifest(snapshot)), 0o600)
    for folder in _folders(files):
        fsync_dir(partial / folder)
    return snapshot


def _copy_files(copier: Copier, spec: SnapshotSpec) -> tuple[list[SnapshotFile], dict[str, str]]:
    """Copy all files; return their entries, and the files that were left out with the reason."""
    files: dict[str, SnapshotFile | None] = {}
    left_out: dict[str, str] = {}
    required = frozenset(spec.paths)

    def attempt(path: str, *, durable: bool) -> None:
        try:
            files[path] = copier.take(path, durable=durable)
        except (OSError, HostError, Restored) as error:
            if (path in required and path not in spec.optional) or _full(error):
                raise _of_path(path, error) from error
            remove(copier.folder / path)
            files[path] = None
            left_out[path] = _leave_out(copier, path, error)

    paths = _follow_links(copier, spec, left_out)
    small = [path for path in paths if size_of(copier.layout.root / path) <= READ_BACK]
    together = set(small) if len(small) >= MANY else set()
    sizes = (size_of(copier.layout.root / path) for path in paths)
    run_jobs(
        (size, partial(attempt, path, durable=path not in together)) for path, size in zip(paths, sizes, strict=True)
    )
    if together:
        sync_file_system(copier.folder)
        for path in copier.copied & together:
            if (file := files.get(path)) and not _reads_back(copier, file):
                remove(copier.folder / path)
                attempt(path, durable=True)
    if spec.units:
        copy_again = partial(attempt, durable=True)
        Units(copier, spec.units, spec.listing, spec.needed, files, left_out, copy_again).settle(paths)
        paths = list(dict.fromkeys((*paths, *files)))
    return [file for path in paths if (file := files.get(path))], left_out


def _follow_links(copier: Copier, spec: SnapshotSpec, left_out: dict[str, str]) -> list[str]:
    """Return the paths with, for each symlink, the symlink and the file that it leads to.

    An optional symlink that may not be followed is left out. Raises OutsideProjectError, Restored.
    """
    layout, paths, plain = copier.layout, dict[str, None](), dict[str, Path]()
    for path in spec.paths:
        if path not in spec.optional and (layout.root / path).is_symlink():
            paths[path] = None  # as a symlink; the file that it leads to is in `spec.paths` by its own name
            continue
        try:
            located = locate(layout.root, path, layout.outside, plain=plain)
        except (OSError, OutsideProjectError) as error:
            if path not in spec.optional:
                raise _of_path(path, error) from error
            left_out[path] = _leave_out(copier, path, error)
            continue
        paths |= {link: None for link, _ in located.links}
        if not located.real.is_dir():
            paths[located.path] = None
    return list(paths)


def _leave_out(copier: Copier, path: str, error: Exception) -> str:
    """Note that a file is left out of the snapshot, and return why."""
    why = _reason(error)
    copier.note(tr("{path} is left out of the snapshot: {reason}", path=path, reason=why))
    return why


def _reads_back(copier: Copier, file: SnapshotFile) -> bool:
    """Is the copy on disk what was written? A copy that is not is noted."""
    try:
        read_back(copier.folder / file.path, file.sha256)
    except (OSError, HostError) as error:
        copier.note(tr("{path}: {reason}; copied again", path=file.path, reason=_reason(error)))
        return False
    return True


def _of_path(path: str, error: Exception) -> Exception:
    """Add the path to an error that does not name it."""
    if isinstance(error, HostError):
        return Restored(tr("{path}: {reason}", path=path, reason=reason(error)), state=NOT_TAKEN)
    if isinstance(error, OSError) and not error.filename:
        error.filename = path
    return error


def _full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, AtftError) else reason(error)


def _code_diff(copier: Copier, spec: SnapshotSpec) -> str:
    """Save the uncommitted changes of the code as a patch and return its SHA-256; empty where that is impossible."""
    patch = git.diff(copier.layout.root, limit=DIFF_LIMIT, without=spec.secrets, files=spec.kept_elsewhere)
    if patch is None:
        copier.note(
            tr("the uncommitted changes of the code are not in the snapshot: git gave no diff, or a diff of over 32 MB")
        )
        return ""
    return write_new(copier.folder / CODE_DIFF, patch, 0o400) if patch else ""


def _folders(files: Iterable[SnapshotFile]) -> list[str]:
    """List every folder of the snapshot, deepest first, its own last."""
    folders = {str(folder) for file in files for folder in Path(file.path).parents} | {"."}
    return sorted(folders, key=lambda folder: (-len(Path(folder).parts), folder))


def _free_name(layout: Layout, now: datetime) -> str:
    """Name a snapshot by its time, as the guide names its copies; another one in the same second gets a number."""
    stamp = now.strftime("%Y%m%d_%H%M%S")
    name, number = stamp, 1
    while layout.snapshot(name).exists():
        number += 1
        name = f"{stamp}_{number}"
    return name
