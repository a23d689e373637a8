"""`atftctl logs` as people run it: the newest lines, the errors, following; hostile content never reaches the terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.projects import RUNBOOK, Project, wait_for

LOG, OUT = "logs/training.log", "logs/trainer.out"
NOW = datetime.now().astimezone().replace(microsecond=0)
TRACEBACK = """\
Traceback (most recent call last):
  File "step.py", line 12, in step
    raise OutOfMemoryError
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB
"""


def line(minutes_ago: float, text: str) -> str:
    return f"{NOW - timedelta(minutes=minutes_ago):%Y-%m-%d %H:%M:%S} {text}\n"


@pytest.fixture(autouse=True)
def current_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times in the logs are near those of their files, also late in a long run: a log of another clock is read whole."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now().astimezone().replace(microsecond=0))


@pytest.fixture
def logs(project: Project) -> Project:
    """A project with two logs: the trainer writes its log to the terminal, too."""
    rows = [line(60 - n, f"INFO step {n}, loss 0.31") for n in range(40)]
    rows += [line(20, f"ERROR shard {n} could not be read") for n in range(1204)]
    rows += [line(10, "WARNING out of memory at step 7: trying again"), line(5, "ERROR crashed") + TRACEBACK]
    project.write(LOG, "".join(rows))
    project.write(OUT, "\x1b[31mstarting\x1b[0m\n" + "".join(row for row in rows if "INFO" not in row))
    return project


def test_the_newest_lines_of_both_logs_without_duplicates(logs: Project) -> None:
    shown = logs.run("logs", "-n", "6")
    assert shown.code == 0 and not shown.err, shown
    assert shown.out == line(10, "WARNING out of memory at step 7: trying again") + line(5, "ERROR crashed") + TRACEBACK
    data = logs.run("logs", "--since", "all", "--json").json["data"]
    assert data["headline"] == "1000 lines in the logs" or len(data["entries"]) <= 1000
    assert data["entries"][-1]["error"] and data["entries"][-1]["file"] == LOG


def test_lines_that_repeat_are_folded(project: Project) -> None:
    project.write(LOG, "".join(line(5 - n / 400, "ERROR the same") for n in range(1204)) + line(0, "INFO other"))
    shown = project.run("logs", "-n", "2000").out.splitlines()
    assert len(shown) == 2 and shown[0].endswith("ERROR the same  (× 1,204)")


def test_the_errors_by_kind_the_first_one_and_what_repeats(logs: Project) -> None:
    shown = logs.run("logs", "--errors")
    assert shown.code == 0, "a look is no verdict"
    rows = [row.split("\t") for row in shown.out.splitlines() if "\t" in row]
    assert [row[:3] for row in rows] == [
        ["out-of-memory", "fatal", "1"], ["error", "error", "1,204"], ["out-of-memory", "warning", "1"],
    ]  # fmt: skip
    assert "× 1,204" in shown.out and "ERROR shard 0 could not be read" in shown.out
    assert shown.out.startswith("1,205 errors in the logs; 1 warning\n")
    data = logs.run("logs", "--errors", "--json").json["data"]
    assert data["first"]["message"] == "ERROR shard 0 could not be read" and data["duplicates"] == 1206
    assert data["first"]["before"][-1].endswith("step 39, loss 0.31")
    assert sum(data["kinds"][1]["over_time"]) == 1204 and data["bin_seconds"] > 0


def test_a_traceback_is_whole_and_counts_once(logs: Project) -> None:
    data = logs.run("logs", "--errors", "--json", "--since", "7min").json["data"]
    assert data["count"] == 1 and data["first"]["lines"] == [line(5, "ERROR crashed").rstrip(), *TRACEBACK.splitlines()]
    assert data["first"]["message"].startswith("torch.OutOfMemoryError: CUDA")
    assert data["first"]["kind"] == "out-of-memory"


@pytest.mark.parametrize(("columns", "env"), [(80, {}), (60, {}), (80, {"PYTHONIOENCODING": "ascii"})])
def test_the_table_fits_the_terminal(project: Project, columns: int, env: dict[str, str]) -> None:
    pexpect = pytest.importorskip("pexpect")
    rows = [line(4000 - n, f"ERROR {n}") for n in range(0, 4000, 7)] + [line(1, "WARNING out of memory")]
    project.write(LOG, "".join(rows) + "ERROR " + "long " * 400 + "\n")
    child = pexpect.spawn(
        sys.executable, ["-m", "atftctl", "logs", "--errors", "--lang", "ja" if columns == 60 else "en"],
        cwd=str(project.root), env={**project.env, "TERM": "xterm", "NO_COLOR": "1", **env}, dimensions=(24, columns),
        timeout=60, encoding="utf-8",
    )  # fmt: skip
    child.expect(pexpect.EOF)
    text = child.before.replace("\r\n", "\n").rpartition("\r\x1b[K")[2]
    table = [
        row for row in text.splitlines() if "out-of-memory" in row or "█" in row or "error  " in row or "@@" in row
    ]
    assert ("@" if env else "█") in text and len(table) >= 2 and all(len(row) <= columns for row in table), text
    assert all(len(row) <= 3 * columns for row in text.splitlines()), "long lines are cut"


def test_in_japanese(logs: Project) -> None:
    shown = logs.run("logs", "--errors", "--lang", "ja").out
    assert "エラー1,205件" in shown and "最初のエラー" in shown and "致命的" in shown
    assert "ログ" in logs.run("logs", "--errors", "--file", "trainer.out", "--lang", "ja").out


def test_the_guides_own_search(logs: Project) -> None:
    logs.write(LOG, line(1, "INFO 0 Errors") + line(1, "INFO ok") + line(0, "INFO Rollback done"))
    shown = logs.run("logs", "--grep", "error|fail|rollback", "--file", "training.log").out
    assert [row[20:] for row in shown.splitlines()] == ["INFO 0 Errors", "INFO Rollback done"]
    logs.replace(RUNBOOK, "  errors: []", '  errors: [{name: guide, pattern: "(?i)error|fail|rollback"}]')
    data = logs.run("logs", "--errors", "--file", LOG, "--json").json["data"]
    assert [(kind["name"], kind["severity"]) for kind in data["kinds"]] == [("guide", "warning")], "they say INFO"
    assert data["warnings"] == 2


def test_no_log_is_no_all_clear(project: Project) -> None:
    for arguments in (("logs",), ("logs", "--errors")):
        ended = project.run(*arguments)
        assert ended.code == 6 and "no log could be read" in ended.out
    os.mkfifo(project.root / "models/pipe")
    (project.root / "logs").mkdir(exist_ok=True)
    os.mkfifo(project.root / LOG)
    ended = project.run("logs", "--errors", limit_s=120)
    assert ended.code == 6 and "not a regular file" in ended.out
    project.write(OUT, line(0, "INFO well"))
    ended = project.run("logs", "--errors", limit_s=120)
    assert ended.code == 0 and ended.out.startswith("only a part of what was written in the logs was searched; no ")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--since", "soon"), "none of"), (("--since", "2999-01-01"), "in the future"), (("--grep", "("), "missing )"),
        (("--grep", "a*"), "every line"), (("--file", "other.log"), "names no log"), (("-n", "-1"), "range"), (("--errors", "-n", "5"), "no lines"),
        (("-n", "many"), "valid int"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(logs: Project, arguments: tuple[str, ...], part: str) -> None:
    ended = logs.run("logs", *arguments)
    assert ended.code == 2 and part in ended.err, ended


def test_lint_names_the_line_of_a_wrong_pattern(project: Project) -> None:
    project.replace(
        RUNBOOK, "  errors: []",
        "  errors:\n    - {name: a, pattern: '('}\n    - {name: a, pattern: x}\n    - {name: c, pattern: 'x|'}\n"
        "    - {name: '', pattern: y}\n    - {name: d, pattern: y, severity: bad}",
    )  # fmt: skip
    project.replace(RUNBOOK, "    - logs/trainer.out\n", "    - ../trainer.out\n")
    problems = project.run("runbook", "lint").out
    first = next(n for n, text in enumerate(project.read(RUNBOOK).decode().splitlines(), 1) if "pattern: '('" in text)
    assert f":{first}: logs.errors.0.pattern: not a regular expression" in problems
    for part in (
        "a is listed twice",
        "matches every line",
        "is no name",
        "'bad' is not one of",
        "does not stay inside",
    ):
        assert part in problems
    project.write(LOG, line(1, "ERROR x"))
    assert project.run("logs", "--errors").code == 0, "a look works with a broken runbook"


def test_a_pattern_without_end_does_not_hang(project: Project) -> None:
    project.replace(
        RUNBOOK, "  errors: []", "  errors: [{name: evil, pattern: '(x+)+$'}, {name: other, pattern: BOOM}]"
    )
    project.write(LOG, line(2, "x" * 60 + "!") + line(1, "BOOM"))
    begun = time.monotonic()
    ended = project.run("logs", "--errors", limit_s=240)
    assert ended.code == 0 and "kind evil: its pattern takes too long" in ended.out and "other" in ended.out
    assert project.run("logs").out.endswith("BOOM\n")
    searched = project.run("logs", "--grep", "(x+)+$", limit_s=240)
    assert searched.code == 0 and "its pattern takes too long" in searched.err
    assert time.monotonic() - begun < 240


HOSTILE = (
    b"\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \x9b31m \x00 \xff\xfe tab\there \xe2\x80\xaereversed \r\n"
    b"fine\rover it\n" + "日本語 ERROR 😀".encode() + b"\n\x1bP1$r\x1b\\ ERROR dcs\n" + b"ERROR " + b"w" * 100_000
)


@pytest.mark.parametrize("arguments", [(), ("--errors",), ("--json",), ("--errors", "--json"), ("--grep", "error")])
def test_no_control_character_reaches_the_terminal(project: Project, arguments: tuple[str, ...]) -> None:
    project.write(OUT, HOSTILE)
    ended = project.run("logs", *arguments)
    assert ended.code == 0
    for text in (ended.out, ended.err):
        bad = [c for c in text if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c == "\u202e"]
        assert not bad
    assert "ERROR" in ended.out


class Following:
    """A follower as a child process, and what it has printed."""

    def __init__(self, project: Project, *arguments: str, stdout: int | None = None) -> None:
        self.lines: list[str] = []
        self.child = subprocess.Popen(
            [sys.executable, "-m", "atftctl", "logs", "--follow", *arguments], cwd=project.root, env=project.env,
            stdin=subprocess.DEVNULL, stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if not stdout:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout
        for text in self.child.stdout:
            self.lines.append(text.rstrip("\n"))

    def saw(self, *texts: str) -> None:
        wait_for(lambda: all(any(text in line for line in self.lines) for text in texts))

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        self.child.send_signal(number)
        code = self.child.wait(120)
        return code, self.child.stderr.read() if self.child.stderr else ""


def append(project: Project, name: str, text: str) -> None:
    with (project.root / name).open("a") as file:
        file.write(text)


def test_following_over_a_rotation_and_a_truncation(project: Project) -> None:
    project.write(LOG, line(1, "INFO old") + "incomp")
    follower = Following(project)
    try:
        follower.saw("INFO old")
        append(project, LOG, "lete\n")
        follower.saw("incomplete")
        append(project, OUT, line(0, "INFO twice"))
        append(project, LOG, line(0, "INFO twice"))
        path = project.root / LOG
        path.rename(f"{path}.1")
        append(project, f"{LOG}.1", line(0, "INFO to the old file"))
        follower.saw("INFO to the old file")
        path.write_text(line(0, "INFO in the new file"))
        follower.saw("INFO in the new file")
        os.truncate(path, 0)
        append(project, LOG, line(0, "INFO again"))
        follower.saw("INFO again")
        code, notes = follower.end()
    finally:
        follower.child.kill()
    assert code == 130 and "interrupted" not in notes and "Traceback" not in notes
    assert "the file was rotated or replaced" in notes and "the file was truncated" in notes
    assert sum("INFO twice" in text for text in follower.lines) == 1
    assert sum("incomp" in text for text in follower.lines) == 1


def test_following_before_there_is_a_log_and_only_errors_as_json(project: Project) -> None:
    follower = Following(project, "--errors", "--json")
    try:
        assert follower.child.stderr and "waiting for it to be created" in follower.child.stderr.readline()
        (project.root / "logs").mkdir(exist_ok=True)
        append(project, LOG, line(0, "INFO nothing") + line(0, "ERROR crashed") + TRACEBACK + line(0, "INFO after"))
        append(project, LOG, "10%\rout of memory at 11%\r12%\n")
        follower.saw("out of memory at 11%")
        code, _ = follower.end(signal.SIGTERM)
    finally:
        follower.child.kill()
    records = [json.loads(text) for text in follower.lines]
    assert code == 130
    assert [record["text"] for record in records] == [
        line(0, "ERROR crashed").rstrip(), *TRACEBACK.splitlines(), "out of memory at 11%",
    ]  # fmt: skip


def test_following_ends_when_nobody_reads(project: Project) -> None:
    """Also where no line comes that could not be written."""
    project.write(LOG, line(0, "INFO x"))
    readable, writable = os.pipe()
    follower = Following(project, stdout=writable)
    os.close(writable)
    try:
        assert b"INFO x" in os.read(readable, 1000)
        os.close(readable)
        assert follower.child.wait(120) == 0
        assert follower.child.stderr and not follower.child.stderr.read().replace(
            f"{OUT}: waiting for it to be created\n", ""
        )
    finally:
        follower.child.kill()


def test_since_the_trainer_was_started(project: Project) -> None:
    project.write(LOG, line(30, "ERROR of the run before"))
    project.start_trainer()
    assert project.run("logs", "--errors").out.startswith("no errors since the trainer was started at ")
    append(project, LOG, f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} ERROR of this run\n")
    data = project.run("logs", "--errors", "--json").json["data"]
    assert data["count"] == 1 and data["first"]["message"] == "ERROR of this run" and data["since"]
    assert project.run("logs", "--errors", "--since", "all", "--json").json["data"]["count"] == 2
    path = Path(project.root / LOG)
    path.rename(f"{path}.1")
    assert project.run("logs", "--errors", "--json").json["data"]["count"] == 1, "the start lies in the rotated file"


def test_a_look_changes_nothing(logs: Project) -> None:
    before = logs.tree()
    for arguments in ((), ("--errors",), ("--since", "all", "--grep", "error")):
        logs.run("logs", *arguments)
    assert logs.tree() == before
