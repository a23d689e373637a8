"""The ways back beside --symptom and --immediate, as a user runs them, with a stand-in trainer."""

from __future__ import annotations

import json
import os
import time

import pytest

from atftctl.host.files.fingerprint import sha256_bytes
from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Project, wait_for


def mark_good(project: Project) -> str:
    """A snapshot that a passing verify vouches for, as `verify` writes it down."""
    name = str(project.run("backup", "--label", "good", "--json").json["data"]["id"])
    files = json.loads(project.read(f"backups/{name}/manifest.json"))["body"]["files"]
    digests = {file["path"]: file["sha256"] for file in files if not file["path"].endswith("last.pth")}
    line = {"at": "2026-11-24T00:00:00+00:00", "digests": digests, "checks": {"RankIC@1d": "restored"}}
    project.write(".atftctl/verified.jsonl", json.dumps(line) + "\n")
    return name


def start(project: Project) -> None:
    assert project.run("trainer", "start").code == 0


# --- rollback --to


def test_to_the_last_verified_good_and_never_just_the_one_before(project: Project) -> None:
    good = mark_good(project)
    before = project.configs()
    model = project.read("models/best_model.pth")
    project.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    project.run("backup", "--label", "later")
    project.write("models/best_model.pth", b"worse")
    start(project)
    done = project.run("rollback", "--yes", "--json")
    assert done.code == 0, done
    assert project.configs() == before and project.read("models/best_model.pth") == model
    assert done.json["data"]["first_step"]["digest"] and good in done.json["data"]["plan"]["title"]
    assert project.run("undo", "--yes").code == 0 and project.read("models/best_model.pth") == b"worse"


def test_to_a_snapshot_that_is_not_verified_says_so(project: Project) -> None:
    project.run("backup", "--label", "plain")
    project.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    shown = project.run("rollback", "--to", "plain", "--dry-run")
    assert shown.code == 0 and "has not been verified" in shown.out
    assert project.run("rollback", "--to", "nothing", "--yes").code == 2
    assert project.run("rollback", "--to", "plain", "--live", "--yes").code == 2


# --- rollback --feature, config


def test_single_features_and_no_others(project: Project) -> None:
    done = project.run("rollback", "--feature", "use_ema", "huber_loss", "--yes")
    assert done.code == 0, done
    text = project.read(CONFIG).decode()
    assert "use_ema: false" in text and "huber_loss: false" in text and "freq_dropout_p: 0.1" in text
    assert project.run("rollback", "--feature", "use_ema", "--yes").code == 3, "at the baseline already"
    typo = project.run("rollback", "--feature", "use_emma", "--yes")
    assert typo.code == 2 and "did you mean use_ema?" in typo.err


def test_config_get_and_set(project: Project) -> None:
    assert project.run("config", "get", "use_ema").out.strip() == "true"
    assert project.run("config", "get", "loss.type", "--json").json["data"] == {
        "headline": "huber", "key": "loss.type", "file": TRAINING, "value": "huber",
    }  # fmt: skip
    assert "improvements.gat_temperature: 0.8" in project.run("config", "get").out
    before = project.read(CONFIG)
    done = project.run("config", "set", "gat_temperature=0.9", "loss.type=mse", "--yes")
    assert done.code == 0, done
    assert b"gat_temperature: 0.9" in project.read(CONFIG) and b"type: mse" in project.read(TRAINING)
    assert project.run("undo", "--yes").code == 0 and project.read(CONFIG) == before
    for words, code, said in (
        (("gat_temperature", "true"), 3, "is not a number"),
        (("gat_temperature", "0.8"), 3, "has this value already"),
        (("gat_temprature", "0.9"), 3, "did you mean gat_temperature?"),
        (("improvements", "0.9"), 3, "holds 8 settings"),
        (("gat_temperature",), 2, "KEY VALUE"),
        (("gat_temperature", "[1"), 2, "is no value"),
    ):
        refused = project.run("config", "set", *words, "--yes")
        assert refused.code == code and said in refused.err, refused
    assert project.run("config", "get", "nonsense").code == 3


# --- live, or-undo


def test_live_is_proven_by_the_trainers_own_echo(project: Project) -> None:
    start(project)
    pid = project.record()["pid"]
    done = project.run("config", "set", "gat_temperature", "0.9", "--live", "--yes")
    assert done.code == 0 and "proof: step" in done.out, done
    assert project.record()["pid"] == pid, "no restart"
    assert project.run("rollback", "--feature", "use_ema", "--live", "--yes").code == 0
    assert project.record()["pid"] == pid and b"use_ema: false" in project.read(CONFIG)


def test_what_the_running_trainer_does_not_take_up_is_put_back(project: Project) -> None:
    before = project.configs()
    refused = project.run("config", "set", "gat_temperature", "0.9", "--live", "--yes")
    assert refused.code == 3 and "needs a running trainer" in refused.err
    project.behave("refuses")
    start(project)
    done = project.run("config", "set", "gat_temperature", "0.9", "--live", "--yes")
    assert done.code == 4 and "told to refuse" in done.out and project.configs() == before, done
    assert project.run("trainer", "status", "--json").json["data"]["state"] == "running"


def test_a_deaf_trainer_does_not_take_it_up_later(project: Project) -> None:
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 1")
    project.behave("deaf")
    start(project)
    before = project.configs()
    done = project.run("config", "set", "gat_temperature", "0.9", "--live", "--yes")
    assert done.code == 4 and project.configs() == before
    assert not (project.root / "logs/request.json").exists(), "the request was withdrawn"


def test_or_undo_puts_everything_back(project: Project) -> None:
    start(project)
    before = project.configs()
    project.behave("bad-if:improvements.use_ema=false", "die")
    unhealthy = project.run("rollback", "--feature", "huber_loss", "--yes")
    assert unhealthy.code == 1 and b"huber_loss: false" in project.read(CONFIG), "the new settings stay"
    project.behave()
    assert project.run("undo", "--yes").code == 0
    project.behave("die")
    done = project.run("rollback", "--symptom", "oom", "--or-undo", "--yes")
    assert done.code == 4 and "put back" in done.out and project.configs() == before, done
    commands = [one["command"] for one in project.run("history", "--json").json["data"]["operations"]]
    assert commands[-2:] == ["rollback", "undo"]


# --- staged


def quick_stages(project: Project) -> None:
    project.replace(RUNBOOK, "window_steps: 300", "window_steps: 60")
    project.replace(RUNBOOK, "window_s: 300", "window_s: 10")


def test_staged_stops_at_the_first_healthy_stage(project: Project) -> None:
    quick_stages(project)
    project.behave("bad-if:improvements.freq_dropout_p=0.1")
    start(project)
    wait_for(lambda: "died" in project.run("status").out, 20)
    shown = project.run("rollback", "--staged", "--dry-run")
    assert shown.out.count("(table)") == shown.out.count("(block)") == 1 and "Training diverges" in shown.out, (
        "the symptom is the trainer's own word"
    )
    tree = project.tree()
    assert project.run("rollback", "--staged", "--dry-run").code == 0 and project.tree() == tree
    done = project.run("rollback", "--staged", "--yes", "--json")
    assert done.code == 0, done
    data = done.json["data"]
    assert data["stage"] == "block" and data["verdict"] == "pass" and len(data["operations"]) == 2
    text = project.read(CONFIG).decode()
    assert "gat_temperature: 0.8" in text and "online_normalization: true" in text, "innocent improvements stay on"
    assert not (project.root / ".atftctl/staged.json").exists()
    for operation in reversed(data["operations"]):
        assert project.run("undo", operation, "--yes", "--no-restart").code == 0
    assert "use_ema: true" in project.read(CONFIG).decode()


def test_no_stage_helps(project: Project) -> None:
    quick_stages(project)
    project.behave("bad-if:data.memory_map=true")
    start(project)
    wait_for(lambda: "died" in project.run("status").out, 20)
    done = project.run("rollback", "--staged", "--symptom", "divergence", "--yes")
    assert done.code == 1 and "no stage made the trainer healthy" in done.out and "contact" in done.out, done


def test_staged_is_gone_on_with_after_a_kill(project: Project) -> None:
    quick_stages(project)
    project.replace(RUNBOOK, "window_steps: 60", "window_steps: 400")
    project.behave("bad-if:improvements.freq_dropout_p=0.1")
    start(project)
    wait_for(lambda: "died" in project.run("status").out, 20)
    child = project.start("rollback", "--staged", "--yes")
    wait_for(lambda: (project.root / ".atftctl/staged.json").exists() and b'"at": 1' in state(project), 30)
    child.kill()
    child.wait()
    assert "atftctl resume" in project.run("status").out
    refused = project.run("rollback", "--staged", "--yes")
    assert refused.code == 3 and "at stage 2 of 3" in refused.err
    assert project.run("resume", "--dry-run").code == 0
    assert "was not left in the middle" in project.run("resume", "2024").err
    first = project.run("history", "--json").json["data"]["operations"][-1]["operation"]
    done = project.run("resume", first)
    assert done.code == 0 and "healthy after stage 2 of 3" in done.out, done
    assert project.run("resume").code == 3, "nothing was left in the middle"


def state(project: Project) -> bytes:
    try:
        return project.read(".atftctl/staged.json")
    except FileNotFoundError:
        return b""


def test_too_little_seen_is_inconclusive_and_can_be_dropped(project: Project) -> None:
    quick_stages(project)
    project.replace(RUNBOOK, "window_s: 10", "window_s: 1")
    project.replace(RUNBOOK, "window_steps: 60", "window_steps: 100000")
    start(project)
    done = project.run("rollback", "--staged", "--symptom", "oom", "--yes")
    assert done.code == 6 and "of 100000 steps so far" in done.out, done
    assert project.run("resume", "--drop").code == 0
    assert project.run("rollback", "--staged", "--symptom", "oom", "--dry-run").code == 0


def test_staged_needs_somebody_to_watch(project: Project) -> None:
    refused = project.run("rollback", "--staged", "--symptom", "oom", "--yes")
    assert refused.code == 3 and "none runs" in refused.err
    start(project)
    project.run("trainer", "stop")
    assert project.run("rollback", "--staged", "--yes").code == 2, "name a symptom"


# --- show, history --check, plans


def test_show_tells_all_of_one_operation(project: Project) -> None:
    start(project)
    operation = project.run("rollback", "--symptom", "oom", "--yes", "--reason", "it died", "--json").json["data"]
    shown = project.run("show", operation["operation"])
    for word in ("it died", "stop the trainer", "-  use_ema: true", "first_step at step 1", "evidence: ", "took "):
        assert word in shown.out, word
    data = project.run("show", "--json").json["data"]
    assert {"logs__events.jsonl", "plan.json", "change.diff"} <= set(data["evidence"]["files"])
    assert data["operator"] and data["outcome"] == "done" and data["steps"]
    assert project.run("show", "nonsense").code == 2


def test_a_line_of_the_history_that_was_altered_or_taken_out_is_found(project: Project) -> None:
    for name in ("use_ema", "huber_loss", "enable_wandb"):
        project.run("rollback", "--feature", name, "--yes")
    path = ".atftctl/history.jsonl"
    whole = project.read(path)
    assert project.run("history", "--check").code == 0
    lines = whole.splitlines(keepends=True)
    for broken in (
        whole.replace(b"use_ema", b"use_emo", 1),
        b"".join(lines[1:]),
        lines[0] + lines[2],
        b"".join(lines[:2]),
        whole.replace(b'"outcome": "done"', b'"outcome": "gone"'),
        lines[1] + lines[0] + lines[2],
        whole
        + json.dumps(
            {"operation": "x", "command": "y", "title": "z", "before": sha256_bytes(lines[-1].strip())}
        ).encode(),
    ):
        project.write(path, broken)
        found = project.run("history", "--check")
        assert found.code == 1 and found.out, broken
    project.write(path, whole + b'{"torn')
    assert project.run("history", "--check").code == 0, "a crash cut a line short: nothing was taken out"
    project.run("undo", "--yes")
    assert project.run("history", "--check").code == 0


def test_a_saved_plan_is_done_exactly_or_refused(project: Project) -> None:
    tree = project.tree()
    saved = project.run("plan", "save", "../plan", "rollback", "--symptom", "oom")
    assert saved.code == 0 and "use_ema: true → false" in saved.out and project.tree() == tree
    assert project.run("plan", "save", "../plan", "rollback", "--symptom", "oom").code == 3, "never overwritten"
    assert project.run("plan", "apply", "../plan").code == 3, "nobody to ask"
    done = project.run("plan", "apply", "../plan", "--yes")
    assert done.code == 0 and b"use_ema: false" in project.read(CONFIG), done
    project.run("undo", "--yes")
    project.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    moved = project.run("plan", "apply", "../plan", "--yes")
    assert moved.code == 3 and "the world has moved" in moved.err and b"use_ema: true" in project.read(CONFIG)
    text = (project.root / "../plan").read_text()
    (project.root / "../plan").write_text(text.replace("oom", "divergence"))
    edited = project.run("plan", "apply", "../plan", "--yes")
    assert edited.code == 3 and "no plan that atftctl saved" in edited.err
    assert project.run("plan", "apply", "../none", "--yes").code == 3
    assert project.run("plan", "save", "../other", "rollback", "--symptom", "nonsense").code == 2
    assert not (project.root / "../other").exists()


# --- guard, doctor, pages


def test_guard_starts_nothing_that_was_rolled_back(project: Project) -> None:
    assert project.run("guard", "--", "sh", "-c", "exit 7").code == 7
    assert project.run("guard", "--", "no-such-command").code == 127
    start(project)
    running = project.run("guard", "--", "true")
    assert running.code == 125 and "runs already" in running.err
    project.run("rollback", "--symptom", "oom", "--yes")
    project.run("trainer", "stop")
    assert project.run("guard", "--", "true").code == 0, "the config of after the rollback"
    project.run("restore", "latest", "--only", "configs", "--yes")
    refused = project.run("guard", "--", "true")
    assert refused.code == 125 and "quarantined: Out of memory" in refused.err, refused
    assert "quarantined" in project.run("status").out
    assert project.run("guard", "--override", "more memory", "--", "true").code == 0
    assert project.run("guard", "--", "true").code == 0
    assert b"more memory" in project.read(".atftctl/quarantine.jsonl")
    project.write(CONFIG, "a: [")
    assert project.run("guard", "--", "true").code == 125
    project.write(RUNBOOK, "nonsense")
    assert project.run("guard", "--", "true").code == 125


def test_doctor_says_what_is_missing_and_what_that_costs(project: Project) -> None:
    tree = project.tree()
    done = project.run("doctor", "--json")
    assert done.code == 0 and project.tree() == tree
    found = {one["name"]: one for one in done.json["data"]["findings"]}
    assert not found["python"]["costs"] and "verify" in found["snapshots"]["costs"]
    (project.root / "block").mkdir()
    project.write("block/torch.py", "raise ImportError('broken')")
    env = {"PYTHONPATH": f"{project.root}/block:{project.env['PYTHONPATH']}", "PATH": "/nowhere"}
    found = {one["name"]: one for one in project.run("doctor", "--json", env=env).json["data"]["findings"]}
    assert "broken" in found["torch"]["words"] and "rollback and restore work" in found["torch"]["costs"]
    assert "no rollback --git" in found["git"]["costs"]
    (project.root / CONFIG).unlink()
    missing = project.run("doctor")
    assert missing.code == 1 and "contact" in missing.out


def test_the_pages_of_the_runbook(project: Project) -> None:
    from tests.support.projects import ROOT

    assert project.run("runbook", "render", "--check", "--project", str(ROOT)).code == 0, "atftctl runbook render"
    assert project.run("runbook", "render").code == 0
    for language, word in (("en", "Out of memory"), ("ja", "復旧時間")):
        assert word in project.read(f"runbooks/atft-gat-fan.{language}.md").decode()
    project.replace(RUNBOOK, "minutes: 5", "minutes: 7")
    assert project.run("runbook", "render", "--check").code == 1


def test_stopping_is_a_state(project: Project) -> None:
    project.behave("ignore-term")
    start(project)
    child = project.start("rollback", "--symptom", "oom", "--yes")
    seen = set()
    deadline = time.monotonic() + 15
    while child.poll() is None and time.monotonic() < deadline:
        seen.add(project.run("trainer", "status", "--json").json["data"]["state"])
    assert child.wait() == 0 and "stopping" in seen, seen


def test_only_changes_have_plans_and_only_here(project: Project) -> None:
    ran = project.run("plan", "save", "../p", "guard", "--", "touch", "executed")
    assert ran.code == 2 and "has no plan" in ran.err and not (project.root / "executed").exists()
    assert project.run("plan", "save", "../p", "rollback", "--symptom", "oom", "--yes").code == 2
    project.replace(RUNBOOK, "window_steps: 300", "window_steps: 60")
    project.behave("bad-if:improvements.use_ema=true")
    start(project)
    wait_for(lambda: "died" in project.run("status").out, 20)
    assert project.run("plan", "save", "../staged", "rollback", "--staged").code == 0
    project.run("config", "set", "use_ema=false", "huber_loss=false", "--yes", "--no-restart")
    assert "has moved" in project.run("plan", "apply", "../staged", "--yes").err
    assert project.run("plan", "save", "../p", "rollback", "--immediate").code == 0
    project.replace(RUNBOOK, "grace_s: 5", "grace_s: 6")
    assert "runbook would be others" in project.run("plan", "apply", "../p", "--yes").err


def test_a_deliberate_stop_or_another_operator_is_no_failed_stage(project: Project) -> None:
    quick_stages(project)
    project.replace(RUNBOOK, "window_steps: 60", "window_steps: 100000")
    for words in (("trainer", "stop"), ("trainer", "restart")):
        start(project)
        child = project.start("rollback", "--staged", "--symptom", "oom", "--yes")
        wait_for(lambda: b'"watching"' in state(project), 30)
        at_it = project.run("resume")
        assert at_it.code == 3 and "is at it" in at_it.err
        assert project.run("guard", "--", "true").code == 125
        assert project.run(*words).code == 0
        out, _ = child.communicate(timeout=30)
        assert child.returncode == 6 and ("on purpose" in out or "another trainer" in out), out
        assert "gat_temperature: 0.8" in project.read(CONFIG).decode(), "no further stage"
        assert project.run("resume", "--drop").code == 0
        project.run("undo", "--yes", "--no-restart")
        project.run("trainer", "stop")


def test_staged_or_undo_takes_every_stage_back(project: Project) -> None:
    quick_stages(project)
    project.behave("bad-if:data.memory_map=true")
    start(project)
    wait_for(lambda: "died" in project.run("status").out, 20)
    before = project.configs()
    done = project.run("rollback", "--staged", "--symptom", "oom", "--or-undo", "--yes")
    assert done.code == 4 and project.configs() == before, done


def test_what_does_not_go_together(project: Project) -> None:
    for words in (
        ("--since", "HEAD~1"), ("--symptom", "oom", "--push"), ("--ref", "HEAD"), ("--to", "latest", "--live"),
        ("--git", "HEAD", "--live"), ("--full", "--live"), ("--staged", "--no-restart"), ("--staged", "--live"),
        ("use_ema",),
    ):  # fmt: skip
        assert project.run("rollback", *words, "--yes").code == 2, words
    for words in (("use_ema=false", "improvements.use_ema=true"), ("gat_temperature", "12:30"), ("training.threads", "010"),
                  ("training.threads", "1_0"), ("data.path", "yes"), ("training.threads=2", "training.threads=4")):  # fmt: skip
        assert project.run("config", "set", *words, "--yes").code == 2, words
    for words in (("gat_temperature", ".nan"), ("scheduler.warmup_steps", "1.5")):
        assert project.run("config", "set", *words, "--yes").code == 3, words


def test_live_put_back_is_put_back_in_the_trainer_too(project: Project) -> None:
    """The stand-in, as the real one, has EMA on only if both switches are: the echo shows what was not taken up."""
    project.run("config", "set", "use_ema=false", "ema.enabled=false", "--yes")
    start(project)
    wanted = project.run("trainer", "status", "--json").json["data"]["digest"]
    done = project.run("config", "set", "use_ema=true", "training.max_steps=777", "--live", "--yes")
    assert done.code == 4, done
    assert project.run("trainer", "status", "--json").json["data"]["digest"] == wanted
    assert project.run("guard", "--", "true").code == 125 and "quarantined" not in project.run("status").out


def test_a_rollback_that_was_killed_has_quarantined_its_config(project: Project) -> None:
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 60")
    start(project)
    project.behave("silent")
    child = project.start("rollback", "--symptom", "oom", "--yes")
    wait_for(lambda: b"use_ema: false" in project.read(CONFIG), 20)
    time.sleep(0.3)
    child.kill()
    child.wait()
    assert project.run("recover").code == 0
    project.run("trainer", "stop")
    project.replace(CONFIG, "use_ema: false", "use_ema: true")
    project.replace(CONFIG, "online_normalization: false", "online_normalization: true")
    refused = project.run("guard", "--", "true")
    assert refused.code == 125 and "quarantined" in refused.err, refused


def test_guard_sees_those_started_by_hand_and_what_is_left(project: Project) -> None:
    project.behave("double-fork")
    start(project)
    pid = project.record()["pid"]
    os.kill(pid, 9)
    wait_for(lambda: "are left" in project.run("trainer", "status").out, 20)
    refused = project.run("guard", "--", "true")
    assert refused.code == 125 and "are left" in refused.err
    project.run("trainer", "stop")


def test_every_way_works_with_next_to_nothing(project: Project) -> None:
    """No torch, no pandas, no git, no terminal, a home that can't be written to, no UTF-8 locale."""
    good = mark_good(project)
    for name in ("torch", "pandas", "numpy", "git"):
        project.write(f"block/{name}.py", "raise ImportError('broken')")
    env = {
        "PYTHONPATH": f"{project.root}/block:{project.env['PYTHONPATH']}", "PATH": "/nowhere", "LANG": "C", "LC_ALL": "C",
        "HOME": "/proc/1", "TERM": "dumb",
    }  # fmt: skip
    before = project.configs()
    for words in (
        ("doctor",), ("rollback", "--feature", "use_ema", "--yes"), ("rollback", "--to", good, "--yes"),
        ("rollback", "--symptom", "学習発散", "--yes"), ("rollback", "--yes"), ("rollback", "--immediate", "--yes"),
        ("undo", "--yes"), ("config", "set", "gat_temperature=0.9", "--yes"), ("undo", "--yes"), ("show",),
        ("history", "--check"), ("status", "--lang", "ja"), ("runbook", "render"), ("guard", "--override", "x", "--", "/bin/true"),
        ("plan", "save", "../p", "rollback", "--immediate"), ("plan", "apply", "../p", "--yes"), ("rollback", "--yes"),
    ):  # fmt: skip
        done = project.run(*words, env=env)
        assert done.code == 0, (words, done)
    assert project.configs() == before
    assert "git is not installed" in project.run("rollback", "--git", "HEAD", "--yes", env=env).err
    shown = project.run("show", "--json", env=env).json["data"]
    assert "diagnosis.txt" in shown["evidence"]["files"]


def test_a_failed_try_lifts_no_quarantine_of_an_earlier_rollback(project: Project) -> None:
    start(project)
    project.run("rollback", "--immediate", "--yes")
    project.run("trainer", "stop")
    project.run("restore", "latest", "--only", "configs", "--yes")
    project.behave("die")
    project.run("trainer", "start")
    assert project.run("config", "set", "optimizer.lr", "0.002", "--or-undo", "--yes").code == 4
    assert "quarantined" in project.run("guard", "--", "true").err


@pytest.mark.parametrize(
    ("command", "headline"),
    [
        ("restore latest --to ../out", "exported 4 files"),
        ("backup create --label kept", "snapshot 2"),
        ("backup pin latest", "is pinned"),
        ("backup rm latest", "remove 1 snapshot"),
        ("trainer start", "the trainer is running"),
        ("trainer stop", "no trainer is running"),
    ],
)
def test_every_change_has_a_plan_that_can_be_kept(project: Project, command: str, headline: str) -> None:
    assert project.run("backup").code == 0
    before = project.tree()
    saved = project.run("plan", "save", "../p", *command.split())
    assert saved.code == 0 and "dry run" in saved.out and project.tree() == before, saved
    applied = project.run("plan", "apply", "../p", "--yes")
    assert applied.code == 0 and headline in applied.out, applied


def test_a_dry_run_of_a_change_says_what_the_change_does(project: Project) -> None:
    project.run("backup")
    for command in ("backup create", "trainer start", "trainer restart", "backup pin latest", "backup prune", "resume"):
        shown = project.run(*command.split(), "--dry-run", "--json")
        assert shown.code == 0, shown
        if plan := shown.json["data"].get("plan"):
            assert all(step["text"] for step in plan["steps"]) and plan["command"] in (command, "backup"), plan


def test_a_private_copy_is_run_only_for_a_whole_operation_of_this_project(project: Project) -> None:
    """Nobody's planted journal, above the project or in it, runs code of theirs."""
    for folder in (project.root.parent, project.root):
        evil = folder / ".atftctl/tools/1-1/atftctl"
        evil.mkdir(parents=True)
        (evil / "__main__.py").write_text("print('PWNED')")
        journal = folder / ".atftctl/journal"
        journal.mkdir()
        (journal / "x.intent.json").write_text(json.dumps({"body": {"tool": str(evil.parent)}}))
        (journal / "x.commit.json").write_text("x")
        for words in (("status",), ("--help",), ("guard", "--", "echo", "--project", str(project.root))):
            assert "PWNED" not in project.run(*words).out
