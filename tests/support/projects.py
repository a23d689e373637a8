"""A scratch project with a stand-in trainer, and the command as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import forked

ROOT = Path(__file__).resolve().parents[2]
STANDIN = ROOT / "tests" / "support" / "children" / "standin.py"
SHARED_DATA = ROOT.parent / "shared" / "data" / "tse.parquet"
CONFIG = "configs/atft/config.yaml"
TRAINING = "configs/atft/train/production.yaml"
RUNBOOK = "runbooks/atft-gat-fan.yaml"
OOM = ("rollback", "--symptom", "oom", "--yes")  # a command that changes settings
VALIDATE = '  validate: ["{python}", "-m", atftctl.trainer, validate]\n'  # of the runbook
NEXT = "  processes: "  # the line after it
REVERT = ("rollback", "--git", "HEAD", "--yes", "--no-restart")  # a command that changes code


@dataclass
class Ended:
    """A command that has ended; a failing test prints it whole."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The envelope that `--json` printed."""
        envelope: dict[str, Any] = json.loads(self.out)
        return envelope

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


@dataclass
class Project:
    """A scratch project and how to run commands in it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    forks: bool = True  # run commands in a fork of a process that has the tool loaded; not for another copy of the tool

    @staticmethod
    def argv(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "atftctl", *arguments]

    def run(
        self,
        *arguments: str,
        stdin: str | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        limit_s: float = 120,
        fresh: bool = False,
    ) -> Ended:
        """Run a command to its end. `fresh`: in a new interpreter, for tests of how the tool starts."""
        if not fresh and not {"PYTHONPATH", "ATFTCTL_TEST_BLOCK"} & (env or {}).keys() and self.forks:
            code, out, err = forked.run(
                arguments, cwd=cwd or self.root, env={**self.env, **(env or {})}, stdin=stdin, limit_s=limit_s
            )
            return Ended(code, out, err)
        done = subprocess.run(
            self.argv(*arguments),
            cwd=cwd or self.root,
            env={**self.env, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*arguments),
            cwd=self.root, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start_trainer(self) -> None:
        ended = self.run("trainer", "start")
        assert ended.code == 0, ended

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: str | bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def replace(self, name: str, old: str, new: str) -> None:
        text = self.read(name).decode()
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new, 1))

    def behave(self, *words: str) -> None:
        """Tell the stand-in trainer how to behave, see children/standin.py."""
        self.write("behaviour", "\n".join(words))

    def record(self) -> dict[str, Any]:
        """The process record of the trainer that was started last."""
        record: dict[str, Any] = json.loads(self.read(".atftctl/process.json"))
        return record

    def tree(self) -> dict[str, bytes]:
        """Every file of the project and its bytes: what a dry run must not change."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def configs(self) -> tuple[bytes, bytes]:
        return self.read(CONFIG), self.read(TRAINING)


def processes_of(root: Path) -> list[int]:
    """List the pids of living processes whose working folder is this project."""
    pids = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/cwd") != str(root):
                continue
            if Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX":
                pids.append(int(name))
        except OSError:
            continue
    return pids


# How long a condition may take that comes true in a second: a bound on hangs, on a machine that is 20 times slower.
PATIENCE_S = 60.0


def wait_for(condition: Callable[[], object], limit_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds; fail after `limit_s` seconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"a condition did not become true within {limit_s:g} s"
        time.sleep(0.02)


# COLUMNS and LINES: pytest-xdist sets them, and a program believes them before its terminal.
NOT_INHERITED = ("ATFTCTL", "LC_", "COLUMNS", "LINES")


def make_project(root: Path, violations: Path) -> Project:
    """Create a project with a stand-in trainer. `violations`: where a signal to a foreign process is recorded."""
    root = root.resolve()
    shutil.copytree(ROOT / "configs", root / "configs")
    shutil.copytree(ROOT / "runbooks", root / "runbooks")
    (root / "models").mkdir()
    (root / "models" / "best_model.pth").write_bytes(b"best weights " * 100)
    (root / "models" / "last.pth").write_bytes(b"last weights " * 100)
    guarded = ROOT / "tests" / "support" / "children" / "guarded"
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)},
        "PYTHONPATH": f"{guarded}{os.pathsep}{ROOT}",
        "ATFTCTL_TEST": "1",
        "ATFTCTL_TEST_VIOLATIONS": str(violations),
        "ATFTCTL_TEST_STANDINS": "torch numpy pandas pyarrow",  # of what `doctor` imports
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    project = Project(root, env)
    project.replace(
        RUNBOOK,
        'command: ["{python}", -m, atftctl.trainer, train,'.replace("-m", '"-m"'),
        f'command: ["{{python}}", {STANDIN}, train,',
    )
    # The stand-in's checkpoints are no zip files and have no grade: tests of grades name one (support/rungs.py).
    text = project.read(RUNBOOK).decode().splitlines(keepends=True)
    project.write(RUNBOOK, "".join(line for line in text if not line.startswith(("    resume_grade:", "    again:"))))
    project.replace(RUNBOOK, VALIDATE, "")  # asking takes a third of the time of a command; see `ask_trainer`
    project.replace(RUNBOOK, "grace_s: 30", "grace_s: 5")
    project.replace(RUNBOOK, "ready_s: 120", "ready_s: 20")
    return project


def ask_trainer(project: Project) -> Project:
    """Let each change ask the real trainer whether its settings are valid."""
    project.replace(RUNBOOK, NEXT, VALIDATE + NEXT)
    return project


def real_trainer(project: Project) -> Project:
    """Replace the stand-in by the real trainer, on a small market, so that it reaches its first step quickly."""
    ask_trainer(project)
    line = next(line for line in project.read(RUNBOOK).decode().splitlines() if line.startswith("  command:"))
    project.replace(RUNBOOK, line, '  command: ["{python}", "-m", atftctl.trainer, train, --resume, "{resume}"]')
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 120")
    project.replace(CONFIG, "hidden_size: 32", "hidden_size: 16")
    project.replace(CONFIG, "stocks: 120", "stocks: 40")
    for name in ("best_model.pth", "last.pth"):
        (project.root / "models" / name).unlink()
    return project
