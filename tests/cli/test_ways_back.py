"""The ways back beside --symptom and --immediate, as a user runs them, with a stand-in trainer."""

from __future__ import annotations

import json
import time

from tests.support.projects import CONFIG, RUNBOOK, Project


def mark_good(project: Project) -> str:
    """A snapshot that a passing verify vouches for, as `verify` writes it down."""
    name = str(project.run("backup", "--label", "good", "--json").json["data"]["id"])
    files = json.loads(project.read(f"backups/{name}/manifest.json"))["body"]["files"]
    digests = {file["path"]: file["sha256"] for file in files if not file["path"].endswith("last.pth")}
    line = {"at": "2026-11-24T00:00:00+00:00", "digests": digests, "checks": {"RankIC@1d": "restored"}}
    project.write(".atftctl/verified.jsonl", json.dumps(line) + "\n")
    return name


def test_to_the_last_verified_good_and_never_just_the_one_before(project: Project) -> None:
    good = mark_good(project)
    before = project.configs()
    model = project.read("models/best_model.pth")
    project.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    project.run("backup", "--label", "later")
    project.write("models/best_model.pth", b"worse")
    project.start_trainer()
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


def test_single_features_and_no_others(project: Project) -> None:
    done = project.run("rollback", "--feature", "use_ema", "huber_loss", "--yes")
    assert done.code == 0, done
    text = project.read(CONFIG).decode()
    assert "use_ema: false" in text and "huber_loss: false" in text and "freq_dropout_p: 0.1" in text
    assert project.run("rollback", "--feature", "use_ema", "--yes").code == 3, "already at the baseline"
    typo = project.run("rollback", "--feature", "use_emma", "--yes")
    assert typo.code == 2 and "did you mean use_ema?" in typo.err


def test_or_undo_puts_everything_back(project: Project) -> None:
    project.start_trainer()
    before = project.configs()
    project.behave("bad-if:improvements.use_ema=false", "die")
    unhealthy = project.run("rollback", "--feature", "huber_loss", "--yes")
    assert unhealthy.code == 1 and b"huber_loss: false" in project.read(CONFIG), "the new settings stay"
    project.behave()
    assert project.run("undo", "--yes").code == 0
    project.behave("die")
    done = project.run("rollback", "--symptom", "oom", "--or-undo", "--yes")
    assert done.code == 4 and "undone" in done.out and project.configs() == before, done
    commands = [one["command"] for one in project.run("history", "--json").json["data"]["operations"]]
    assert commands[-2:] == ["rollback", "undo"]


def test_doctor_says_what_is_missing_and_what_that_costs(project: Project) -> None:
    project.env["ATFTCTL_TEST_STANDINS"] = ""
    tree = project.tree()
    done = project.run("doctor", "--json")
    assert done.code == 0 and project.tree() == tree
    found = {one["name"]: one for one in done.json["data"]["findings"]}
    assert not found["python"]["costs"] and "verify" in found["snapshots"]["costs"]
    (project.root / "block").mkdir()
    project.write("block/torch.py", "raise ImportError('broken')")
    env = {"PYTHONPATH": f"{project.root}/block:{project.env['PYTHONPATH']}", "PATH": "/nowhere"}
    found = {one["name"]: one for one in project.run("doctor", "--json", env=env).json["data"]["findings"]}
    assert "broken" in found["torch"]["message"] and "rollback and restore work" in found["torch"]["costs"]
    assert "rollback --git does not work" in found["git"]["costs"]
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
    project.start_trainer()
    child = project.start("rollback", "--symptom", "oom", "--yes")
    seen = set()
    deadline = time.monotonic() + 15
    while child.poll() is None and time.monotonic() < deadline:
        seen.add(project.run("trainer", "status", "--json").json["data"]["state"])
    assert child.wait() == 0 and "stopping" in seen, seen


def test_what_does_not_go_together(project: Project) -> None:
    for command in (
        ("--since", "HEAD~1"), ("--symptom", "oom", "--push"), ("--ref", "HEAD"), ("--to", "latest", "--live"),
        ("--git", "HEAD", "--live"), ("--full", "--live"), ("--staged", "--no-restart"), ("--staged", "--live"),
        ("use_ema",),
    ):  # fmt: skip
        assert project.run("rollback", *command, "--yes").code == 2, command
    for command in (("use_ema=false", "improvements.use_ema=true"), ("gat_temperature", "12:30"), ("training.threads", "010"),
                  ("training.threads", "1_0"), ("data.path", "yes"), ("training.threads=2", "training.threads=4")):  # fmt: skip
        assert project.run("config", "set", *command, "--yes").code == 2, command
    for command in (("gat_temperature", ".nan"), ("scheduler.warmup_steps", "1.5")):
        assert project.run("config", "set", *command, "--yes").code == 3, command


def test_every_way_works_with_next_to_nothing(project: Project) -> None:
    """No torch, no pandas, no git, no terminal, a home that can't be written to, no UTF-8 locale."""
    good = mark_good(project)
    for name in ("torch", "pandas", "numpy", "git"):
        project.write(f"block/{name}.py", "raise ImportError('broken')")
    env = {
        "PYTHONPATH": f"{project.root}/block:{project.env['PYTHONPATH']}", "PATH": "/nowhere", "LANG": "C", "LC_ALL": "C",
        "HOME": "/proc/1", "TERM": "dumb", "ATFTCTL_TEST_STANDINS": "",
    }  # fmt: skip
    before = project.configs()
    for command in (
        ("doctor",), ("rollback", "--feature", "use_ema", "--yes"), ("rollback", "--to", good, "--yes"),
        ("rollback", "--symptom", "学習発散", "--yes"), ("rollback", "--yes"), ("rollback", "--immediate", "--yes"),
        ("undo", "--yes"), ("config", "set", "gat_temperature=0.9", "--yes"), ("undo", "--yes"), ("show",),
        ("history", "--check"), ("status", "--lang", "ja"), ("runbook", "render"), ("guard", "--override", "x", "--", "/bin/true"),
        ("plan", "save", "../p", "rollback", "--immediate"), ("plan", "apply", "../p", "--yes"), ("rollback", "--yes"),
    ):  # fmt: skip
        done = project.run(*command, env=env)
        assert done.code == 0, (command, done)
    assert project.configs() == before
    assert "git is not installed" in project.run("rollback", "--git", "HEAD", "--yes", env=env).err
    shown = project.run("show", "--json", env=env).json["data"]
    assert "diagnosis.txt" in shown["evidence"]["files"]


def test_a_private_copy_is_run_only_for_a_whole_operation_of_this_project(project: Project) -> None:
    """Nobody's planted journal, above the project or in it, runs code of theirs."""
    for folder in (project.root.parent, project.root):
        evil = folder / ".atftctl/tools/1-1/atftctl"
        evil.mkdir(parents=True)
        (evil / "__main__.py").write_text("print('PWNED')")
        journal = folder / ".atftctl/journal"
        journal.mkdir(exist_ok=True)
        (journal / "x.intent.json").write_text(json.dumps({"body": {"tool": str(evil.parent)}}))
        (journal / "x.commit.json").write_text("x")
        for command in (("status",), ("--help",), ("guard", "--", "echo", "--project", str(project.root))):
            assert "PWNED" not in project.run(*command).out
