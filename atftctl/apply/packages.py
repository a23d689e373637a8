"""Uninstall Python packages of the trainer's environment, with their files archived before, and put them back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from atftctl.domain.code_steps import Package
from atftctl.host.errors import HostError, reason
from atftctl.host.files.folders import fsync_dir, make_dirs
from atftctl.host.files.reading import open_regular
from atftctl.host.process import rights
from atftctl.host.process.command import run
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

LIMIT_S = 300.0


def keep(layout: Layout, operation: str, packages: Sequence[Package]) -> tuple[Package, ...]:
    """Archive the files of each package beside the operation's evidence, so that putting it back needs no network.

    Raises OSError, HostError.
    """
    import tarfile

    _refuse_for_another(layout.root)
    if run([sys.executable, "-m", "pip", "--version"], cwd=layout.root, env=os.environ, limit_s=LIMIT_S).code != 0:
        raise HostError(tr("pip is not installed; it is needed to uninstall packages"))
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
        raise HostError(tr("the package {package} has no list of its files", package=name))
    paths = [path for file in files if (path := Path(str(file.locate())).resolve()).is_file()]
    for path in paths:
        _check_place(path, name)
    return paths


def _check_place(path: Path, name: str) -> None:
    """Raise HostError for a file outside of the environment: it can't be removed and put back."""
    home = Path(sys.prefix).resolve()
    if not path.resolve().is_relative_to(home):
        raise HostError(
            tr("{package} has a file outside of {environment}: {path}", package=name, environment=home, path=path)
        )


def change(layout: Layout, record: Mapping[str, Any]) -> None:
    """Uninstall or put back what an operation's record names. Can be repeated. Raises OSError, HostError."""
    _refuse_for_another(layout.root)
    packages = [Package(**package) for package in record["packages"]]
    if record["away"]:
        take_away(layout.root, [package.name for package in packages])
    else:
        put_back(layout, packages)


def take_away(root: Path, names: Iterable[str]) -> None:
    """Uninstall those of these packages that are installed. Raises HostError."""
    installed = [name for name in names if _installed(name)]
    if not installed:
        return
    argv = [sys.executable, "-m", "pip", "uninstall", "--yes", "--disable-pip-version-check", *installed]
    done = run(argv, cwd=root, env=os.environ, limit_s=LIMIT_S)
    if done.code != 0 or any(map(_installed, installed)):
        names_text = ", ".join(installed)
        raise HostError(tr("pip could not uninstall {packages}: {reason}", packages=names_text, reason=done.last_line))


def rehearse_back(layout: Layout, packages: Iterable[Package]) -> None:
    """Check that packages can be put back. Raises OSError, HostError for an archive that is missing, damaged, or of
    another environment."""
    import tarfile

    _refuse_for_another(layout.root)
    for package in packages:
        try:
            with open_regular(_archive(layout, package)) as file, tarfile.open(fileobj=file) as tar:
                for member in tar.getmembers():
                    if not member.isreg():
                        raise HostError(
                            tr(
                                "{archive} holds something that is not a file: {member}",
                                archive=package.kept,
                                member=member.name,
                            )
                        )
                    _check_place(Path("/") / member.name, package.kept)
        except tarfile.TarError as error:
            raise HostError(
                tr("{archive} can't be read: {reason}", archive=package.kept, reason=reason(error))
            ) from None


def _archive(layout: Layout, package: Package) -> Path:
    """Return where a package's archive is. Raises HostError for a path where no operation keeps packages."""
    path = Path(package.kept)
    if path.parts[:2] != (".atftctl", "operations") or len(path.parts) != 4 or ".." in path.parts:
        raise HostError(tr("{path!r} is not where an operation keeps packages", path=package.kept))
    return layout.root / path


def put_back(layout: Layout, packages: Iterable[Package]) -> None:
    """Unpack the archives of these packages into the environment. Raises OSError, HostError."""
    import tarfile

    packages = list(packages)
    rehearse_back(layout, packages)
    for package in packages:
        with open_regular(_archive(layout, package)) as file, tarfile.open(fileobj=file) as tar:
            tar.extractall("/", filter="fully_trusted")  # noqa: S202 - `rehearse_back` checked every member


def have_changed(record: object) -> bool:
    """Has the change of packages that an operation recorded begun?"""
    if not isinstance(record, Mapping):
        return False
    names = [str(package.get("name")) for package in record.get("packages") or () if isinstance(package, Mapping)]
    return any(_installed(name) is not bool(record.get("away")) for name in names)


def _refuse_for_another(root: Path) -> None:
    """Raise HostError for root in another user's project: archives that the user can write would run as root."""
    if (user := rights.user_of(root)) is not None:
        owner = user.name or f"'#{user.uid}'"  # as sudo takes a user id
        raise HostError(
            tr("only the owner of the project can change its packages: sudo -u {owner} atftctl …", owner=owner)
        )


def _installed(name: str) -> bool:
    from importlib import metadata

    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
