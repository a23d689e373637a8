"""Python packages of the environment that the trainer runs in: taken away, with their files kept, and put back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from atftctl.domain.steps import Package
from atftctl.host.errors import HostError
from atftctl.host.files.folders import fsync_dir, make_dirs
from atftctl.host.files.reading import open_regular
from atftctl.host.process import rights
from atftctl.host.process.command import run
from atftctl.state.layout import Layout

LIMIT_S = 300.0


def keep(layout: Layout, operation: str, packages: Sequence[Package]) -> tuple[Package, ...]:
    """Their files, in an archive each beside the operation's evidence: putting them back needs no network. Raises
    OSError, HostError."""
    import tarfile

    _refuse_for_another(layout.root)
    if run([sys.executable, "-m", "pip", "--version"], cwd=layout.root, env=os.environ, limit_s=LIMIT_S).code != 0:
        raise HostError("pip is not there, which would have to uninstall them")
    folder = layout.operations / operation
    make_dirs(folder, 0o700)
    kept = []
    for package in packages:
        archive = folder / f"{package.name}-{package.version}.tar"
        with archive.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w", dereference=True) as tar:
                for path in _files(package.name):
                    tar.add(path, arcname=str(path), recursive=False)
            file.flush()
            os.fsync(file.fileno())
        kept.append(Package(package.name, package.version, str(archive.relative_to(layout.root))))
    fsync_dir(folder)
    return tuple(kept)


def _files(name: str) -> list[Path]:
    from importlib import metadata

    files = metadata.distribution(name).files
    if files is None:
        raise HostError(f"{name} has no list of its files")
    found = [path for file in files if (path := Path(str(file.locate())).resolve()).is_file()]
    for path in found:
        _check_place(path, name)
    return found


def _check_place(path: Path, name: str) -> None:
    """Only what lies in the environment itself can be taken away and put back. Raises HostError."""
    home = Path(sys.prefix).resolve()
    if not path.resolve().is_relative_to(home):
        raise HostError(f"{name} has a file outside of {home}: {path}")


def change(layout: Layout, record: Mapping[str, Any]) -> None:
    """As an operation's record says; may be done again. Raises OSError, HostError."""
    _refuse_for_another(layout.root)
    found = [Package(**one) for one in record["packages"]]
    if record["away"]:
        take_away(layout.root, [one.name for one in found])
    else:
        put_back(layout, found)


def take_away(root: Path, names: Iterable[str]) -> None:
    """Those that are still there. Raises HostError."""
    there = [name for name in names if _installed(name)]
    if not there:
        return
    argv = [sys.executable, "-m", "pip", "uninstall", "--yes", "--disable-pip-version-check", *there]
    done = run(argv, cwd=root, env=os.environ, limit_s=LIMIT_S)
    if done.code != 0 or any(map(_installed, there)):
        raise HostError(f"pip could not uninstall {', '.join(there)}: {done.last_line}")


def rehearse_back(layout: Layout, packages: Iterable[Package]) -> None:
    """Could they be put back? Raises OSError, HostError for an archive that is gone or damaged, or is of elsewhere."""
    import tarfile

    _refuse_for_another(layout.root)
    for package in packages:
        try:
            with open_regular(_archive(layout, package)) as file, tarfile.open(fileobj=file) as tar:
                for member in tar.getmembers():
                    if not member.isreg():
                        raise HostError(f"{package.kept} holds more than files: {member.name}")
                    _check_place(Path("/") / member.name, package.kept)
        except tarfile.TarError as error:
            raise HostError(f"{package.kept} can't be read: {error}") from None


def _archive(layout: Layout, package: Package) -> Path:
    """Raises HostError for an archive that is not one that an operation kept."""
    path = Path(package.kept)
    if path.parts[:2] != (".atftctl", "operations") or len(path.parts) != 4 or ".." in path.parts:
        raise HostError(f"{package.kept!r} is not where an operation keeps packages")
    return layout.root / path


def put_back(layout: Layout, packages: Iterable[Package]) -> None:
    """From what was kept. Raises OSError, HostError."""
    import tarfile

    packages = list(packages)
    rehearse_back(layout, packages)
    for package in packages:
        with open_regular(_archive(layout, package)) as file, tarfile.open(fileobj=file) as tar:
            tar.extractall("/", filter="fully_trusted")  # noqa: S202 - every member was looked at


def have_changed(record: object) -> bool:
    """Has the change of packages that an operation's record tells of begun?"""
    if not isinstance(record, Mapping):
        return False
    names = [str(one.get("name")) for one in record.get("packages") or () if isinstance(one, Mapping)]
    return any(_installed(name) is not bool(record.get("away")) for name in names)


def _refuse_for_another(root: Path) -> None:
    """Root changes no packages where somebody else owns the project: what is kept there would then run as root. Raises
    HostError."""
    if (user := rights.user_of(root)) is not None:
        who = user.name or f"uid {user.uid}"
        raise HostError(f"packages are changed by the owner of the project only: sudo -u {who} atftctl …")


def _installed(name: str) -> bool:
    from importlib import metadata

    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
