"""Restore a folder of a checkpoint, or all checkpoints that a pattern names, so that nothing else is left there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from atftctl.domain.runbook import Runbook
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.steps import Target
from atftctl.domain.units import Unit, held_by, holds, unit_of

Present = Mapping[str, Sequence[str]]  # by the name of a unit: the paths of the files that are there now


def units_of(runbook: Runbook, snapshot: Snapshot, paths: Collection[str], *, everything: bool) -> tuple[Unit, ...]:
    """The units that are restored whole, where these files of a snapshot are: those that the runbook names and the
    snapshot holds whole. `everything`: no single files were asked for; else a pattern is no unit, but each of its
    folders is."""
    units = []
    for name in runbook.files.models:
        if name not in snapshot.whole:
            continue
        held = {file.path: held_by(name, file.path) for file in snapshot.files if held_by(name, file.path)}
        folders = {place for path, place in held.items() if unit_of((name,), path)}
        places = [name] if everything and held else sorted(folders)
        for place in places:
            inside = [path for path in held if place in (name, held[path])]
            if set(inside) <= set(paths):
                units.append(Unit(place, (*inside, *snapshot.left_out)))
    return tuple(units)


def units_before(runbook: Runbook, safety: Snapshot, names: Collection[str]) -> tuple[Unit, ...]:
    """The units that an operation restored whole (`names`), as the snapshot holds them that it took before."""
    whole = [name for name in runbook.files.models if name in safety.whole]
    return tuple(
        Unit(name, (*(file.path for file in safety.files if held_by(name, file.path)), *safety.left_out))
        for name in names
        if holds(whole, name) or name in whole
    )


def further_targets(units: Sequence[Unit], present: Present) -> Iterator[Target]:
    """A target for each file that is in a unit now and is to go. The safety snapshot holds it."""
    for unit in units:
        for path in present.get(unit.name, ()):
            if not unit.keeps(path):
                yield Target(path, old=None, volatile=True)
