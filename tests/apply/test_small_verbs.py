"""Kills and errors in `backup pin`, `rm`, `prune` and `restore --to`: nothing is left half done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from atftctl.domain.errors import InterventionNeeded
from atftctl.observe.snapshots import catalog as observed
from atftctl.operations import recover as recovering
from atftctl.operations import restore
from atftctl.operations.backup import catalog as backup_catalog
from atftctl.operations.backup import prune
from atftctl.operations.project import open_for_rescue, open_project
from atftctl.operations.request import Request
from atftctl.state import history
from tests.support.faults import BROKEN, KILLED, Faults, in_child
from tests.support.snapshots import (
    layout_of,
    problems,
    take,
)
from tests.support.today import some


def test_a_removal_that_fails_in_the_middle_says_what_is_gone(root: Path) -> None:
    names = [take(root) for _ in range(3)]
    template = root.with_name("template")
    shutil.copytree(root, template)
    _, calls = in_child(lambda: gone(template, names[:2]), Faults())
    shutil.rmtree(template)
    ends = set()
    for at in range(1, len(calls) + 1):
        copy = root.with_name("copy")
        shutil.copytree(root, copy)
        code, _ = in_child(lambda copy=copy: gone(copy, names[:2]), Faults(at, BROKEN))
        left = [one.id for one in observed.list_snapshots(layout_of(copy))]
        told = [name for line in history.read(layout_of(copy)) for name in line.get("removed", [])]
        ends.add(code)
        if code in (0, 5):
            assert set(left) < set(names), at
        else:
            assert left == names, (at, code)
        if code == 0:
            assert told == names[:2]
        recovering.recover(open_for_rescue(copy), Request())
        told = [name for line in history.read(layout_of(copy)) for name in line.get("removed", [])]
        assert set(told) == set(names) - set(left), (at, code)
        assert problems(copy) == {}
        shutil.rmtree(copy)
    assert {0, InterventionNeeded.exit_code} <= ends


def gone(root: Path, names: list[str]) -> None:
    prune.remove(open_project(root), names, Request())


@pytest.mark.parametrize("verb", ["pin", "unpin", "rm"])
def test_a_kill_at_every_call_of_the_small_verbs(root: Path, verb: str) -> None:
    name, _ = take(root), take(root)
    if verb == "unpin":
        backup_catalog.pin(open_project(root), name, Request(), away=False)

    def act(where: Path) -> None:
        if verb == "rm":
            gone(where, [name])
        else:
            backup_catalog.pin(open_project(where), name, Request(), away=verb == "unpin")

    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    _, calls = in_child(lambda: act(copy), Faults())
    shutil.rmtree(copy)
    for at in some(range(1, len(calls) + 1), 8):
        shutil.copytree(root, copy)
        assert in_child(lambda: act(copy), Faults(at))[0] == KILLED
        recovering.recover(open_for_rescue(copy), Request())
        assert problems(copy) == {}, at
        told = [one for line in history.read(layout_of(copy)) for one in line.get("removed", [])]
        left = [one.id for one in observed.list_snapshots(layout_of(copy))]
        assert (name in left) != (name in told), at
        shutil.rmtree(copy)


@pytest.mark.parametrize("how", ["kill", "error"])
def test_an_export_that_dies_leaves_no_half_folder(root: Path, how: str, tmp_path: Path) -> None:
    take(root)
    target = tmp_path / "out"

    def act() -> None:
        restore.export(open_project(root), "latest", (), target, Request())

    _, calls = in_child(act, Faults())
    shutil.rmtree(target)
    for at in range(1, len(calls) + 1):
        in_child(act, Faults(at, 0 if how == "kill" else BROKEN))
        files = [one for one in target.rglob("*") if one.is_file()] if target.exists() else []
        assert len(files) in (0, 4), at
        shutil.rmtree(target, ignore_errors=True)
        for left in tmp_path.glob(".out.*.partial"):
            assert how == "kill", at
            shutil.rmtree(left)
