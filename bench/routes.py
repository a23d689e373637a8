"""How long the decision takes, by route; a rollback of configs and a 2 GiB model beside `cp`; the history of 10,000
operations. `python bench/routes.py [MODEL_MIB]`."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from atftctl.decide.plans import by_commits, by_settings, by_snapshot, staged
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.commits import CodeMove, Commit
from atftctl.domain.plan import Plan
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.observe.snapshots import catalog
from atftctl.operations.backup import create as backup
from atftctl.operations.project import observe, open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes as rollback
from bench.disk import steady_folder
from tests.support.projects import CONFIG, Project, make_project

ROUNDS = 200


def main() -> None:
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    with steady_folder(8 + 4 * mib // 1024) as home:
        decisions(make_project(home / "decide", home / "violations"))
        history(make_project(home / "history", home / "violations"))
        model(make_project(home / "model", home / "violations"), mib)


def decisions(project: Project) -> None:
    """Pure functions over facts; the target is 20 ms."""
    opened = open_project(project.root)
    book = opened.runbook
    backup.create(opened, "", "", Request())
    project.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    snapshot = catalog.list_snapshots(opened.layout)[-1]
    facts = observe(opened, [file.path for file in snapshot.files])
    commits = [Commit(f"{n:040x}", ("0" * 40,), f"feat: {n}", ("a.py",)) for n in range(10)]
    files = [by_commits.NewFile(CONFIG, sha256_bytes(b"%d" % n)) for n in range(200)]
    move, files_only = CodeMove("refs/heads/main", "0" * 40, "1" * 40), RestartPolicy(restart=False)
    found: dict[str, Callable[[], Plan]] = {
        "immediate": lambda: by_settings.rollback_immediate(book, facts, RestartPolicy()),
        "symptom": lambda: by_settings.rollback_symptom(book, facts, "oom", RestartPolicy(), "en"),
        "feature": lambda: by_settings.rollback_features(book, facts, ["use_ema"], RestartPolicy()),
        "to": lambda: by_snapshot.restore(book, facts, snapshot, snapshot.files, files_only, command="rollback"),
        "stage": lambda: by_settings.stage(book, facts, "divergence", "block", RestartPolicy(), "en"),
        "stages": lambda: staged.staged(book, _died(facts), "divergence", "en"),
        "git, 200 files": lambda: by_commits.reverted(book, facts, commits, move, files, RestartPolicy()),
    }
    worst = 0.0
    for name, decide in found.items():
        times = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            decide()
            times.append(time.perf_counter() - begun)
        worst = max(worst, max(times))
        print(f"decide {name}: median {statistics.median(times) * 1000:.2f} ms, worst {max(times) * 1000:.2f} ms")
    print(f"decide, all routes: worst {worst * 1000:.1f} ms (target 20)")


def _died(facts):  # type: ignore[no-untyped-def]
    import dataclasses

    return dataclasses.replace(facts, process=dataclasses.replace(facts.process, state="died"))


def history(project: Project) -> None:
    """10,000 operations of an ordinary length; the target is 0.5 s, the start of the process in it."""
    project.run("rollback", "--symptom", "oom", "--yes")
    path = project.root / ".atftctl/history.jsonl"
    line = path.read_bytes().splitlines()[0]
    before, lines = "", []
    for number in range(10_000):
        entry = json.loads(line) | {"operation": f"2026{number:06d}-aaaa", "before": before}
        lines.append(json.dumps(entry).encode())
        before = sha256_bytes(lines[-1])
    path.write_bytes(b"\n".join(lines) + b"\n")
    end = {"lines": len(lines), "sha256": before, "next": ""}
    (project.root / ".atftctl/history.end.json").write_text(json.dumps(end))
    for words in (("history",), ("history", "--check"), ("show",)):
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            assert project.run(*words).code == 0
            times.append(time.perf_counter() - begun)
        print(f"{' '.join(words)} over 10,000 operations: {statistics.median(times):.2f} s (target 0.5)")


def model(project: Project, mib: int) -> None:
    """Two configs and a model come back; beside it `cp` and `sync` of the model. Target: 3 times that, and 1 s: the
    model that stands is copied and hashed, too, before another one comes."""
    path = project.root / "models/best_model.pth"
    noise = os.urandom(64 << 20)

    def fill(first: int) -> None:
        with path.open("wb") as file:
            for number in range(mib // 64):
                file.write(bytes([first, number]) + noise[2:])
            os.fsync(file.fileno())

    fill(1)
    backup.create(open_project(project.root), "good", "", Request())
    ratios = []
    for number in range(3):
        fill(2 + number)
        project.replace(CONFIG, "hidden_size: 32", "hidden_size: 16")
        subprocess.run(["sync"], check=True)
        begun = time.perf_counter()
        subprocess.run(["cp", str(project.root / "backups" / newest(project) / "models/best_model.pth"),
                        str(project.root / "copy")], check=True)  # fmt: skip
        subprocess.run(["sync"], check=True)
        copied = time.perf_counter() - begun
        (project.root / "copy").unlink()
        begun = time.perf_counter()
        rollback.to_snapshot(open_project(project.root), "good", RestartPolicy(restart=False), Request())
        took = time.perf_counter() - begun
        ratios.append((took - 1) / copied)
        print(f"rollback of configs and a model of {mib} MiB: {took:.2f} s; cp and sync of the model: {copied:.2f} s")
    print(f"(rollback - 1 s) / copy: median {statistics.median(ratios):.2f} (target 3)")
    shutil.rmtree(project.root)


def newest(project: Project) -> str:
    return sorted(path.name for path in (project.root / "backups").iterdir() if not path.name.startswith("."))[0]


if __name__ == "__main__":
    main()
