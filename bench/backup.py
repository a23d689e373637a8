"""How fast snapshots are: ratios in one run against what a user would pick instead, on the same files.

Against a single-pass copy + SHA-256 + fsync (what any careful script does), `cp` + `sync`, restic and borg (Debian's
packages; left out where they are not installed). Ends with one line of JSON; exit 1 where a target is missed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.disk import steady_folder  # noqa: E402
from bench.report import finish  # noqa: E402
from bench.startup import EMPTY, command, scratch, timed  # noqa: E402

SIZE = 2 << 30
ROUNDS = 3
RESTORES = 5
GIB = 18  # room for the models, and for a copy of each tool
SMALL_FILES = 10_000
SNAPSHOTS = 1_000
ENV = {**os.environ, "RESTIC_PASSWORD": "bench", "BORG_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
       "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}  # fmt: skip


def shell(*argv: str, cwd: Path) -> None:
    done = subprocess.run(argv, cwd=cwd, env=ENV, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv}: exit {done.returncode}\n{done.stderr}")


def cold() -> None:
    """Out of the page cache, where we may: what is read comes from the disk."""
    os.sync()
    if os.geteuid() == 0:
        Path("/proc/sys/vm/drop_caches").write_text("3")


def one_pass(source: Path, target: Path) -> None:
    """The yardstick: read, hash, write, fsync; one thread."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(1 << 20):
            digest.update(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())


def fill(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    os.utime(path, (1_700_000_000, 1_700_000_000))


def project(home: Path) -> Path:
    root = scratch(home, "project")
    for name in ("best_model.pth", "last.pth"):
        fill(root / "models" / name, SIZE // 2)
    time.sleep(2.1)  # younger files prove nothing by their times
    return root


def ours(root: Path, *words: str) -> None:
    command(root, *words)


def first_backup(root: Path, home: Path, *, from_disk: bool) -> dict[str, float]:
    """Seconds for the first copy of 2 GiB, the tools in turns."""
    found: dict[str, list[float]] = {}
    models = sorted((root / "models").iterdir())

    def take(name: str, act: Callable[[], object], clean: Callable[[], object]) -> None:
        clean()
        if from_disk:
            cold()
        else:
            os.sync()
            for one in models:
                shutil.copyfile(one, os.devnull)
        found.setdefault(name, []).append(timed(act))

    def clear(name: str) -> Path:
        shutil.rmtree(home / name, ignore_errors=True)
        (home / name).mkdir()
        return home / name

    for _ in range(ROUNDS if not from_disk else 1):
        take("one_pass", lambda: [one_pass(one, home / "one" / one.name) for one in models], lambda: clear("one"))
        take("cp", lambda: shell("sh", "-c", f"cp {root}/models/* {home}/cp && sync", cwd=home), lambda: clear("cp"))
        take("ours", lambda: ours(root, "backup"), lambda: shutil.rmtree(root / "backups", ignore_errors=True))
        if shutil.which("restic"):
            take("restic", lambda: shell("sh", "-c", f"restic -q -r {home}/restic backup models && sync", cwd=root),
                 lambda: shell("restic", "-q", "init", "-r", str(clear("restic")), cwd=home))  # fmt: skip
        if shutil.which("borg"):
            take("borg", lambda: shell("sh", "-c", f"borg create {home}/borg::a models && sync", cwd=root),
                 lambda: shell("borg", "init", "-e", "none", str(clear("borg")), cwd=home))  # fmt: skip
    return {name: statistics.median(values) for name, values in found.items()}


def unchanged(root: Path, home: Path) -> dict[str, float]:
    empty = home / "empty.py"
    empty.write_text(EMPTY)
    seconds: dict[str, list[float]] = {}
    for _ in range(7):
        seconds.setdefault("empty", []).append(timed(lambda: command(home, program=[str(empty)])))
        seconds.setdefault("ours", []).append(timed(lambda: ours(root, "backup")))
    return {name: statistics.median(values) for name, values in seconds.items()}


def restored(root: Path, home: Path) -> dict[str, float]:
    """The models are gone and come back."""
    found: dict[str, list[float]] = {}
    for _ in range(RESTORES):
        for name, act in {
            "cp": lambda: shell("sh", "-c", f"mkdir models && cp {home}/cp/* models && sync", cwd=root),
            "ours": lambda: ours(root, "restore", "latest", "--yes", "--no-restart"),
            "restic": lambda: shell("sh", "-c", f"restic -q -r {home}/restic restore latest -t . && sync", cwd=root),
        }.items():
            if name == "restic" and not shutil.which("restic"):
                continue
            shutil.rmtree(root / "models")
            os.sync()
            found.setdefault(name, []).append(timed(act))
    return {name: statistics.median(values) for name, values in found.items()}


def peak_mb(root: Path) -> float:
    """Resident memory of one backup of all, over that of an empty project's."""
    shutil.rmtree(root / "backups")
    child = subprocess.Popen(
        [sys.executable, "-m", "atftctl", "backup", "--project", str(root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit("the backup failed")
    return usage.ru_maxrss / 1024


def many_files(home: Path) -> dict[str, float]:
    root = scratch(home, "many")
    runbook = next((root / "runbooks").glob("*.yaml"))
    text = runbook.read_text()
    assert "also: []" in text
    runbook.write_text(text.replace("also: []", "also: [parts]"))
    for at in range(SMALL_FILES):
        path = root / "parts" / str(at // 100) / f"{at}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(2048))
    os.sync()
    return {"first": timed(lambda: ours(root, "backup")), "again": timed(lambda: ours(root, "backup"))}


def many_snapshots(home: Path) -> float:
    root = scratch(home, "snapshots")
    fill(root / "models" / "best_model.pth", 1 << 20)
    ours(root, "backup")
    first = next(one for one in (root / "backups").iterdir())
    for at in range(1, SNAPSHOTS):
        shutil.copytree(first, root / "backups" / f"20200101_{at:06}", copy_function=os.link)
    return statistics.median(timed(lambda: ours(root, "backup", "list")) for _ in range(5))


def main() -> None:
    with steady_folder(GIB) as home:
        root = project(home)
        from_disk = first_backup(root, home, from_disk=True)
        warm = first_backup(root, home, from_disk=False)
        again = unchanged(root, home)
        back = restored(root, home)
        figures = {f"first_{name}_s": seconds for name, seconds in warm.items()}
        figures |= {f"first_from_disk_{name}_s": seconds for name, seconds in from_disk.items()}
        figures |= {f"restore_{name}_s": seconds for name, seconds in back.items()}
        figures["first_rate_to_one_pass"] = warm["one_pass"] / warm["ours"]
        figures["first_from_disk_rate_to_one_pass"] = from_disk["one_pass"] / from_disk["ours"]
        for rival in ("borg", "restic"):
            if rival in warm:
                figures[f"first_rate_to_{rival}"] = warm[rival] / warm["ours"]
        figures["unchanged_to_empty_app"] = again["ours"] / again["empty"]
        figures["restore_rate_to_cp"] = back["cp"] / back["ours"]
        if "restic" in back:
            figures["restore_rate_to_restic"] = back["restic"] / back["ours"]
        figures["peak_memory_mb"] = peak_mb(root)
        small = many_files(home)
        figures |= {"small_files_s": small["first"], "small_files_again_s": small["again"]}
        figures["list_s"] = many_snapshots(home)
    targets = {
        "first_rate_to_one_pass": (">=", 1.0), "first_rate_to_borg": (">=", 1.5), "first_rate_to_restic": (">=", 4.0),
        "unchanged_to_empty_app": ("<=", 4.0), "restore_rate_to_cp": (">=", 0.9), "restore_rate_to_restic": (">=", 3.0),
        "peak_memory_mb": ("<=", 150.0), "small_files_s": ("<=", 5.0), "list_s": ("<=", 0.5),
    }  # fmt: skip
    finish("backup", figures, {name: bound for name, bound in targets.items() if name in figures})


if __name__ == "__main__":
    main()
