"""The snapshot that an operation takes before it changes anything: which files it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from atftctl.apply.snapshots.copier import room_needed
from atftctl.apply.snapshots.take import SnapshotSpec
from atftctl.domain.plan import Plan
from atftctl.host.files.reading import free_bytes
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

MARGIN = 2 << 20  # bytes that stay free for the records of the operation


def safety_spec(
    layout: Layout, plan: Plan, spec: SnapshotSpec, operation: str, note: Callable[[str], None]
) -> SnapshotSpec:
    """Complete `spec` for a plan: all files that it changes, and the others that fit on the disk.

    A file that the plan does not change is optional: it is left out, with a note, where it does not fit.
    """
    targets = {target.path for target in plan.targets}
    files_of = {name: spec.listing(name) for name in spec.units}
    needed = {path for path in targets if not _is_folder(layout, path)}
    names = plan.snapshot.paths if plan.snapshot else ()
    kept = dict.fromkeys(path for name in names for path in files_of.get(name, (name,)))
    paths = [path for path in kept if path in needed or path not in targets]
    sizes = room_needed(layout, spec.reliance, paths)
    free = free_bytes(layout.backups if layout.backups.is_dir() else layout.root)
    if sum(sizes.values()) + MARGIN > free:
        dropped = [path for path in paths if path not in needed and sizes.get(path, 0) > MARGIN // 4]
        for inside in files_of.values():  # a unit is kept whole or not at all
            if not set(dropped).isdisjoint(inside):
                dropped += [path for path in inside if path not in (*needed, *dropped)]
        paths = [path for path in paths if path not in dropped]
        files_of = {name: inside for name, inside in files_of.items() if set(dropped).isdisjoint(inside)}
        if dropped:
            note(
                tr(
                    "not enough disk space to copy {paths}: left out of the safety snapshot (this plan does not change "
                    "them)",
                    paths=", ".join(dropped),
                )
            )
    paths += [path for path in sorted(needed) if path not in paths]
    about = replace(spec.about, reason=f"before {plan.command} {operation}", operation=operation)
    optional = frozenset(paths) - needed
    return replace(spec, about=about, paths=paths, optional=optional, needed=frozenset(needed), units=tuple(files_of))


def _is_folder(layout: Layout, path: str) -> bool:
    """Is this a folder whose name is to become a file's? The files in it are targets of their own."""
    place = layout.place(path)
    return place.is_dir() and not place.is_symlink()
