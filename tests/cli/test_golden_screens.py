"""What the screens look like: at 80 and at 120 columns, and in a pipe. One text file a screen in tests/cli/golden.

`ATFTCTL_UPDATE_GOLDEN=1 pytest tests/cli/test_golden_screens.py` writes the files anew; read what changed with git diff.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.metrics import events, row, write
from tests.support.projects import RUNBOOK, Project, ask_trainer

pexpect = pytest.importorskip("pexpect")
pyte = pytest.importorskip("pyte")
GOLDEN = Path(__file__).parent / "golden"
MARGIN = 40  # columns: the terminal is wider than it says, so that a row that is too long is seen
SIZES = {"80": (24, 80), "120": (40, 120)}
# The same operator everywhere, and no age but `just now`: their widths decide where lines break.
LAUNCH = """
import socket, sys
socket.gethostname = lambda: "host"
import atftctl.cli.render.ages as ages
ages.MINUTE = 3600
sys.argv = ["atftctl", *sys.argv[1:]]
from atftctl.__main__ import main
main()
"""
CHECKLIST = """
from atftctl.cli.render.checks import checklist
from atftctl.domain.result import Part, Result
from atftctl.operations.verification.checklist import CheckLine, VerifyData
from atftctl.protocol import Exit
checks = (
    CheckLine("model", "pass", "models/best_model.pth, 151,552 parameters", {}, "model loads"),
    CheckLine("quality", "fail", "0.0104, baseline 0.0312; difference -0.0208 <= -0.02, upper 95 % bound -0.0041 < 0: "
     "degraded (120 dates)", {}, "RankIC@1d"),
    CheckLine("memory", "inconclusive", "271.2 MB; there is no baseline to compare with", {}, "memory",
     "record a baseline while the service is healthy: atftctl baseline record"),
    CheckLine("training", "fail", "the probe crashed (SIGSEGV)", {}, "training starts", "",
     ("Fatal Python error: Segmentation fault", "", 'Current thread 0x1 (most recent call first):',
      '  File "/srv/atft/lib/python3.12/site-packages/torch/nn/modules/linear.py", line 125 in forward')),
)
checklist(Result("verify", Exit.CHECK_FAILED, "not verified: a check failed", parts=(Part("probes", 19.92),),
    lines=("next: to undo the last operation: atftctl undo; to list all operations: atftctl history",),
    data=VerifyData("fail", checks, ("step-time", "service")), contacts=("Emergency: Slack #ml-alerts, or phone",)))
"""
DOCTOR = """
from atftctl.cli.render.checks import findings
from atftctl.domain.result import Result
from atftctl.operations.report.doctor import DoctorData, Finding
from atftctl.protocol import Exit
parts = (
    Finding("python", "3.11.7", needed=True),
    Finding("git", "missing", "snapshots do not record the commit, and rollback --git does not work"),
    Finding("configs/atft/config.yaml", "the disk is mounted read-only", needed=True,
     costs="no rollback can change this file: mount the disk writable, then run atftctl doctor again"),
)
findings(Result("doctor", Exit.CHECK_FAILED, "1 part that a rollback needs is missing or broken", data=DoctorData(parts)))
"""
DIAGNOSIS = """
from atftctl.cli.render.diagnosis import diagnosis
from atftctl.domain.result import Result
from atftctl.operations.monitoring.diagnosis_data import Cause, DiagnoseData, Sign
from atftctl.protocol import Exit
when = "2026-11-30T10:31:07+09:00"
line = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB"
memory = Cause("out-of-memory", "oom", "Out of memory", "certain", "atftctl rollback --symptom oom", None,
    (Sign("events", "proof", "out of memory in step 7: CUDA out of memory", when),
     Sign("logs", "strong", line + " (cuda-memory, 3 times)", when)),
    (Sign("kernel", "against", "the kernel killed no process of the trainer's cgroup for memory since the start", None),))
leak = Cause("leak", "memory-leak", "Memory leak", "possible", "atftctl rollback --symptom memory-leak", None,
    (Sign("metrics", "weak", "rss_mb grows: from 512 to 1,204 by step 400, 2 a step", None),), ())
notes = (Sign("logs", "note", "from the teardown: Sending process 33051 closing signal SIGTERM (launcher-stops)", when),)
data = DiagnoseData("fault", memory, (leak,), notes, (), ("the kernel's log can't be read: Operation not permitted",),
    {"leak": "rss_mb grows"}, "died", 3, 400, 400, when)
diagnosis(Result("diagnose", Exit.CHECK_FAILED, "oom: Out of memory (certain)", data=data,
    contacts=("Emergency: Slack #ml-alerts, or phone",)))
"""


@pytest.fixture(params=["80", "120", "piped"])
def screen(request: pytest.FixtureRequest, project: Project) -> Callable[..., None]:
    """Runs a program in a terminal of that size, or in a pipe, and compares what it shows with its file."""
    size: str = request.param
    ask_trainer(project)
    line = next(line for line in project.read(RUNBOOK).decode().splitlines() if line.startswith("  validate:"))
    valid = """  validate: ["{python}", -S, -c, "print('{\\"valid\\": true}')"]"""  # in time on a busy machine, too
    project.replace(RUNBOOK, line, valid)

    def show(name: str, program: str, *arguments: str, answer: str = "", **env: str) -> None:
        words = ["-c", program, *arguments]
        environment = {**project.env, "TERM": "xterm", "NO_COLOR": "1", "SUDO_USER": "ada", **env}
        if size == "piped":
            done = subprocess.run(
                [sys.executable, *words], cwd=project.root, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            text = done.stdout
        else:
            shown, columns = in_terminal(words, project, environment, SIZES[size], answer), SIZES[size][1]
            rows = rows_of(shown, columns + MARGIN)
            assert max(map(len, rows)) <= columns, "no row is wider than the screen"
            text = "\n".join(rows)
        compare(f"{name}-{size}", text)

    return show


def in_terminal(words: list[str], project: Project, env: dict[str, str], size: tuple[int, int], answer: str) -> str:
    child = pexpect.spawn(
        sys.executable, words, cwd=str(project.root), env=env, dimensions=size, timeout=60, encoding="utf-8"
    )
    shown = ""
    if answer:
        child.expect(r"y/N\] ")
        shown = child.before + child.after
        child.sendline(answer)
    child.expect(pexpect.EOF)
    shown += child.before
    child.close()
    return shown


def rows_of(shown: str, columns: int) -> list[str]:
    """What stands on a terminal at the end. Progress, which a busy machine shows and a quick one does not, is erased."""
    screen = pyte.Screen(columns, 1000)
    pyte.Stream(screen).feed(shown)
    return [row.rstrip() for row in screen.display]


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    text = "\n".join(line.rstrip() for line in without_what_varies(text).rstrip().splitlines()) + "\n"
    if os.environ.get("ATFTCTL_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.exists() and text == path.read_text(encoding="utf-8"), f"{path.name}:\n{text}"


def without_what_varies(text: str) -> str:
    """Placeholders of the same width for times, ids and hashes."""
    text = re.sub(r"\d{8}_\d{6}-[0-9a-f]{4}", "YYYYMMDD_hhmmss-xxxx", text)
    text = re.sub(r"\d{8}_\d{6}", "YYYYMMDD_hhmmss", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD hh:mm:ss", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "xxxxxxxxxxxx", text)
    return re.sub(r"\d+\.\d\d\b( s\b|[,)])|(?<= )\d\.\d\d(?=[,)]|$)", "0.00" + r"\1", text)


def test_the_screens(screen: Callable[..., None], project: Project, request: pytest.FixtureRequest) -> None:
    piped = "piped" in request.node.name
    screen("help", LAUNCH, "--help")
    screen("help-rollback", LAUNCH, "rollback", "-h")
    screen("status", LAUNCH, "status")
    project.run("backup", "--label", "before-upgrade", "--pin", env={"SUDO_USER": "ada"})
    screen("dry-run", LAUNCH, "rollback", "--symptom", "oom", "--dry-run")
    screen("error", LAUNCH, "rollback", "--symptom", "ooom")
    screen("declined", LAUNCH, "rollback", "--symptom", "oom", answer="" if piped else "n")
    reason = ("--reason", "the loss diverged after the upgrade of the graph attention, and nobody knows why yet")
    yes = ("--yes",) if piped else ()
    screen("question", LAUNCH, "rollback", "--immediate", *reason, *yes, answer="" if piped else "y")
    screen("status-after", LAUNCH, "status")
    screen("history", LAUNCH, "history")
    screen("show", LAUNCH, "show")
    screen("backup-list", LAUNCH, "backup", "list")
    screen("backup-show", LAUNCH, "backup", "show", "before-upgrade")
    screen("restore-dry-run", LAUNCH, "restore", "before-upgrade", "--dry-run")
    screen("runbook", LAUNCH, "runbook", "show")


def test_the_metrics(screen: Callable[..., None], project: Project) -> None:
    pytest.importorskip("pyarrow")
    write(project, (1, 1, 400), (2, 301, 900), (3, 601, 1200), extra=row(1201, 3, loss_rel="nan") + "\n1202,0,1.0\n")
    events(project, (1, 0, 400), (2, 300, 900), (3, 600, 1200))
    screen("metrics", LAUNCH, "metrics")
    screen("metrics-tail", LAUNCH, "metrics", "--tail", "5")
    screen("metrics-summary", LAUNCH, "metrics", "--summary", "--generation", "last")


def test_the_checklist_and_the_findings(screen: Callable[..., None]) -> None:
    screen("verify", CHECKLIST)
    screen("doctor", DOCTOR)
    screen("diagnose", DIAGNOSIS)


def test_colours_only_where_they_are_wanted(project: Project) -> None:
    arguments = ["-c", LAUNCH, "rollback", "--symptom", "oom", "--dry-run"]
    plain = {**project.env, "TERM": "xterm"}
    assert "\x1b[32m" in in_terminal(arguments, project, plain, (24, 200), "")
    for without in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = in_terminal(arguments, project, {**plain, **without}, (24, 200), "")
        assert not re.search(r"\x1b\[[\d;]*m", shown), "a slow machine shows progress, which moves the cursor"


@pytest.mark.parametrize("rows", [24, 30, 50])
def test_the_plan_and_its_question_fit_the_screen(project: Project, rows: int) -> None:
    shown = in_terminal(
        ["-c", LAUNCH, "rollback", "--immediate"], project, {**project.env, "TERM": "dumb"}, (rows, 80), "n"
    )
    before, _, _ = shown.partition("[y/N]")
    assert "Continue? " in before.splitlines()[-1]
    assert "more lines" in before or rows == 50
    assert len(before.splitlines()) <= rows


def test_the_whole_diff_on_demand(project: Project) -> None:
    arguments = ["-c", LAUNCH, "rollback", "--immediate", "--diff"]
    shown = in_terminal(arguments, project, {**project.env, "TERM": "dumb"}, (24, 80), "n")
    assert "more lines" not in shown and "init_scale: 1024.0" in shown
