"""What the commands do to the files: each route, its dry run, its undo and the undo of that."""

from __future__ import annotations

import pytest
import yaml

from tests.support.gates import off_and_running, quick_gates
from tests.support.projects import CONFIG, TRAINING, Project

CHANGES = {
    ("rollback", "--symptom", "divergence"): {
        CONFIG: {"output_head_small_init: false", "huber_loss: false", "freq_dropout_p: 0.0", "use_ema: false"},
    },
    ("rollback", "--symptom", "oom"): {CONFIG: {"use_ema: false", "online_normalization: false"}},
    ("rollback", "--symptom", "degradation"): {
        CONFIG: {"gat_temperature: 1.0", "freq_dropout_p: 0.0", "output_head_small_init: false"},
    },
    ("rollback", "--symptom", "slow-convergence"): {TRAINING: {"warmup_steps: 400"}},
    ("rollback", "--symptom", "memory-leak"): {CONFIG: {"memory_map: false", "online_normalization: false"}},
    ("rollback", "--immediate"): {
        CONFIG: {
            "output_head_small_init: false", "gat_temperature: 1.0", "freq_dropout_p: 0.0", "use_ema: false",
            "huber_loss: false", "online_normalization: false", "enable_wandb: false", "auto_recover_oom: false",
        },
        TRAINING: {"type: mse", "enabled: false", "init_scale: 1024.0"},
    },
}  # fmt: skip


def changed_lines(before: bytes, after: bytes) -> set[str]:
    pairs = zip(before.decode().splitlines(), after.decode().splitlines(), strict=True)
    return {new.split("#")[0].strip() for old, new in pairs if old != new}


@pytest.mark.parametrize("command", CHANGES, ids=lambda command: command[-1].strip("-"))
def test_a_route_changes_its_lines_and_no_other(project: Project, command: tuple[str, ...]) -> None:
    before = {name: project.read(name) for name in (CONFIG, TRAINING)}
    done = project.run(*command, "--yes")
    assert done.code == 0, done
    for name, content in before.items():
        assert changed_lines(content, project.read(name)) == CHANGES[command].get(name, set()), name


@pytest.mark.parametrize("command", CHANGES, ids=lambda command: command[-1].strip("-"))
def test_a_dry_run_touches_nothing_and_shows_what_apply_takes(project: Project, command: tuple[str, ...]) -> None:
    before = project.tree()
    shown = project.run(*command, "--dry-run", "--json")
    assert shown.code == 0, shown
    assert project.tree() == before
    applied = project.run(*command, "--yes", "--json")
    assert applied.json["data"]["plan"]["steps"] == shown.json["data"]["plan"]["steps"]
    assert applied.json["data"]["plan"]["changes"] == shown.json["data"]["plan"]["changes"]


def test_undo_is_byte_exact_and_can_be_undone(project: Project) -> None:
    project.write(CONFIG, project.read(CONFIG).replace(b"\n", b"\r\n"))  # what a text editor elsewhere leaves behind
    before = project.configs()
    assert project.run("rollback", "--immediate", "--yes").code == 0
    after = project.configs()
    assert after != before
    assert project.run("undo", "--yes").code == 0
    assert project.configs() == before
    assert project.run("undo", "--yes").code == 0
    assert project.configs() == after


def test_undo_names_the_operation_and_refuses_where_a_later_edit_would_be_lost(project: Project) -> None:
    operation = project.run("rollback", "--symptom", "oom", "--yes", "--json").json["data"]["operation"]
    project.replace(CONFIG, "hidden_size: 32", "hidden_size: 48")
    done = project.run("undo", operation, "--yes")
    assert done.code == 3
    assert "was changed after" in done.err and "atftctl restore" in done.err
    assert b"hidden_size: 48" in project.read(CONFIG)


def test_symptoms_are_known_in_japanese(project: Project) -> None:
    done = project.run("rollback", "--symptom", "OOMエラー", "--dry-run", "--lang", "ja")
    assert done.code == 0
    assert "EMA/オンライン正規化" in done.out


def test_the_second_remedy_is_offered_when_the_first_is_in_place(project: Project) -> None:
    assert project.run("rollback", "--symptom", "slow-convergence", "--yes").code == 0
    done = project.run("rollback", "--symptom", "slow-convergence", "--yes")
    assert done.code == 0 and "alternative" in done.out
    assert yaml.safe_load(project.read(CONFIG))["improvements"]["output_head_small_init"] is False
    assert project.run("rollback", "--symptom", "slow-convergence", "--yes").code == 3


def test_phases_come_back_one_at_a_time(project: Project) -> None:
    quick_gates(project)
    off_and_running(project)
    early = project.run("reenable", "--phase", "2", "--yes")
    assert early.code == 3 and "atftctl reenable --phase 1" in early.err
    for phase, lines in (
        ("1", {"output_head_small_init": True}),
        ("2", {"use_ema": True}),
        ("3", {"freq_dropout_p": 0.05}),
    ):
        assert project.run("reenable", "--phase", phase, "--yes").code == 0
        found = yaml.safe_load(project.read(CONFIG))["improvements"]
        assert {name: found[name] for name in lines} == lines
    assert yaml.safe_load(project.read(TRAINING))["ema"]["enabled"] is True, "EMA is on only if both switches are"
    again = project.run("reenable", "--phase", "3", "--yes")
    assert again.code == 3 and "has passed already" in again.err
    assert project.run("reenable", "--phase", "4", "--yes").code == 3


def test_the_deployment_plan_is_there_too(project: Project) -> None:
    quick_gates(project)
    off_and_running(project)
    for phase in ("1", "2", "3"):
        assert project.run("reenable", "--plan", "deployment", "--phase", phase, "--yes").code == 0
    found = yaml.safe_load(project.read(CONFIG))["improvements"]
    assert (found["freq_dropout_p"], found["online_normalization"], found["huber_loss"]) == (0.1, True, True)
    assert yaml.safe_load(project.read(TRAINING))["loss"]["type"] == "huber"


def test_a_snapshot_is_plain_files_that_cp_restores(project: Project) -> None:
    before = project.configs()
    snapshot = project.run("backup", "--label", "before", "--json").json["data"]["id"]
    assert project.run("rollback", "--immediate", "--yes").code == 0
    folder = project.root / "backups" / snapshot
    assert ((folder / CONFIG).read_bytes(), (folder / TRAINING).read_bytes()) == before
    assert (folder / "models/best_model.pth").read_bytes() == project.read("models/best_model.pth")
    assert folder.stat().st_mode & 0o077 == 0
    assert project.run("restore", "before", "--yes").code == 0
    assert project.configs() == before
    again = project.run("restore", "before", "--yes")
    assert again.code == 3 and "nothing to restore" in again.err


def test_restore_brings_back_models_and_single_files(project: Project) -> None:
    project.run("backup")
    project.write("models/best_model.pth", b"worse")
    project.write("models/last.pth", b"worse")
    assert project.run("restore", "latest", "models/best_model.pth", "--yes").code == 0
    assert project.read("models/best_model.pth").startswith(b"best weights")
    assert project.read("models/last.pth") == b"worse"
    assert project.run("restore", "latest", "models/none.pth", "--yes").code == 3


def test_restore_brings_back_a_config_that_is_gone_or_broken(project: Project) -> None:
    before = project.configs()
    project.run("backup")
    (project.root / CONFIG).unlink()
    project.write(TRAINING, "loss: [broken")
    refused = project.run("rollback", "--immediate", "--yes")
    assert refused.code == 3 and "atftctl restore" in refused.err
    assert project.run("restore", "latest", "--yes").code == 0
    assert project.configs() == before
    assert project.run("undo", "--yes").code == 0
    assert not (project.root / CONFIG).exists() and project.read(TRAINING) == b"loss: [broken"


def test_a_damaged_copy_is_never_put_in_place(project: Project) -> None:
    snapshot = project.run("backup", "--json").json["data"]["id"]
    assert project.run("rollback", "--symptom", "oom", "--yes").code == 0
    before = project.configs()
    copy = project.root / "backups" / snapshot / CONFIG
    copy.chmod(0o644)
    copy.write_bytes(copy.read_bytes().replace(b"20", b"21", 1))
    done = project.run("restore", snapshot, "--yes")
    assert done.code == 3 and "damaged" in done.err
    assert project.configs() == before
    assert not list(project.root.rglob("*.staged"))


def test_history_says_who_and_why(project: Project) -> None:
    project.run("rollback", "--symptom", "oom", "--yes", "--reason", "OOM at 03:12")
    entry = project.run("history", "--json").json["data"]["operations"][-1]
    assert entry["reason"] == "OOM at 03:12" and "@" in entry["operator"] and entry["outcome"] == "done"
    evidence = project.root / ".atftctl/operations" / entry["operation"]
    assert (evidence / "configs__atft__config.yaml").read_bytes() != project.read(CONFIG), "the config as it was before"
    assert (evidence / "process.json").exists() and (evidence / "plan.json").exists()
