"""The history of operations, and the guard that starts nothing that was rolled back."""

from __future__ import annotations

import json
import os
import time

from atftctl.host.files.fingerprint import sha256_bytes
from tests.support.projects import CONFIG, RUNBOOK, Project, wait_for


def test_show_tells_all_of_one_operation(project: Project) -> None:
    project.start_trainer()
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


def test_guard_starts_nothing_that_was_rolled_back(project: Project) -> None:
    assert project.run("guard", "--", "sh", "-c", "exit 7").code == 7
    assert project.run("guard", "--", "no-such-command").code == 127
    project.start_trainer()
    running = project.run("guard", "--", "true")
    assert running.code == 125 and "already running" in running.err
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


def test_a_rollback_that_was_killed_has_quarantined_its_config(project: Project) -> None:
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 60")
    project.start_trainer()
    project.behave("silent")
    child = project.start("rollback", "--symptom", "oom", "--yes")
    wait_for(lambda: b"use_ema: false" in project.read(CONFIG))
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
    project.start_trainer()
    pid = project.record()["pid"]
    os.kill(pid, 9)
    wait_for(lambda: "are still running" in project.run("trainer", "status").out)
    refused = project.run("guard", "--", "true")
    assert refused.code == 125 and "are still running" in refused.err
    project.run("trainer", "stop")


def test_a_failed_try_lifts_no_quarantine_of_an_earlier_rollback(project: Project) -> None:
    project.start_trainer()
    project.run("rollback", "--immediate", "--yes")
    project.run("trainer", "stop")
    project.run("restore", "latest", "--only", "configs", "--yes")
    project.behave("die")
    project.run("trainer", "start")
    assert project.run("config", "set", "optimizer.lr", "0.002", "--or-undo", "--yes").code == 4
    assert "quarantined" in project.run("guard", "--", "true").err
