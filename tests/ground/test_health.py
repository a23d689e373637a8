"""One truth about health: what `status`, `doctor`, `runbook lint` and a refusal say is one judgement, with a way out."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.projects import CONFIG, NEXT, OOM, RUNBOOK, TRAINING, Project, wait_for


@pytest.mark.parametrize("command", [(), ("-h",), ("--help",), ("help",), ("help", "rollback"), ("rollback", "-h"),
                                   ("backup", "-h"), ("--version",), ("help", "backup", "list")])  # fmt: skip
def test_what_a_new_user_types_first(project: Project, command: tuple[str, ...]) -> None:
    ended = project.run(*command)
    assert ended.code == 0 and not ended.err and ended.out.strip(), ended


@pytest.mark.parametrize(
    "command", [("nonsense",), ("help", "nonsense"), ("--nonsense",), ("backup", "nonsense"), ("config",)]
)
def test_wrong_words_are_told_and_nothing_else(project: Project, command: tuple[str, ...]) -> None:
    ended = project.run(*command)
    assert ended.code == 2 and "Traceback" not in ended.err + ended.out, ended


def test_options_of_every_command_may_stand_before_it(project: Project, tmp_path: Path) -> None:
    for command in (("--project", str(project.root), "status"), (f"--project={project.root}", "backup", "list"),
                  ("--json", "--project", str(project.root), "trainer", "status"),
                  ("--lang", "ja", "--project", str(project.root), "status")):  # fmt: skip
        ended = project.run(*command, cwd=tmp_path)
        assert ended.code == 0, (command, ended)
    ended = project.run("--json", "--project", str(project.root), "status", cwd=tmp_path)
    assert ended.json["command"] == "status"


BROKEN = {
    "not YAML": (CONFIG, "improvements: [\n", ""),
    "gone": (CONFIG, None, ""),
    "a list": (CONFIG, "- a\n", ""),
    "out of its range": (CONFIG, "improvements: {gat_temperature: -5}\n", "gat_temperature"),
    "an unknown setting": (TRAINING, "los: {type: mse}\n", "los"),
    "a word for a number": (TRAINING, "optimizer: {lr: fast}\n", "lr"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_status_doctor_and_a_start_agree_about_a_broken_config(asking: Project, what: str) -> None:
    name, content, word = BROKEN[what]
    taken = asking.run("backup", "--json").json["data"]["id"]
    if content is None:
        (asking.root / name).unlink()
    else:
        asking.write(name, content)
    told = [asking.run("status"), asking.run("doctor"), asking.run("trainer", "start")]
    assert [ended.code for ended in told] == [0, 1, 3], told
    for ended in told:
        text = ended.out + ended.err
        assert (word or name) in text and "everything that a rollback needs is in order" not in text, ended
        if not word:
            assert f"atftctl restore {taken} --only configs" in text, ended
    if not word:
        assert asking.run("restore", taken, "--only", "configs", "--yes").code == 0
        assert asking.run("trainer", "start").code == 0


def test_the_hint_leaves_the_models_alone(project: Project) -> None:
    project.run("backup")
    project.write("models/last.pth", b"2,100 steps later")
    project.write(CONFIG, "a: [\n")
    hint = next(line for line in project.run(*OOM).err.splitlines() if "next:" in line).split("next: atftctl ")[1]
    assert project.run(*hint.split(), "--yes").code == 0
    assert project.read("models/last.pth") == b"2,100 steps later"


@pytest.mark.parametrize("command", [("config", "set", "gat_temperature=-5", "--yes"), ("config", "set", "optimizer.lr=1000000.0", "--yes"),
                                   ("trainer", "restart"), ("reenable", "--phase", "1", "--yes")], ids=" ".join)  # fmt: skip
def test_settings_out_of_their_range_stop_no_healthy_trainer(asking: Project, command: tuple[str, ...]) -> None:
    if command[0] == "reenable":
        asking.replace(CONFIG, "output_head_small_init: true", "output_head_small_init: false")
    assert asking.run("trainer", "start").code == 0
    pid = asking.record()["pid"]
    if command[0] in ("trainer", "reenable"):
        asking.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: -5")
    before = asking.configs()
    refused = asking.run(*command)
    assert refused.code == 3 and "can't train" in refused.err, refused
    assert asking.configs() == before and asking.record()["pid"] == pid and Path(f"/proc/{pid}").exists()


def test_a_rollback_is_only_warned_and_an_undo_never_asks(asking: Project) -> None:
    asking.replace(TRAINING, "lr:", "lr: -1.0  #") if b"lr:" in asking.read(TRAINING) else None
    asking.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: -5")
    done = asking.run(*OOM)
    assert done.code == 0 and "invalid" in done.out, done
    undone = asking.run("undo", "--yes")
    assert undone.code == 0 and "invalid" not in undone.out + undone.err, undone


@pytest.mark.parametrize("check", ["[/nonexistent]", '["{python}", -c, "import time; time.sleep(600)"]', '["{python}", -c, "1/0"]',
                                   '[/bin/echo, no JSON]', '[/bin/echo, "{\\"valid\\": 1}"]'], ids=["missing", "hangs", "crashes", "words", "odd"])  # fmt: skip
def test_a_check_that_gives_no_answer_is_a_warning(project: Project, check: str) -> None:
    project.replace(RUNBOOK, NEXT, f"  validate: {check}\n{NEXT}")
    begun = time.monotonic()
    done = project.run("config", "set", "gat_temperature=0.9", "--yes")
    assert done.code == 0 and "not checked" in done.out and time.monotonic() - begun < 100, done


def test_all_problems_of_a_runbook_at_once(project: Project) -> None:
    project.replace(RUNBOOK, "grace_s: 5", "grace_s: -3")
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: soon")
    project.replace(RUNBOOK, "    minutes: 10", "    minuten: 10")
    project.replace(RUNBOOK, "reenable_plan: after-incident", "reenable_plan: after-incidents")
    found = project.run("runbook", "lint")
    assert found.code == 1, found
    for word in ("grace_s", "ready_s", "minuten", "did you mean minutes?", "after-incidents"):
        assert word in found.out, (word, found)
    assert len({line for line in found.out.splitlines() if RUNBOOK in line}) >= 5
    assert all(f"{RUNBOOK}:" in line for line in found.out.splitlines() if "is out of its range" in line), found
    assert found.out.count("\n") == len(project.run("runbook", "lint", "--json").json["data"]["problems"]) + 4
    refused = project.run(*OOM)
    assert refused.code == 3 and "runbook lint" in refused.err


def test_a_typo_in_the_runbook_does_not_hide_the_trainer(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    project.replace(RUNBOOK, "grace_s: 5", "grace_s: -3")
    seen = project.run("status")
    assert seen.code == 0 and "trainer running" in seen.out and "grace_s" in seen.out and "use_ema" in seen.out, seen
    assert "grace_s" in project.run("doctor").out
    assert project.run("trainer", "status").out.startswith("trainer: running")
    assert project.run("trainer", "stop").code == 0


def test_damage_is_counted_alike_and_latest_is_whole(project: Project) -> None:
    assert project.run("backup", "--label", "good").code == 0
    assert project.run("backup", "--label", "bad").code == 0
    bad = sorted((project.root / "backups").iterdir())[-1]
    (bad / "models/last.pth").chmod(0o600)
    (bad / "models/last.pth").write_bytes(b"cut")
    assert len([one for one in project.run("backup", "list", "--json").json["data"]["snapshots"] if one["damage"]]) == 1
    assert "1 damaged" in project.run("doctor").out
    seen = project.run("status", "--json").json["data"]
    assert seen["latest_snapshot"] != bad.name and any(bad.name in fault["message"] for fault in seen["faults"])
    assert project.run("backup", "show", "latest", "--json").json["data"]["label"] == "good"
    project.write("models/last.pth", b"other")
    assert project.run("restore", "latest", "--yes").code == 0


def test_after_a_kill_there_is_a_next_step(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    pid = project.record()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: project.run("trainer", "status").out.startswith("trainer: died"))
    seen = project.run("status")
    assert "atftctl trainer start" in seen.out, seen
    assert project.run("trainer", "start").code == 0


def test_start_and_status_agree_about_a_trainer_that_ended(project: Project) -> None:
    project.behave("oom")
    started = project.run("trainer", "start")
    assert started.code == 1 and "ended before its first step" in started.err + started.out, started
    assert project.run("trainer", "status").out.startswith("trainer: died")


@pytest.mark.parametrize(
    "command", [("rollback", "--yes"), ("rollback", "--to", "latest", "--yes"), ("restore", "latest", "--yes")]
)
def test_no_snapshot_yet_is_a_refusal(project: Project, command: tuple[str, ...]) -> None:
    ended = project.run(*command)
    assert ended.code == 3 and "atftctl" in ended.err, ended


def test_a_saved_plan_speaks_json_under_its_own_name(project: Project, tmp_path: Path) -> None:
    for command in (("--json", str(tmp_path / "a"), *OOM[:-1]), (str(tmp_path / "b"), *OOM[:-1], "--json")):
        saved = project.run("plan", "save", *command)
        assert saved.code == 0 and saved.json["command"] == "plan save" and saved.json["data"]["plan"]["steps"], saved
    refused = project.run("plan", "save", str(tmp_path / "c"), "status", "--json")
    assert refused.json["command"] == "plan save" and refused.json["error"], refused
    applied = project.run("plan", "apply", str(tmp_path / "a"), "--yes", "--json")
    assert applied.json["command"] == "plan apply" and applied.json["exit_code"] == 0, applied
    again = project.run("plan", "apply", str(tmp_path / "b"), "--yes", "--json")
    assert again.code == 3 and again.json["command"] == "plan apply", again


def test_an_undo_lifts_the_quarantine_that_its_rollback_made(project: Project) -> None:
    assert project.run(*OOM).code == 0
    undone = project.run("undo", "--yes")
    assert undone.code == 0 and "no longer quarantined" in undone.out, undone
    assert project.run("guard", "--", "true").code == 0
    assert "quarantined" not in project.run("status").out


def test_an_undo_leaves_the_quarantine_of_another_rollback(project: Project) -> None:
    assert project.run(*OOM).code == 0
    project.run("undo", "--yes")
    assert project.run(*OOM).code == 0  # quarantined again, and stays so
    for name, content in (("use_ema", "true"), ("online_normalization", "true")):
        project.run("config", "set", f"{name}={content}", "--yes")
    before = project.run("guard", "--", "true")
    assert before.code == 125, before
    assert project.run("config", "set", "gat_temperature=0.9", "--yes").code == 0
    assert project.run("undo", "--yes").code == 0
    assert project.run("guard", "--", "true").code == 125, "no rollback was taken back"


@pytest.mark.parametrize("live", [False, True])
def test_a_log_that_was_rotated(project: Project, live: bool) -> None:
    assert project.run("trainer", "start").code == 0
    logs = project.root / "logs"
    for name in ("events.jsonl", "metrics.csv", "training.log"):
        if (logs / name).exists():
            (logs / name).rename(logs / f"{name}.1")
    assert project.run("trainer", "status").out.startswith("trainer: running")
    command = ("config", "set", "use_ema=false", "--yes", *(("--live",) if live else ()))
    done = project.run(*command)
    assert done.code == 0, done
    assert project.run("trainer", "status").out.startswith("trainer: running")


def test_escape_sequences_are_shown_and_not_obeyed(project: Project) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
    project.write(f"assets/{evil}.txt", "x")
    project.replace(RUNBOOK, "  also: []", "  also: [assets]")
    assert project.run("backup", "--label", "a", "--reason", evil).code == 0
    project.write(f"assets/{evil}.txt", "y")
    project.write(CONFIG, f"a: 1 # {evil}\n")
    said = [project.run(*command) for command in (
        ("backup", "diff", "latest"), ("restore", "latest", "--dry-run"), ("restore", "latest", "--yes", "--reason", evil),
        ("history",), ("show",), ("backup", "show", "latest"), ("status",), ("rollback", "--symptom", evil), (evil,),
        ("config", "get", evil), ("backup", "show", "latest", "--json"), ("history", "--json"), ("backup", "--only", evil))]  # fmt: skip
    for ended in said:
        for text in (ended.out, ended.err):
            assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}, ended
    held = project.root / ".atftctl/lock"
    script = f"import fcntl,os,time\nf=open({str(held)!r},'w')\nfcntl.flock(f,2)\nf.write({json.dumps({'operator': evil, 'reason': evil})!r})\nf.flush()\nprint(1,flush=True)\ntime.sleep(20)"
    import subprocess
    import sys

    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert holder.stdout and holder.stdout.readline()
        refused = project.run(*OOM)
        assert refused.code == 3 and "\x1b" not in refused.err and "\\x1b" in refused.err, refused
    finally:
        holder.kill()
        holder.wait()


def test_only_one_module_writes_to_the_terminal() -> None:
    from tests.support.projects import ROOT

    loud = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / "atftctl/cli").rglob("*.py")
        if path.name != "console.py"
        for line in path.read_text().splitlines()
        if ("print(" in line or "stdout.write(" in line or "stderr.write(" in line or "typer.echo" in line)
    ]
    assert not loud
