"""The power goes: what was not fsynced is there or not, in any combination, and the machine may die again while it
recovers.

A model of what POSIX promises, and no more: data of a file up to its last fsync, names in a folder up to that folder's
last fsync. Each later write and each later change of a name is kept, dropped, or (a write) cut in half, by lot.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import integrity
from tests.support.faults import in_child
from tests.support.recovery import recover, state
from tests.support.snapshots import layout_of
from tests.torture.commands import Command, check

Op = tuple[Any, ...]
HUGE = 1 << 20  # the reserve: its zeros are of no interest


class Trace:
    """Notes every change in a tree, as it is made. `without`: an fsync that is left out, by the last functions that call it."""

    def __init__(self, root: Path, out: Path, without: str = "") -> None:
        self.root, self.out, self.without = str(root), out, without
        self.ops: list[Op] = []
        self.sites: Counter[str] = Counter()
        self.seen: list[str] = []  # for in_child
        self._at: dict[int, int] = {}  # where a handle writes next
        self._ids: dict[int, int] = {}  # a file system gives inodes again: each new file has a number of its own

    def install(self) -> None:
        for name in ("open", "write", "pwrite", "lseek", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "link",
                     "ftruncate", "posix_fallocate", "fchmod"):  # fmt: skip
            setattr(os, name, getattr(self, f"_{name}")(getattr(os, name)))

    def save(self) -> None:
        self.out.write_bytes(pickle.dumps((self.ops, self.sites)))

    def _id(self, inode: int, *, new: bool = False) -> int:
        if new:
            self._ids[inode] = (1 << 64) + len(self.ops)
        return self._ids.get(inode, inode)

    def _path(self, path: Any, folder: int | None = None) -> str:
        """`folder`: the descriptor that the path is relative to, where it is."""
        full = os.path.abspath(path) if folder is None else os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
        return os.path.relpath(full, self.root) if full.startswith(f"{self.root}/") else ""

    def _open(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *more: Any, **options: Any) -> int:
            name = self._path(path, options.get("dir_fd"))
            there = os.path.lexists(os.path.join(self.root, name))
            handle = real(path, flags, *more, **options)
            self._at[handle] = 0
            if flags & os.O_CREAT and not there and name:
                facts = os.fstat(handle)
                self.ops.append(("create", name, self._id(facts.st_ino, new=True), facts.st_mode))
            return handle

        return call

    def _write(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(handle: int, data: Any) -> int:
            facts = os.fstat(handle)
            flags = fcntl.fcntl(handle, fcntl.F_GETFL)
            at = facts.st_size if flags & os.O_APPEND else self._at.get(handle, 0)
            done = real(handle, data)
            self.ops.append(("write", self._id(facts.st_ino), at, bytes(data[:done])))
            self._at[handle] = at + done
            return done

        return call

    def _pwrite(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(handle: int, data: bytes, offset: int) -> int:
            done = real(handle, data, offset)
            self.ops.append(("write", self._id(os.fstat(handle).st_ino), offset, data[:done]))
            return done

        return call

    def _lseek(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(handle: int, offset: int, how: int) -> int:
            self._at[handle] = found = real(handle, offset, how)
            return found

        return call

    def _fsync(self, real: Callable[..., None]) -> Callable[..., None]:
        def call(handle: int) -> None:
            frame = sys._getframe(1)
            names = []
            for _ in range(3):
                if frame is not None:
                    names.append(frame.f_code.co_name)
                    frame = frame.f_back  # type: ignore[assignment]
            site = " < ".join(names)
            self.sites[site] += 1
            real(handle)
            if self.without and site.startswith(self.without):
                return
            facts = os.fstat(handle)
            if os.path.isdir(f"/proc/self/fd/{handle}"):
                self.ops.append(("fsyncdir", self._path(os.readlink(f"/proc/self/fd/{handle}")) or "."))
            else:
                self.ops.append(("fsync", self._id(facts.st_ino)))

        return call

    def _named(self, name: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any, **options: Any) -> None:
            source = options.get("src_dir_fd", options.get("dir_fd"))
            two = name in ("replace", "rename", "link")
            inode = self._id(os.stat(arguments[0], dir_fd=source, follow_symlinks=False).st_ino) if two else 0
            paths = [self._path(arguments[0], source)]
            paths += [self._path(arguments[1], options.get("dst_dir_fd"))] if two else []
            real(*arguments, **options)
            if all(paths):
                kind = {"replace": "move", "rename": "move"}.get(name, name)
                self.ops.append((kind, *paths, inode))

        return call

    def _replace(self, real: Any) -> Any:
        return self._named("replace", real)

    def _rename(self, real: Any) -> Any:
        return self._named("rename", real)

    def _unlink(self, real: Any) -> Any:
        return self._named("unlink", real)

    def _mkdir(self, real: Any) -> Any:
        return self._named("mkdir", real)

    def _rmdir(self, real: Any) -> Any:
        return self._named("rmdir", real)

    def _link(self, real: Any) -> Any:
        return self._named("link", real)

    def _ftruncate(self, real: Any) -> Any:
        def call(handle: int, size: int) -> None:
            real(handle, size)
            self.ops.append(("size", self._id(os.fstat(handle).st_ino), size))

        return call

    def _posix_fallocate(self, real: Any) -> Any:
        def call(handle: int, offset: int, size: int) -> None:
            real(handle, offset, size)
            self.ops.append(("size", self._id(os.fstat(handle).st_ino), offset + size))

        return call

    def _fchmod(self, real: Any) -> Any:
        def call(handle: int, mode: int) -> None:
            real(handle, mode)
            self.ops.append(("mode", self._id(os.fstat(handle).st_ino), mode))

        return call


def traced(act: Callable[[], Any], root: Path, out: Path, without: str = "") -> tuple[int, list[Op], Counter[str]]:
    """Run it in a child, and what it did to the tree."""
    trace = Trace(root, out, without)

    def and_save() -> None:
        try:
            act()
        finally:
            trace.save()

    code, _ = in_child(and_save, trace)
    ops, sites = pickle.loads(out.read_bytes())
    return code, ops, sites


@dataclass
class Disk:
    """A tree in memory: names to inodes, inodes to bytes and mode."""

    names: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    data: dict[int, bytes] = field(default_factory=dict)
    modes: dict[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> Disk:
        disk = cls()
        for folder, folders, names in os.walk(root):
            where = os.path.relpath(folder, root)
            disk.folders |= {os.path.normpath(f"{where}/{name}") for name in folders}
            for name in names:
                path = os.path.join(folder, name)
                facts = os.lstat(path)
                disk.names[os.path.normpath(f"{where}/{name}")] = facts.st_ino
                disk.modes[facts.st_ino] = facts.st_mode & 0o7777
                disk.data[facts.st_ino] = Path(path).read_bytes() if facts.st_size < HUGE else b""
        return disk

    def write(self, root: Path) -> None:
        made: dict[int, str] = {}
        root.mkdir()
        for folder in sorted(self.folders):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name, inode in self.names.items():
            path = root / name
            if not path.parent.is_dir():
                continue  # its folder was never durable
            if inode in made:
                os.link(made[inode], path)
                continue
            path.write_bytes(self.data.get(inode, b""))
            path.chmod(self.modes.get(inode, 0o600))
            made[inode] = str(path)

    def apply(self, op: Op) -> None:
        """What can't be applied, since something before it was dropped, is dropped too."""
        kind = op[0]
        if kind == "create":
            self.names[op[1]] = op[2]
            self.data.setdefault(op[2], b"")
            self.modes.setdefault(op[2], op[3] & 0o7777)
        elif kind == "write":
            old = self.data.get(op[1], b"")
            self.data[op[1]] = old[: op[2]].ljust(op[2], b"\0") + op[3] + old[op[2] + len(op[3]) :]
        elif kind == "size":
            self.data[op[1]] = b"" if op[2] >= HUGE else self.data.get(op[1], b"")[: op[2]].ljust(op[2], b"\0")
        elif kind == "mode":
            self.modes[op[1]] = op[2] & 0o7777
        elif kind == "mkdir":
            self.folders.add(op[1])
        elif kind == "link":
            self.names[op[2]] = op[3]
        elif kind == "unlink":
            self.names.pop(op[1], None)
        elif kind == "rmdir":
            self.folders.discard(op[1])
        elif kind == "move":
            self._move(op[1], op[2], op[3])

    def _move(self, source: str, target: str, inode: int) -> None:
        if source in self.folders:
            prefix = f"{source}/"
            moved = {
                one: target + one[len(source) :] for one in self.folders if one == source or one.startswith(prefix)
            }
            self.folders = (self.folders - moved.keys()) | set(moved.values())
            for name in [one for one in self.names if one.startswith(prefix)]:
                self.names[target + name[len(source) :]] = self.names.pop(name)
        else:
            self.names.pop(source, None)
            self.names[target] = inode


NAMES = ("create", "mkdir", "link", "unlink", "rmdir", "move")


def durable(ops: Sequence[Op]) -> set[int]:
    """Which of these are on disk for sure, by index: their file, or all their folders, were fsynced after them."""
    synced_files: set[int] = set()
    synced_folders: set[str] = set()
    found = set()
    for index in range(len(ops) - 1, -1, -1):
        op = ops[index]
        if op[0] == "fsync":
            synced_files.add(op[1])
        elif op[0] == "fsyncdir":
            synced_folders.add(op[1])
        elif op[0] in NAMES:
            paths = [one for one in op[1:3] if isinstance(one, str)]
            if all((os.path.dirname(one) or ".") in synced_folders for one in paths):
                found.add(index)
        elif op[1] in synced_files:
            found.add(index)
    return found


def crash(base: Disk, ops: Sequence[Op], at: int, rng: random.Random) -> Disk:
    """The disk after the power went when `at` of these were done."""
    done = ops[:at]
    sure = durable(done)
    keep = rng.choice((0.0, 0.5, 0.5, 0.9, 1.0))
    disk = Disk(dict(base.names), set(base.folders), dict(base.data), dict(base.modes))
    for index, op in enumerate(done):
        if index in sure or rng.random() < keep:
            disk.apply(op)
        elif op[0] == "write" and rng.random() < 0.3:
            disk.apply((*op[:3], op[3][: len(op[3]) // 2]))
    return disk


@dataclass
class Losses:
    """What came of the samples."""

    samples: int = 0
    double: int = 0
    failures: list[str] = field(default_factory=list)
    sites: Counter[str] = field(default_factory=Counter)

    def words(self) -> str:
        return f"{self.samples} power losses ({self.double} of them twice), {len(self.failures)} failures"


def sample(command: Command, folder: Path, count: int, seed: int, losses: Losses, without: str = "") -> None:
    """So many crashes of one command, each followed by a crash of the recovery, then a whole one, then the checks."""
    rng = random.Random(f"{command.name} {seed}")
    base = Disk.read(command.template)
    root, out = folder / "traced", folder / "trace"
    base.write(root)
    base = Disk.read(root)  # with the inodes that the trace will name
    code, ops, sites = traced(lambda: command.act(root), root, out, without)
    assert code == command.expected, (command.name, code)
    losses.sites += sites
    shutil.rmtree(root)
    for number in range(count):
        at = len(ops) if number % 10 == 0 else rng.randrange(len(ops) + 1)
        first = crash(base, ops, at, rng)
        wrong = _after(command, folder, first, rng, losses, acknowledged=at == len(ops), without=without)
        losses.samples += 1
        if wrong:
            losses.failures.append(f"{command.name}, sample {number} of seed {seed}, after {at} of {len(ops)}: {wrong}")


def _after(
    command: Command, folder: Path, first: Disk, rng: random.Random, losses: Losses, *, acknowledged: bool, without: str
) -> str:
    root, out = folder / "crashed", folder / "trace"
    shutil.rmtree(root, ignore_errors=True)
    first.write(root)
    base = Disk.read(root)
    code, ops, _ = traced(lambda: recover(root), root, out, without)
    if code:
        return f"recover ends with {code}"
    if ops and rng.random() < 0.9:
        second = crash(base, ops, rng.randrange(len(ops) + 1), rng)
        shutil.rmtree(root)
        second.write(root)
        losses.double += 1
        code, _ = in_child(lambda: recover(root))
        if code:
            return f"recover, after a crash of recover, ends with {code}"
    wrong = check(command, root, 0 if acknowledged else -9) or _deep(root)
    if acknowledged and not wrong and state(root) != command.ends[-1]:
        return "an acknowledged operation was lost"
    return wrong


def _deep(root: Path) -> str:
    """Every copy of every listed snapshot, byte by byte."""
    layout = layout_of(root)
    known = observed.list_snapshots(layout)
    found = integrity.structure(layout, known, observed.reliance(layout, known, 0))
    integrity.check(layout, list(found.copies.values()), found)
    return str(found.problems) if found.problems else ""
