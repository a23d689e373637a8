"""Try the one-file rescue copy where little works: `make pyz` runs this on what it built.

Each case starts the file with a bare environment and the interpreter alone. Cases that need root (another user, a
home folder on a full disk) are left out, with a line that says so, where we are not root or must not mount.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from build_pyz import target_path

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534
LIMIT_S = 120
SYSTEM = shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/bin:/bin")
INTERPRETER = SYSTEM or os.path.realpath(sys.executable)  # not the virtual environment's: its packages must not help


def make_project(folder: Path) -> Path:
    """Return a scratch project with configs, a runbook and models; no trainer runs there."""
    project = folder / "project"
    project.mkdir()
    for name in ("configs", "runbooks"):
        shutil.copytree(ROOT / name, project / name)
    (project / "models").mkdir()
    for name in ("best_model.pth", "last.pth"):
        (project / "models" / name).write_bytes(b"weights " * 1000)
    return project


def run(
    pyz: Path,
    project: Path,
    words: str,
    home: str | None,
    *,
    user: int | None = None,
    expected: tuple[int, ...] = (0,),
    **env: str,
) -> str:
    """Run one command; return its output. Exits where the command ends with a code that is not expected."""
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **env} | ({} if home is None else {"HOME": home})
    done = subprocess.run(
        [INTERPRETER, str(pyz), *words.split()],
        cwd=project, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
        user=user, group=user, extra_groups=None if user is None else [], check=False,
    )  # fmt: skip
    if done.returncode not in expected:
        sys.exit(f"FAILED (exit {done.returncode}): {words}, HOME={home}, user={user}\n{done.stdout}{done.stderr}")
    return done.stdout


def try_home(pyz: Path, folder: Path) -> str:
    """The rescue itself: snapshot, rollback, undo, and a second start from the same unpacked copy."""
    home, project = folder / "home", make_project(folder)
    home.mkdir()
    for words in ("status", "backup", "rollback --immediate --yes --no-restart", "undo --yes --no-restart", "history"):
        run(pyz, project, words, str(home))
    copies = list((home / ".cache" / "atftctl").iterdir())
    if len(copies) != 1:
        sys.exit(f"FAILED: {len(copies)} unpacked copies in {home}")
    (copies[0] / "site-packages" / "psutil" / "__init__.py").write_text("")  # as a power cut may leave it
    run(pyz, project, "status", str(home))
    return "a home folder: status, backup, rollback, undo; a damaged copy is unpacked again"


def try_no_home(pyz: Path, folder: Path) -> str:
    """HOME that does not exist, is no path, or is not set."""
    project = make_project(folder)
    for home in ("/nonexistent", "", None):
        run(pyz, project, "status", home)
    return "HOME missing, empty, not set"


def try_read_only_home(pyz: Path, folder: Path) -> str:
    """A home folder that can't be written to; root is made another user for it, since modes don't stop root."""
    project, home = make_project(folder), folder / "home"
    home.mkdir(mode=0o555)
    user = NOBODY if os.geteuid() == 0 else None
    if user and not SYSTEM:
        return f"left out (another user may not run {INTERPRETER}): a read-only home folder"
    hand_over(folder, user)
    run(pyz, project, "status", str(home), user=user)
    run(pyz, project, "rollback --immediate --yes --no-restart", str(home), user=user)
    return "a read-only home folder" + (", as another user" if user else "")


def hand_over(folder: Path, user: int | None) -> None:
    """Give everything below a folder to a user."""
    if user is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, user)


def try_full_home(pyz: Path, folder: Path) -> str:
    """A home folder on a disk with 200 kB."""
    project, home = make_project(folder), folder / "home"
    home.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(home)]).returncode:
        return "left out (no rights to mount): a home folder on a full disk"
    try:
        run(pyz, project, "status", str(home))
        left = [path for path in home.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(home)], check=True)
    if left:
        sys.exit(f"FAILED: files were left behind on the full disk: {left[:3]}")
    return "a home folder on a full disk"


def try_foreign_folder(pyz: Path, folder: Path) -> str:
    """A folder that somebody else can write to is never unpacked into: what lies there would be run."""
    project, place = make_project(folder), folder / "place"
    place.mkdir()
    place.chmod(0o777)
    run(pyz, project, "status", None, SHIV_ROOT=str(place))
    if any(place.iterdir()):
        sys.exit(f"FAILED: unpacked into {place}, which everybody may write to")
    return "a folder that others may write to is passed over"


def try_private_copy(pyz: Path, folder: Path) -> str:
    """The packages lie in the project: the tool goes on from a private copy of itself, and finds them there, too."""
    project = make_project(folder)
    words = "rollback --full --yes --no-restart"
    out = run(pyz, project, words, None, expected=(1,), SHIV_ROOT=str(project / "cache"))  # 1: no trainer to be probed
    if "does not train" not in out:
        sys.exit(f"FAILED: {words}\n{out}")
    return "a rollback that goes on from a private copy"


CASES: tuple[Callable[[Path, Path], str], ...] = (
    try_home, try_no_home, try_read_only_home, try_full_home, try_foreign_folder, try_private_copy,
)  # fmt: skip


def main() -> None:
    """Run every case in a folder of its own; the first that fails ends the check with exit 1."""
    source = target_path()
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="atftctl-pyz-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            pyz = folder / source.name  # another user must be able to read it
            shutil.copy(source, pyz)
            print(f"ok  {case(pyz, folder)}", flush=True)
    for place in (Path("/run/user"), Path("/var/tmp"), Path("/tmp"), Path("/dev/shm")):  # noqa: S108
        for copy in place.glob(f"*/{source.stem}_*"):  # what the cases without a home folder unpacked
            shutil.rmtree(copy, ignore_errors=True)
        for copy in place.glob(f"*/atftctl/{source.stem}_*"):
            shutil.rmtree(copy, ignore_errors=True)


if __name__ == "__main__":
    main()
