"""Each fault of the written guide is a test of ours: what its shell lines break, the tool does not.

The guide's own lines are run beside, where that is safe, so that the fault is seen and not only claimed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.support.gates import off_and_running, quick_gates
from tests.support.projects import CONFIG, TRAINING, Project, processes_of, wait_for

GUIDE_CONFIG = """improvements:
  output_head_small_init: false
  gat_temperature: 1.0
  freq_dropout_p: 0.0
  use_ema: false
  huber_loss: false
  online_normalization: false
  enable_wandb: false
  auto_recover_oom: false
"""
GUIDE_TRAINING = """loss:
  type: mse
ema:
  enabled: false
grad_scaler:
  init_scale: 1024.0
"""


def test_it_restores_a_config_and_then_overwrites_it_with_eight_lines(project: Project) -> None:
    """The guide's `cat > config.yaml` loses every other setting; ours sets the same values and keeps the rest."""
    before = {name: yaml.safe_load(project.read(name)) for name in (CONFIG, TRAINING)}
    assert project.run("rollback", "--immediate", "--yes").code == 0
    for name, guide in ((CONFIG, GUIDE_CONFIG), (TRAINING, GUIDE_TRAINING)):
        wanted, found = yaml.safe_load(guide), yaml.safe_load(project.read(name))
        for section, values in wanted.items():
            for key, value in values.items():
                assert found[section][key] == value, f"the guide wants {section}.{key}: {value}"
        for section, values in before[name].items():
            for key in values:
                assert key in found[section], f"{section}.{key} was lost"
        assert set(found) == set(before[name])
        assert set(before[name]) - set(wanted), "the guide's file would have lost these sections"


def test_it_kills_by_name_pattern(project: Project) -> None:
    """`pkill -f integrated_trainer` kills an editor with that file open. Ours stops its own process and no other."""
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", "standin.py", "train", "integrated_trainer"],
        cwd=project.root.parent, env={**project.env},
    )  # fmt: skip
    try:
        matched = subprocess.run(["pgrep", "-f", "integrated_trainer"], capture_output=True, text=True).stdout.split()
        assert str(bystander.pid) in matched, "the guide's pattern would have hit it"
        assert project.run("trainer", "start").code == 0
        assert project.run("rollback", "--symptom", "oom", "--yes").code == 0
        assert project.run("trainer", "stop").code == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_trainer_started_by_hand_is_shown_and_asked_about(project: Project) -> None:
    """Found by its command line and its folder; never killed by pattern, only when the operator names it."""
    command = yaml.safe_load(project.read("runbooks/atft-gat-fan.yaml"))["trainer"]["command"]
    by_hand = subprocess.Popen([sys.executable, *command[1:-1], "last"], cwd=project.root, env=project.env)
    try:
        wait_for(lambda: (project.root / "logs/events.jsonl").exists())
        assert f"pid {by_hand.pid}" in project.run("trainer", "status").out
        before = project.configs()
        done = project.run("rollback", "--symptom", "oom", "--yes")
        assert done.code == 3 and f"--adopt {by_hand.pid}" in done.err
        assert project.configs() == before and by_hand.poll() is None
        assert project.run("trainer", "start").code == 3, "no second trainer beside it"
        assert project.run("rollback", "--symptom", "oom", "--yes", "--adopt", str(os.getpid())).code == 3
        assert project.run("rollback", "--symptom", "oom", "--yes", "--adopt", str(by_hand.pid)).code == 0
        assert by_hand.wait(120) is not None
        assert project.run("trainer", "status", "--json").json["data"]["state"] == "running"
    finally:
        by_hand.kill()
        by_hand.wait()


@pytest.mark.parametrize(
    "behaviour", [["ignore-term"], ["fork"], ["double-fork"], ["slow-stop"]], ids=lambda words: words[0]
)
def test_it_starts_the_next_trainer_without_looking_whether_the_last_one_died(
    project: Project, behaviour: list[str]
) -> None:
    project.replace("runbooks/atft-gat-fan.yaml", "grace_s: 5", "grace_s: 2")
    project.behave(*behaviour)
    assert project.run("trainer", "start").code == 0
    old = set(processes_of(project.root))
    project.behave()
    done = project.run("rollback", "--symptom", "oom", "--yes")
    assert done.code == 0, done
    new = set(processes_of(project.root))
    assert len(new) == 1 and not new & old, "one trainer, and nothing of the old one"


def test_it_deletes_files_and_pushes_in_the_middle_of_a_rollback(project: Project) -> None:
    """No route takes a file away or touches git; the only changes are the settings."""
    git = ["git", "-C", str(project.root), "-c", "user.name=t", "-c", "user.email=t@t"]
    remote = project.root.parent / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "start"], check=True)
    subprocess.run([*git, "remote", "add", "origin", str(remote)], check=True)
    before = set(project.tree())
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    for route in (("--symptom", "oom"), ("--symptom", "divergence"), ("--immediate",)):
        assert project.run("rollback", *route, "--yes").code == 0
    assert before <= set(project.tree())
    assert subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout == head
    assert not list((remote / "refs/heads").iterdir()), "nothing was pushed"


def test_its_restart_command_fails_on_an_import_and_nobody_notices(project: Project) -> None:
    """`python … &` returns 0 whatever happens. Ours ends with exit 1 and the reason when no first step comes."""
    project.replace("runbooks/atft-gat-fan.yaml", str(Path("standin.py")), "no_such_trainer.py")
    done = project.run("trainer", "start")
    assert done.code == 1 and "did not start" in done.out and "No such file" in done.out


def test_started_is_not_healthy(project: Project) -> None:
    """A trainer that comes up with other settings than were written is not taken for a rollback that is done."""
    assert project.run("trainer", "start").code == 0
    project.behave("other-digest")
    done = project.run("rollback", "--symptom", "oom", "--yes")
    assert done.code == 1 and "other settings than were written" in done.out


def test_a_flag_that_is_written_and_not_in_effect_is_no_success(project: Project) -> None:
    """In the project that the guide was written for, seven of eight flags had no reader, and nothing told the operator."""
    quick_gates(project)
    off_and_running(project)
    project.replace(
        "runbooks/atft-gat-fan.yaml", "settings: {use_ema: true, ema_enabled: true}", "settings: {use_ema: true}"
    )
    assert project.run("reenable", "--phase", "1", "--yes").code == 0
    done = project.run("reenable", "--phase", "2", "--yes")
    assert done.code == 4 and "improvements.use_ema: true was written, the trainer runs with false" in done.out, done


def test_a_trainer_that_hangs_before_its_first_step_is_not_healthy(project: Project) -> None:
    project.replace("runbooks/atft-gat-fan.yaml", "ready_s: 20", "ready_s: 1")
    assert project.run("trainer", "start").code == 0
    project.behave("silent")
    done = project.run("rollback", "--symptom", "oom", "--yes")
    assert done.code == 1 and "not seen within 1 s" in done.out


def test_every_flag_of_the_guide_is_in_the_runbook(project: Project) -> None:
    """And every symptom, with the guide's settings and its recovery time."""
    shown = project.run("runbook", "show", "--json", "--lang", "ja").json["data"]
    keys = {feature["key"] for feature in shown["features"].values()}
    for guide in (GUIDE_CONFIG, GUIDE_TRAINING):
        for section, values in yaml.safe_load(guide).items():
            assert {f"{section}.{key}" for key in values} <= keys
    table = {"OOMエラー": 5, "学習発散": 5, "性能劣化": 10, "収束遅延": 15, "メモリリーク": 10}
    assert {one["title"]: one["minutes"] for one in shown["symptoms"].values()} == table
    assert any("#ml-alerts" in line for line in shown["contacts"]), shown["contacts"]


def test_its_verification_prints_fixed_numbers(project: Project) -> None:
    """Without a probe that really measured something there is no pass."""
    project.replace("runbooks/atft-gat-fan.yaml", "atftctl.trainer, probe]", "no_such_module, probe]")
    done = project.run("verify")
    assert (
        done.code == 6 and "not measured: the probe ended with exit code 1" in done.out and "no_such_module" in done.out
    )


def test_nothing_is_lost_when_the_operator_is_killed(project: Project) -> None:
    """`kill -9` in the middle of a real rollback with a real child: recover brings files and process to one state."""
    project.behave("slow-stop")
    assert project.run("trainer", "start").code == 0
    before = project.configs()
    running = project.start("rollback", "--symptom", "oom", "--yes")
    journal = project.root / ".atftctl/journal"
    wait_for(lambda: journal.is_dir() and any(journal.iterdir()))
    time.sleep(0.3)  # in the middle of the stop
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert "an operation was interrupted" in project.run("status").out
    shown = project.run("rollback", "--immediate", "--dry-run")
    assert "1. recover: reverse rollback" in shown.out
    done = project.run("recover")
    assert done.code == 0 and "reversed rollback" in done.out, done
    assert project.configs() == before
    wait_for(lambda: project.run("trainer", "status", "--json").json["data"]["state"] == "running")
    assert len(processes_of(project.root)) == 1
