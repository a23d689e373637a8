"""State is obeyed only from trusted owners, and nothing that a record names leads out of the project."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atftctl.apply.transaction import Transaction
from tests.support.projects import CONFIG, OOM, RUNBOOK, Project, wait_for
from tests.support.recovery import plant_record
from tests.support.users import ALICE, BOB, TEAM, give, needs_root, open_project_of, run_as, trusting


@pytest.mark.parametrize("name", ["lock", "history.jsonl", "history.end.json", "process.json", "journal", "reserve"])
@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "dangling"])
def test_a_symlink_in_place_of_our_own_file_is_not_followed(
    project: Project, tmp_path: Path, name: str, dangling: bool
) -> None:
    assert project.run("backup").code == 0
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_text("precious")
    path = project.root / ".atftctl" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(victim)
    for command in (("recover",), OOM, ("trainer", "start"), ("status",)):
        ended = project.run(*command)
        assert ended.code == 3 and "symlink" in ended.err and "Traceback" not in ended.err, (command, ended)
    assert victim.read_text() == "precious" if not dangling else not victim.exists()


def test_a_symlink_in_place_of_our_own_folder_is_not_followed(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in (".atftctl", "backups"):
        (project.root / name).symlink_to(tmp_path / "elsewhere")
        ended = project.run("backup")
        assert ended.code == 3 and "symlink" in ended.err, ended
        (project.root / name).unlink()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    "name", ["lock", "history.jsonl", "process.json", "verified.jsonl", "checked.json", "staged.json"]
)
def test_a_pipe_in_place_of_our_own_file_makes_nobody_wait(project: Project, name: str) -> None:
    assert project.run("backup").code == 0
    path = project.root / ".atftctl" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for command in (("status",), ("backup",), OOM, ("recover",)):
        ended = project.run(*command, limit_s=120)
        assert "Traceback" not in ended.err and "internal error" not in ended.err, (command, ended)


@pytest.mark.parametrize(
    "name",
    ["logs/training.log", "logs/events.jsonl", "logs/metrics.csv", "logs/trainer.out", "logs/heartbeat.json",
     "models/last.pth", CONFIG],
)  # fmt: skip
def test_a_pipe_in_place_of_a_file_of_the_run_makes_nobody_wait(project: Project, name: str) -> None:
    path = project.root / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for command in (("status",), ("trainer", "status"), ("backup", "list"), ("rollback", "--immediate", "--yes")):
        ended = project.run(*command, limit_s=120)
        assert "Traceback" not in ended.err and "internal error" not in ended.err, (command, ended)


def test_a_hard_link_to_somebodys_file_is_not_written_into(project: Project, tmp_path: Path) -> None:
    assert project.run("backup").code == 0
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("lock", "history.jsonl"):
        (project.root / ".atftctl" / name).unlink(missing_ok=True)
        os.link(victim, project.root / ".atftctl" / name)
        ended = project.run(*OOM)
        assert ended.code in (3, 4, 5) and "Traceback" not in ended.err, ended
        (project.root / ".atftctl" / name).unlink()
        project.run("recover")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("start", [{"argv": ["touch", "ran"], "resume": "last", "memory_limit_mb": 0}, "last", "../x"])
def test_a_record_says_that_a_trainer_shall_run_and_not_which(project: Project, start: object) -> None:
    plant_record(project, "", {}, intent={"start_again": start, "start": start})
    assert project.run("recover").code in (0, 1)
    time.sleep(0.2)
    assert not (project.root / "ran").exists()
    if start != "../x":
        assert str(project.record()["resume"]) == "last", "the runbook's own command"


@pytest.mark.parametrize("path", ["../victim", "/etc/victim", ".git/hooks/post-checkout", ".atftctl/lock", "backups/x"])
@pytest.mark.parametrize("state", ["begin", "commit"])
def test_a_record_names_no_path_outside_and_none_of_ours(
    project: Project, tmp_path: Path, path: str, state: str
) -> None:
    (tmp_path / "victim").write_text("precious")
    before = project.configs()
    move = {"path": path, "staged": ".x.0.staged", "old": None, "new": None, "mode": 0o644}
    plant_record(project, state, {"moves": [move]})
    (tmp_path / ".x.0.staged").write_text("precious")
    ended = project.run("recover")
    assert "Traceback" not in ended.err and "internal error" not in ended.err, ended
    assert (tmp_path / "victim").exists() and (tmp_path / ".x.0.staged").exists() and project.configs() == before


@pytest.mark.parametrize(
    "move", [{}, {"path": 1}, "x", {"path": "a", "staged": "../x", "old": None, "new": None, "mode": 1}]
)
def test_a_record_of_other_kinds_stops_recovery_and_touches_nothing(project: Project, move: object) -> None:
    plant_record(project, "commit", {"moves": [move]})
    before = project.configs()
    ended = project.run("recover")
    assert ended.code == 5 and "can't be trusted" in ended.err and project.configs() == before, ended


def test_a_record_stops_no_process_that_is_not_the_trainer(project: Project) -> None:
    bystander = subprocess.Popen(["sleep", "60"], env={**os.environ, "ATFTCTL_TEST": "1"}, start_new_session=True)
    try:
        from atftctl.host.process import table as procs

        who = procs.identify(bystander.pid)
        assert who is not None
        plant_record(project, "", {}, intent={"stopping": [{**vars(who), "grace_s": 0.1}, "x", {"pid": "y"}]})
        ended = project.run("recover")
        assert ended.code == 0 and "left running" in ended.out, ended
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize(
    "command", [("status",), ("recover",), OOM, ("undo", "--yes"), ("backup",), ("restore", "latest")]
)
@needs_root
def test_state_of_another_user_is_not_obeyed(command: tuple[str, ...], tmp_path: Path) -> None:
    """Alice finds a folder that Bob has planted, in the project or above it."""
    with open_project_of(ALICE) as project:
        assert run_as(project, ALICE, "backup").code == 0
        give(project.root / ".atftctl", BOB, BOB)
        ended = run_as(project, ALICE, *command)
        assert ended.code == 3 and f"owner uid {BOB}" in ended.err and "mode 0" in ended.err, ended
        assert f"trust: [uid {BOB}" in ended.err and str(project.root / ".atftctl") in ended.err, ended


@needs_root
def test_a_planted_parent_folder(tmp_path: Path) -> None:
    with open_project_of(ALICE) as project:
        deep = project.root / "deep"
        deep.mkdir()
        os.chown(deep, ALICE, ALICE)
        (project.root / "runbooks").rename(project.root / "no-runbooks")
        (project.root / ".atftctl").mkdir()
        give(project.root / ".atftctl", BOB, BOB)
        ended = run_as(project, ALICE, "recover", cwd=deep)
        assert ended.code == 3 and f"uid {BOB}" in ended.err, ended


@needs_root
def test_a_team_trusts_each_other_by_its_own_config_files(tmp_path: Path) -> None:
    """A setgid folder of a group: refused by default, shared where both say so."""
    with open_project_of(ALICE, TEAM) as project:
        for path in (project.root, *project.root.rglob("*")):
            path.chmod(0o2775 if path.is_dir() else 0o664)
        (project.root / "runbooks").chmod(0o755)
        (project.root / RUNBOOK).chmod(0o644)
        team = (TEAM,)
        assert run_as(project, ALICE, "backup", groups=team).code == 0
        assert (project.root / ".atftctl").stat().st_mode & 0o7777 == 0o2770
        refused = run_as(project, BOB, "status", groups=team)
        assert refused.code == 3 and f"trust: [uid {ALICE}" in refused.err, refused
        bobs = trusting(tmp_path / "bob", BOB, f"trust: [uid {ALICE}, gid {TEAM}]")
        os.chmod(tmp_path, 0o755)
        assert run_as(project, BOB, "status", groups=team, config=bobs).code == 0
        taken = run_as(project, BOB, "backup", "--label", "bob", groups=team, config=bobs)
        assert taken.code == 0, taken
        alices = trusting(tmp_path / "alice", ALICE, f"trust: [gid {TEAM}]")
        assert run_as(project, ALICE, "backup", groups=team, config=alices).code == 0


@needs_root
@pytest.mark.parametrize(
    ("line", "mode"), [("trust: [uid 12002]", 0o666), ("trust: nobody", 0o644), ("trust: [12002]", 0o644), ("{", 0o644)]
)
def test_a_config_file_that_is_not_the_operators_alone_says_nothing(tmp_path: Path, line: str, mode: int) -> None:
    with open_project_of(ALICE) as project:
        (project.root / ".atftctl").mkdir()
        give(project.root / ".atftctl", BOB, BOB)
        folder = trusting(tmp_path / "alice", ALICE, line)
        (folder / "atftctl/config.yaml").chmod(mode)
        ended = run_as(project, ALICE, "status", config=folder)
        assert ended.code == 3 and "config.yaml" in ended.err, ended


@needs_root
def test_root_in_a_users_project_starts_everything_as_that_user() -> None:
    """The trainer, and git's hooks and filters."""
    with open_project_of(ALICE) as project:
        line = next(line for line in project.read(RUNBOOK).decode().splitlines() if line.startswith("  command:"))
        project.replace(RUNBOOK, line, '  command: ["/bin/sh", "-c", "id -u > logs/who; exec sleep 60"]')
        project.replace(RUNBOOK, "ready_s: 20", "ready_s: 1")
        started = project.run("trainer", "start", env={"SUDO_UID": str(ALICE), "SUDO_USER": "alice"})
        assert started.code == 1, started
        wait_for(lambda: (project.root / "logs/who").exists() and project.read("logs/who"))
        assert project.read("logs/who").strip() == str(ALICE).encode()
        assert (project.root / "logs/trainer.out").stat().st_uid == ALICE
        assert project.run("trainer", "stop").code == 0
        foreign = [path for path in project.root.rglob("*") if path.lstat().st_uid != ALICE]
        assert foreign == []


@needs_root
def test_root_signals_no_process_that_a_users_record_names() -> None:
    with open_project_of(ALICE) as project:
        bystander = subprocess.Popen(["sleep", "60"], env={**os.environ, "ATFTCTL_TEST": "1"}, start_new_session=True)
        try:
            from atftctl.host.process import table as procs

            who = procs.identify(bystander.pid)
            assert who is not None
            record = {"run_id": "x", "wanted": "running", "started_at": "2026-01-01T00:00:00+00:00", "digest": "",
                      "resume": "last", "events_from": 0, **vars(who)}  # fmt: skip
            project.write(".atftctl/process.json", json.dumps(record))
            give(project.root / ".atftctl", ALICE, ALICE)
            ended = project.run("trainer", "stop")
            assert ended.code in (0, 5), ended
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()


@needs_root
def test_root_follows_no_symlink_of_the_user(tmp_path: Path) -> None:
    """Neither for writing (logs) nor for reading (evidence)."""
    with open_project_of(ALICE) as project:
        secret = tmp_path / "secret"
        secret.write_text("root's own")
        secret.chmod(0o600)
        (project.root / "logs").mkdir()
        (project.root / "logs/training.log").symlink_to(secret)
        give(project.root / "logs", ALICE, ALICE)
        assert project.run(*OOM).code == 0
        assert not [
            path
            for path in (project.root / ".atftctl").rglob("*")
            if path.is_file() and b"root's own" in path.read_bytes()
        ]
        shutil.rmtree(project.root / "logs")
        (tmp_path / "etc").mkdir()
        (project.root / "logs").symlink_to(tmp_path / "etc")
        os.chown(project.root / "logs", ALICE, ALICE, follow_symlinks=False)
        ended = project.run("trainer", "start")
        assert ended.code in (3, 5) and "symlink" in ended.err, ended
        assert not list((tmp_path / "etc").iterdir())


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not there (util-linux)")
def test_an_unmapped_user_is_nobody_in_particular(project: Project, tmp_path: Path) -> None:
    """In a user namespace without a mapping everybody's files seem to be our own."""
    assert project.run("backup").code == 0

    def inside(home: Path) -> subprocess.CompletedProcess[str]:
        env = {**project.env, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        argv = ["unshare", "-U", sys.executable, "-m", "atftctl", "status"]
        return subprocess.run(argv, cwd=project.root, env=env, capture_output=True, text=True)

    if subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode:
        pytest.skip("user namespaces are not permitted here")
    refused = inside(tmp_path / "nobody")
    assert refused.returncode == 3 and "trust: [uid 65534" in refused.stderr, refused
    (tmp_path / "home/atftctl").mkdir(parents=True)
    (tmp_path / "home/atftctl/config.yaml").write_text("trust: [uid 65534]\n")
    assert inside(tmp_path / "home").returncode == 0


@needs_root
@pytest.mark.parametrize(
    "command",
    [
        "status",
        "backup",
        "doctor",
        "rollback --immediate --dry-run",
        "rollback --git HEAD --dry-run",
        "rollback --full --ref HEAD --dry-run",
        "restore git:HEAD --dry-run",
    ],
)
def test_looking_runs_no_program_of_a_repositorys_config(command: str, tmp_path: Path) -> None:
    with open_project_of(ALICE) as project:
        ran = project.root / "ran"
        project.replace(RUNBOOK, "  files: []\n", "  files: [loss.py]\n")
        project.write("loss.py", "loss = 1\n")
        script = project.root / "evil.sh"
        script.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
        script.chmod(0o755)
        git = ["git", "-C", str(project.root), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "safe.directory=*"]
        subprocess.run([*git, "init", "-q"], check=True)
        (project.root / ".gitattributes").write_text("* filter=evil diff=evil\n")
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "x"], check=True)
        (project.root / CONFIG).write_bytes(project.read(CONFIG) + b"# another\n")
        subprocess.run([*git, "commit", "-qam", "improvement"], check=True)
        for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv",
                    "diff.evil.command", "core.fsmonitor", "diff.external"):  # fmt: skip
            subprocess.run([*git, "config", key, str(script)], check=True)
        give(project.root, ALICE, ALICE)
        (project.root / CONFIG).write_bytes(project.read(CONFIG) + b"# touched\n")
        ended = project.run(*command.split(), env={"SUDO_UID": str(ALICE)})
        assert ended.code in (0, 1) and not ran.exists(), ended


def test_the_log_of_the_trainer_is_not_for_everyone_to_write(project: Project) -> None:
    old = os.umask(0)
    try:
        assert project.run("trainer", "start").code == 0
    finally:
        os.umask(old)
    ours = [
        path
        for name in (".atftctl", "logs/trainer.out")
        for path in (project.root / name, *(project.root / name).rglob("*"))
    ]
    assert not [path for path in ours if path.lstat().st_mode & 0o022], "writable by nobody but the owner"


def test_a_transaction_refuses_a_move_that_leaves(project: Project) -> None:
    from atftctl.apply.moves import Move
    from atftctl.host.errors import OutsideProjectError
    from atftctl.state.layout import Layout

    layout = Layout(project.root, project.root / RUNBOOK)
    (project.root / ".atftctl/journal").mkdir(parents=True)
    moving = Transaction(layout, "op")
    moving.begin([Move("../x", ".op.0.staged", None, "0" * 64, 0o644)])
    with pytest.raises(OutsideProjectError):
        moving.stage({"../x": b"y"})
    assert signal.SIGTERM  # nothing was signalled
