"""The promises of the design that concern the whole command: what it imports, what it needs, what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.projects import CONFIG, ROOT, Project, processes_of, wait_for

BLOCKED = {"ATFTCTL_TEST_BLOCK": "torch pandas numpy pyarrow arch scipy"}
RESCUE = [
    ("status",),
    ("backup",),
    ("rollback", "--symptom", "oom", "--dry-run"),
    ("rollback", "--symptom", "oom", "--yes"),
    ("undo", "--yes"),
    ("restore", "latest", "--dry-run"),
    ("recover",),
    ("history",),
    ("trainer", "start"),
    ("rollback", "--immediate", "--yes"),
    ("trainer", "restart"),
    ("trainer", "stop"),
]


def test_the_rescue_works_with_torch_and_pandas_broken(project: Project) -> None:
    for command in RESCUE:
        done = project.run(*command, env=BLOCKED)
        assert done.code == (3 if command[0] == "restore" else 0), (command, done)


def test_the_block_bites(project: Project) -> None:
    """Rule 4 is checked by running with these imports failing: an import on the way would be seen."""
    for name in BLOCKED["ATFTCTL_TEST_BLOCK"].split():
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"], env={**project.env, **BLOCKED}, capture_output=True
        )
        assert done.returncode != 0 and b"ModuleNotFoundError" in done.stderr, name
    spoiled = "import atftctl.decide.plans.setting_changes as s, sys; s.changes = lambda *a: __import__('pandas')\n"
    spoiled += "sys.argv = ['atftctl', 'rollback', '--immediate', '--dry-run']\nimport atftctl.decide.plans.by_settings as r; r.changes = s.changes\n"
    spoiled += "from atftctl.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", spoiled], cwd=project.root, env={**project.env, **BLOCKED}, capture_output=True
    )
    assert done.returncode == 5


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['atftctl', '--help']\n"
        "from atftctl.cli.main import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "heavy = {'rich', 'ruamel.yaml', 'yaml', 'git', 'psutil', 'pydantic', 'torch', 'numpy', 'asyncio'} & set(sys.modules)\n"
        "print('HEAVY', heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "HEAVY set()" in done.stdout, done


def test_status_and_dry_runs_write_nothing_at_all(project: Project) -> None:
    before = project.tree()
    for command in (
        ("status",), ("history",), ("trainer", "status"), ("runbook", "show"), ("backup", "list"), ("backup", "--dry-run"),
        ("rollback", "--immediate", "--dry-run"), ("trainer", "start", "--dry-run"), ("trainer", "stop", "--dry-run"),
    ):  # fmt: skip
        assert project.run(*command).code == 0, command
    assert project.tree() == before


@pytest.mark.parametrize(
    "env", [{"LANG": "C", "LC_ALL": "C"}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"HOME": "/nonexistent"}], ids=str
)
def test_any_environment_will_do(project: Project, env: dict[str, str]) -> None:
    for command in (
        ("rollback", "--symptom", "OOMエラー", "--lang", "ja", "--yes"),
        ("status", "--lang", "ja"),
        ("history",),
    ):
        done = project.run(*command, env=env)
        assert done.code == 0, (command, done)
        assert "\x1b[" not in done.out


def test_without_git_and_without_a_repository(project: Project, tmp_path: Path) -> None:
    done = project.run("backup", "--json", env={"PATH": str(tmp_path)})
    assert done.code == 0 and done.json["data"]["commit"] == ""


def test_commands_are_argument_lists_and_never_a_shell(project: Project) -> None:
    """A file name or a reason with shell words in it does nothing but stand there."""
    evil = "$(touch pwned); `touch pwned` && touch pwned"
    assert project.run("rollback", "--symptom", "oom", "--yes", "--reason", evil).code == 0
    project.replace("runbooks/atft-gat-fan.yaml", "train, --resume", f"train, {json.dumps('; touch pwned')}, --resume")
    project.run("trainer", "start")
    assert not (project.root / "pwned").exists()
    assert project.run("history", "--json").json["data"]["operations"][0]["reason"] == evil


def test_rollback_starts_a_trainer_that_died_and_not_one_that_was_stopped(project: Project) -> None:
    project.behave("oom")
    assert project.run("trainer", "start").code == 1
    status = project.run("status")
    assert "trainer died" in status.out and "rollback --symptom oom" in status.out
    project.behave()
    assert project.run("rollback", "--symptom", "oom", "--yes").code == 0
    assert len(processes_of(project.root)) == 1
    assert project.run("trainer", "stop").code == 0
    assert project.run("rollback", "--immediate", "--yes").code == 0
    assert processes_of(project.root) == []
    assert project.run("trainer", "status").out.startswith("trainer: stopped")


def test_no_restart_changes_the_files_only_and_says_so(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    pid = project.record()["pid"]
    done = project.run("rollback", "--symptom", "oom", "--yes", "--no-restart")
    assert done.code == 0 and "keeps its old settings" in done.out
    assert project.record()["pid"] == pid and processes_of(project.root) == [pid]
    project.run("backup")
    project.write("models/best_model.pth", b"other")
    refused = project.run("restore", "latest", "--yes", "--no-restart")
    assert refused.code == 3 and "would overwrite" in refused.err


def test_trainer_verbs(project: Project) -> None:
    assert project.run("trainer", "stop").out.startswith("no trainer is running")
    assert project.run("trainer", "start").code == 0
    first = project.record()["pid"]
    again = project.run("trainer", "start")
    assert again.code == 3 and f"pid {first}" in again.err
    assert project.run("trainer", "restart").code == 0
    assert processes_of(project.root) == [project.record()["pid"]] != [first]
    assert project.run("trainer", "stop").code == 0
    assert project.read("models/last.pth").startswith(b"weights of step"), "it saved before it left"
    assert processes_of(project.root) == []


def test_the_pid_of_another_is_not_taken_for_the_trainer(project: Project) -> None:
    """A machine that came up again: the recorded pid belongs to somebody else now."""
    assert project.run("trainer", "start").code == 0
    assert project.run("trainer", "stop").code == 0
    record = project.record()
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], cwd=project.root.parent, env=project.env
    )
    try:
        project.write(".atftctl/process.json", json.dumps({**record, "pid": stranger.pid, "wanted": "running"}))
        assert project.run("trainer", "status", "--json").json["data"]["state"] in ("died", "stopped")
        assert project.run("trainer", "stop").code == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_trainer_whose_record_was_cut_short_is_found(project: Project) -> None:
    """A crash between the start and its record: the process carries the run's mark."""
    assert project.run("trainer", "start").code == 0
    record = project.record()
    project.write(".atftctl/process.json", json.dumps({**record, "pid": 0, "ticks": 0, "boot": ""}))
    assert project.run("trainer", "status", "--json").json["data"]["pid"] == record["pid"]
    assert project.run("trainer", "stop").code == 0
    wait_for(lambda: processes_of(project.root) == [])


def test_status_survives_anything_in_our_own_folder(project: Project) -> None:
    project.run("backup")
    project.run("rollback", "--symptom", "oom", "--yes")
    for name, content in {
        ".atftctl/process.json": b"{",
        ".atftctl/history.jsonl": b'{"operation": "x"\n\xff\n',
        ".atftctl/verified.jsonl": b"[]\n{",
        ".atftctl/lock": b"\xff",
        "logs/events.jsonl": b'{"event"\n\x00\n',
        "logs/metrics.csv": b"\xff\xfe",
        "backups/20200101_000000/manifest.json": b"{",
        "backups/20200101_000001/manifest.json": b'{"version": 9}',
    }.items():
        project.write(name, content)
    assert project.run("status").code == 0
    assert project.run("rollback", "--immediate", "--yes").code == 0
    assert b"gat_temperature: 1.0" in project.read(CONFIG)
