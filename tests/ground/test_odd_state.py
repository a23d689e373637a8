"""Odd content of configs, logs, records and manifests: it is reported, and is no fault of the tool."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support.projects import CONFIG, OOM, Project
from tests.support.recovery import plant_record

ODD = {
    "an exit code that is a list": (
        "logs/events.jsonl",
        '{{"event":"stopped","t":1,"run_id":"{run}","exit_code":[]}}\n',
    ),
    "a row of no end": ("logs/metrics.csv", "x" * 200_000 + "\n"),
    "an outcome that is a mapping": (
        ".atftctl/history.jsonl",
        '{{"operation":"x","command":"c","title":"t","outcome":{{}},"parts":4}}\n',
    ),
    "a path that no file has": (
        ".atftctl/history.jsonl",
        '{{"operation":"x","command":"c","title":"t","files":[{{"path":"\\ud800","old":null,"new":null,"mode":1}}]}}\n',
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_words_of_the_trainer_and_of_the_history(project: Project, what: str) -> None:
    assert project.run("trainer", "start").code == 0
    name, text = ODD[what]
    with (project.root / name).open("a") as file:
        file.write(text.format(run=project.record()["run_id"]))
    for command in (
        ("status",),
        ("trainer", "status"),
        ("history",),
        ("show",),
        ("history", "--json"),
        ("undo", "--dry-run"),
        OOM,
    ):
        ended = project.run(*command)
        assert "internal error" not in ended.err and "Traceback" not in ended.err, (command, ended)


def test_a_manifest_with_a_name_that_no_file_has(project: Project) -> None:
    from atftctl.state import sealed_records

    project.run("backup")
    snapshot = next((project.root / "backups").iterdir())
    body = sealed_records.unseal((snapshot / "manifest.json").read_bytes(), "x")
    body["files"][0]["path"] = "\ud800"
    (snapshot / "manifest.json").write_bytes(sealed_records.seal(body))
    for command in (("status",), ("backup", "list"), ("backup", "verify"), OOM):
        assert "internal error" not in project.run(*command).err, command


@pytest.mark.parametrize("stopping", [[5], {"a": 1}, "x", [{"pid": []}]])
def test_an_intent_that_stops_nonsense(project: Project, stopping: object) -> None:
    assert project.run("trainer", "start").code == 0
    plant_record(project, "", {}, intent={"stopping": stopping})
    for command in (("status",), ("recover",)):
        assert "internal error" not in project.run(*command).err, command


@pytest.mark.parametrize("path", ["a\x00b", "\ud800", ""])
def test_a_move_of_a_name_that_no_file_has(project: Project, path: str) -> None:
    plant_record(
        project, "commit", {"moves": [{"path": path, "staged": ".x.0.staged", "old": None, "new": None, "mode": 1}]}
    )
    ended = project.run("recover")
    assert ended.code == 5 and "can't be trusted" in ended.err, ended


def test_models_that_lead_to_themselves_and_a_pipe_for_the_log(project: Project) -> None:
    shutil.rmtree(project.root / "models")
    (project.root / "models").symlink_to("models")
    ended = project.run("trainer", "start")
    assert "internal error" not in ended.err and "Traceback" not in ended.err, ended
    (project.root / "models").unlink()
    project.write("models/last.pth", b"x")
    (project.root / "logs").mkdir(exist_ok=True)
    (project.root / "logs/trainer.out").unlink(missing_ok=True)
    os.mkfifo(project.root / "logs/trainer.out")
    ended = project.run("trainer", "start")
    assert ended.code == 5 and "not a regular file" in ended.err and "trainer.command" not in ended.err, ended


def test_an_empty_config_is_no_healthy_one(project: Project) -> None:
    taken = project.run("backup", "--json").json["data"]["id"]
    for content in (b"", b"\0" * 4096, b"\n  \n"):
        project.write(CONFIG, content)
        assert "is empty" in project.run("status").out and project.run("doctor").code == 1
        refused = project.run(*OOM)
        assert refused.code == 3 and f"atftctl restore {taken} --only configs" in refused.err, refused
        assert project.run("trainer", "start").code == 3


def test_a_value_of_the_wrong_kind_can_be_mended(asking: Project) -> None:
    asking.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: -5")
    seen = asking.run("status").out
    assert "atftctl config set improvements.gat_temperature=1.0" in seen, seen
    assert asking.run("config", "set", "improvements.gat_temperature=0.8", "--yes").code == 0
    assert "can't train" not in asking.run("status").out


def test_a_dry_run_of_a_start_says_what_the_start_says(asking: Project) -> None:
    asking.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: -5")
    for verb in ("start", "restart"):
        assert asking.run("trainer", verb, "--dry-run").code == asking.run("trainer", verb).code == 3


def test_status_tells_of_a_config_that_can_not_be_replaced(project: Project) -> None:
    (project.root / CONFIG).chmod(0o444)
    assert "chmod u+w" in project.run("status").out and project.run("doctor").code == 1
    (project.root / CONFIG).unlink()
    (project.root / "configs/real.yaml").write_text("a: 1\n")
    (project.root / CONFIG).symlink_to("../real.yaml")
    assert "cp --remove-destination" in project.run("status").out
