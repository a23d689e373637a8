"""Bad input: a clear error with the right exit code, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.projects import CONFIG, OOM, RUNBOOK, TRAINING, Ended, Project, wait_for
from tests.support.small_disk import fill, small_disk


def check_refused(project: Project, done: Ended, code: int, *messages: str) -> None:
    """This exit code and these words, one to a few lines, and no file of the project has changed."""
    assert done.code == code, done
    for message in messages:
        assert message in done.err, done
    assert "Traceback" not in done.err
    lines = [line for line in done.err.splitlines() if not line.startswith("  contact")]
    assert 1 <= len(lines) <= 3, done


def test_no_project_here(project: Project, tmp_path: Path) -> None:
    check_refused(project, project.run("status", cwd=tmp_path), 2, "no project at", "--project DIR")
    check_refused(project, project.run("status", "--project", str(tmp_path / "none")), 2, "is not a folder")


def test_from_a_folder_below_the_project(project: Project) -> None:
    assert project.run("status", cwd=project.root / "configs" / "atft").code == 0


def test_unknown_symptom(project: Project) -> None:
    check_refused(project, project.run("rollback", "--symptom", "divergance", "--yes"), 2, "did you mean divergence?")
    check_refused(project, project.run("rollback", "--yes"), 3, "--symptom", "--immediate")


RUNBOOKS = {
    "broken": ("features:\n", "features: [\n", "runbooks/atft-gat-fan.yaml:"),
    "unknown key": ("grace_s:", "grace_seconds:", "trainer.grace_seconds: unknown key"),
    "nearest name": ("grace_s:", "grace:", "did you mean grace_s?"),
    "unknown feature": (
        "{use_ema: false, online_normalization: false}\n    block",
        "{use_emma: false}\n    block",
        "did you mean use_ema?",
    ),
    "wrong kind": ("block: {use_ema: false,", "block: {use_ema: 3,", "is not true or false"),
    "no such file": (
        "file: configs/atft/config.yaml",
        "file: configs/atft/confg.yaml",
        "did you mean configs/atft/config.yaml?",
    ),
    "leads out": ("- models/last.pth", "- ../last.pth", "does not stay inside"),
    "duplicate key": ("version: 1\n", "version: 1\nversion: 1\n", "appears twice"),
    "newer version": ("version: 1\n", "version: 2\n", "this atftctl reads version 1"),
    "missing key": ("    key: improvements.use_ema\n", "", "key 'key' is missing"),
    "unknown plan": ("reenable_plan: after-incident", "reenable_plan: after", "did you mean after-incident?"),
}


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_wrong_runbook_is_refused_with_its_place(project: Project, name: str) -> None:
    old, new, message = RUNBOOKS[name]
    project.replace(RUNBOOK, old, new)
    before = project.tree()
    check_refused(project, project.run(*OOM), 3, "runbooks/atft-gat-fan.yaml:", message)
    lint = project.run("runbook", "lint")
    assert lint.code == 1 and "runbooks/atft-gat-fan.yaml:" in lint.out and message in lint.out, lint
    assert project.tree() == before


def test_the_line_of_the_runbook_is_right(project: Project) -> None:
    project.replace(RUNBOOK, "grace_s:", "grace_seconds:")
    lines = project.read(RUNBOOK).decode().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith("  grace_seconds: 5"))
    lint = project.run("runbook", "lint")
    assert f"{RUNBOOK}:{line}: " in lint.out, lint


def test_undo_restore_and_recover_work_with_a_broken_runbook(project: Project) -> None:
    before = project.configs()
    assert project.run("backup").code == 0
    assert project.run(*OOM).code == 0
    project.write(RUNBOOK, "features: [broken")
    assert project.run("recover").code == 0
    assert project.run("undo", "--yes").code == 0
    assert project.configs() == before
    project.write(CONFIG, "gone: wrong\n")
    assert project.run("restore", "latest", "--yes").code == 0
    assert project.configs() == before


def test_a_runbook_of_another_user_or_writable_by_all_is_not_executed(project: Project) -> None:
    path = project.root / RUNBOOK
    path.chmod(0o666)
    check_refused(project, project.run(*OOM), 3, "writable by everyone", "chmod o-w")
    path.chmod(0o664)
    assert "writable by its group" in project.run("status").out
    if os.getuid() == 0:
        path.chmod(0o644)
        os.chown(path, 12345, 12345)
        check_refused(project, project.run(*OOM), 3, "belongs to another user")


CONFIGS = {
    "unreadable": (b"improvements: [\n", "line 2"),
    "not utf-8": (b"improvements:\n  use_ema: \xff\n", "not UTF-8"),
    "duplicate key": (b"a: 1\na: 2\n", "appears twice"),
    "a list": (b"- a\n- b\n", "a mapping was expected"),
    "a list inside": (b"improvements: [use_ema]\n", "not a mapping"),
    "two documents": (b"improvements: {use_ema: true}\n---\na: 1\n", "2 documents"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_cannot_be_edited_is_refused(project: Project, name: str) -> None:
    content, message = CONFIGS[name]
    project.write(CONFIG, content)
    before = project.tree()
    check_refused(project, project.run(*OOM), 3, CONFIG, message)
    assert project.tree() == before


def test_a_read_only_file(project: Project) -> None:
    (project.root / CONFIG).chmod(0o444)
    check_refused(project, project.run(*OOM), 3, "read-only", "chmod u+w")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_foreign_owner_is_kept(project: Project) -> None:
    """Root replaces a user's file, and it stays the user's, with its mode."""
    path = project.root / CONFIG
    os.chown(path, 12345, 23456)
    path.chmod(0o640)
    assert project.run(*OOM).code == 0
    facts = path.stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o777) == (12345, 23456, 0o640)


def test_a_symlink_that_leads_out(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    shutil.move(project.root / CONFIG, outside)
    before = outside.read_bytes()
    (project.root / CONFIG).symlink_to(outside)
    check_refused(project, project.run(*OOM), 3, "symlink")
    assert outside.read_bytes() == before


def test_no_snapshot_yet(project: Project) -> None:
    check_refused(project, project.run("restore", "latest", "--yes"), 3, "no snapshot yet", "atftctl backup")
    check_refused(project, project.run("undo", "--yes"), 3, "no operation to undo")
    project.run("backup")
    check_refused(project, project.run("restore", "last-good", "--yes"), 3, "verified-good")
    check_refused(project, project.run("restore", "2029", "--yes"), 2, "there is no snapshot '2029'")


def test_no_terminal_and_no_yes(project: Project) -> None:
    before = project.configs()
    check_refused(project, project.run("rollback", "--symptom", "oom"), 3, "no terminal to ask", "--dry-run")
    assert project.configs() == before
    done = project.run("rollback", "--symptom", "oom", "--json")
    assert done.code == 3 and done.json["error"]["message"].startswith("there is no terminal")


def test_a_trainer_that_does_not_come_up(project: Project) -> None:
    """The new settings stay, the exit says so, the contacts and the undo are shown."""
    assert project.run("trainer", "start").code == 0
    project.behave("die")
    done = project.run(*OOM)
    assert done.code == 1, done
    assert "did not start" in done.out and "told to die" in done.out
    assert "atftctl undo" in done.out and "#ml-alerts" in done.out
    assert b"use_ema: false" in project.read(CONFIG)
    assert project.run("history", "--json").json["data"]["operations"][-1]["outcome"] == "changed, not healthy"


def test_two_operators_at_once(project: Project) -> None:
    """The second is told who, where, since when and why; it does not wait."""
    project.behave("slow-stop")
    assert project.run("trainer", "start").code == 0
    first = project.start(*OOM, "--reason", "it burns")
    wait_for(
        lambda: (
            (project.root / ".atftctl" / "journal").is_dir() and any((project.root / ".atftctl" / "journal").iterdir())
        )
    )
    second = project.run("rollback", "--immediate", "--yes")
    check_refused(project, second, 3, "is running `rollback` here", "reason: it burns", f"pid {first.pid}", "since 20")
    assert first.wait(120) == 0, first.stderr.read()  # type: ignore[union-attr]
    assert b"use_ema: false" in project.read(CONFIG) and b"gat_temperature: 0.8" in project.read(CONFIG)


def test_a_second_remedy_after_the_world_moved_is_planned_anew(project: Project) -> None:
    """A config that is edited while the plan is on the screen: refused, with the words to go on."""
    script = (
        "import sys; from pathlib import Path\n"
        "from atftctl.operations.rollback import routes as rollback; from atftctl.operations.request import Request\n"
        "from atftctl.operations.project import open_project; from atftctl.decide.plans.builder import RestartPolicy\n"
        "root = Path(sys.argv[1]); config = root / 'configs/atft/config.yaml'\n"
        "def confirm(plan, diff):\n"
        "    config.write_text(config.read_text().replace('hidden_size: 32', 'hidden_size: 40')); return True\n"
        "rollback.by_symptom(open_project(root), 'oom', RestartPolicy(), Request(confirm=confirm))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(project.root)], capture_output=True, text=True, env=project.env
    )
    assert "files changed after it was shown" in done.stderr
    assert b"hidden_size: 40" in project.read(CONFIG) and b"use_ema: true" in project.read(CONFIG)


def test_ctrl_c_before_the_decision_puts_back(project: Project) -> None:
    project.behave("slow-stop")
    assert project.run("trainer", "start").code == 0
    before = project.configs()
    running = project.start(*OOM)
    wait_for(
        lambda: (
            (project.root / ".atftctl" / "journal").is_dir() and any((project.root / ".atftctl" / "journal").iterdir())
        )
    )
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "before the change was decided" in err and "as it was" in err
    assert project.configs() == before
    assert not any((project.root / ".atftctl" / "journal").iterdir())
    wait_for(lambda: project.run("trainer", "status", "--json").json["data"]["state"] == "running")


def test_ctrl_c_after_the_decision_completes(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    project.behave("silent")
    running = project.start(*OOM)
    wait_for(lambda: b"use_ema: false" in project.read(CONFIG))
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 130, (out, err)
    assert "completed" in out
    assert not any((project.root / ".atftctl" / "journal").iterdir())
    assert project.run("trainer", "status", "--json").json["data"]["pid"]


def test_ctrl_c_and_no_at_the_prompt(project: Project) -> None:
    pexpect = pytest.importorskip("pexpect")
    before = project.tree()
    for send in ("\x03", "n\n", "\x04"):
        child = pexpect.spawn(
            sys.executable,
            ["-m", "atftctl", "rollback", "--symptom", "oom"],
            cwd=str(project.root),
            env=project.env,
            timeout=120,
        )
        child.expect("y/N")
        child.send(send)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == (130 if send == "\x03" else 3)
        assert project.tree() == before


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk(project: Project, tmp_path: Path) -> None:
    """A real tmpfs of 24 MB: the reserve carries a rollback through when not a byte is left."""
    with small_disk(tmp_path / "disk") as disk:
        shutil.copytree(project.root, disk / "project")
        small = Project(disk / "project", project.env)
        assert small.run("backup").code == 0, "and makes the reserve"
        before = small.configs()
        fill(disk)
        done = small.run("rollback", "--immediate", "--yes")
        assert done.code == 0, done
        assert b"gat_temperature: 1.0" in small.read(CONFIG)
        assert small.run("undo", "--yes").code == 0
        assert small.configs() == before
        (small.root / ".atftctl" / "reserve").unlink(missing_ok=True)
        fill(disk)
        done = small.run("rollback", "--immediate", "--yes")
        assert done.code in (3, 4) and "No space left" in done.err, done
        assert small.configs() == before
        assert small.run("status").code == 0


def test_json_errors_are_one_object_on_stdout(project: Project) -> None:
    done = project.run("rollback", "--symptom", "oomm", "--yes", "--json")
    assert done.code == 2 and done.err == ""
    assert done.json["error"]["hint"] == "did you mean oom?"
    assert (done.json["version"], done.json["command"], done.json["outcome"]) == (1, "rollback", "usage")


def test_a_training_config_that_is_wrong_for_the_trainer_is_not_ours_to_judge(project: Project) -> None:
    """The rollback of three keys works on a config with keys that the runbook does not know."""
    project.write(TRAINING, project.read(TRAINING) + b"\nmine:\n  own: [1, 2]\n")
    assert project.run(*OOM).code == 0
