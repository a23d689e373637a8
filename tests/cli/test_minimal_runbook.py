"""A runbook of files and a command: every command says what is missing, and what it shows to paste is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.projects import Project, make_project

MINIMAL = """\
files:
  configs: [configs/atft/config.yaml]
  models: [models/last.pth]
trainer:
  command: ["{python}", train.py]
"""
FEATURE = """\
features:
  ema: {file: configs/atft/config.yaml, key: improvements.use_ema, baseline: false, improved: true}
"""
BOOK = "runbooks/mine.yaml"


@pytest.fixture
def minimal(tmp_path: Path) -> Project:
    """A project whose runbook has only what is required."""
    project = make_project(tmp_path / "mine", tmp_path / "violations")
    (project.root / "runbooks" / "atft-gat-fan.yaml").unlink()
    project.write(BOOK, MINIMAL)
    return project


def test_it_is_valid_and_the_notes_name_what_it_leaves_out(minimal: Project) -> None:
    ended = minimal.run("runbook", "lint", "--json")
    assert ended.code == 0 and not ended.json["data"]["problems"]
    notes = "\n".join(ended.json["data"]["notes"])
    assert all(f"left out: {part}:" in notes for part in ("features", "symptoms", "plans", "trainer.probe", "contacts"))
    minimal.write(BOOK, MINIMAL + FEATURE)
    assert "features" not in "\n".join(minimal.run("runbook", "lint", "--json").json["data"]["notes"])


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("rollback", "--symptom", "x", "--yes"), "symptoms"),
        (("rollback", "--staged", "--yes"), "symptoms"),
        (("rollback", "--bisect"), "symptoms"),
        (("rollback", "--immediate", "--yes"), "features"),
        (("rollback", "--feature", "x", "--yes"), "features"),
        (("reenable", "--status"), "plans"),
        (("reenable", "--next", "--yes"), "plans"),
        (("drill",), "drill"),
    ],
)
@pytest.mark.parametrize("with_feature", [False, True])
def test_what_is_missing_is_shown_as_an_example_that_can_be_pasted(
    minimal: Project, command: tuple[str, ...], key: str, with_feature: bool
) -> None:
    if with_feature and key == "features":
        pytest.skip("nothing is missing")
    book = MINIMAL + (FEATURE if with_feature else "")
    minimal.write(BOOK, book)
    ended = minimal.run(*command, "--json")
    error = ended.json["error"]
    assert ended.code == 3 and f"has no {key}" in error["message"]
    assert "nothing was changed; these work without it: atftctl" in error["state"]
    minimal.write(BOOK, book + "\n".join(error["lines"]) + "\n")
    linted = minimal.run("runbook", "lint", "--json")
    assert linted.code == 0, linted
    assert not any(f"left out: {key}:" in note for note in linted.json["data"]["notes"])


def test_the_example_keeps_its_indent_on_the_screen(minimal: Project) -> None:
    ended = minimal.run("rollback", "--immediate", "--yes")
    assert "\n  features:\n    ema:\n      file: configs/atft/config.yaml\n" in ended.err


def test_commands_that_need_no_more_work(minimal: Project) -> None:
    for command in ("status", "doctor", "history", "runbook show", "runbook render", "checkpoint list", "backup"):
        assert minimal.run(*command.split()).code == 0, command
    assert minimal.run("config", "set", "improvements.use_ema=false", "--yes").code == 0
    assert minimal.run("undo", "--yes").code == 0
    snapshot = minimal.run("backup", "list", "--json").json["data"]["snapshots"][0]["id"]
    minimal.write("models/last.pth", "damaged")
    assert minimal.run("rollback", "--to", snapshot, "--yes", "--no-restart").code == 0
    assert minimal.read("models/last.pth").startswith(b"last weights")


def test_the_pages_leave_out_the_sections_that_the_runbook_leaves_out(minimal: Project) -> None:
    assert minimal.run("runbook", "render").code == 0
    page = minimal.read("runbooks/mine.en.md").decode()
    assert page.startswith("# Rollback runbook of mine\n")
    assert "rollback --to last-good" in page
    assert not any(text in page for text in ("--symptom", "--immediate", "--full", "Contacts", "re-enabl"))


def test_without_a_probe_nothing_passes_and_nothing_is_recorded(minimal: Project) -> None:
    ended = minimal.run("verify", "--json")
    assert ended.code == 6
    checks = {check["name"]: check for check in ended.json["data"]["checks"]}
    assert {check["verdict"] for check in checks.values()} == {"inconclusive"}
    assert "trainer.probe" in checks["quality"]["detail"] and "trainer.probe" in checks["quality"]["hint"]
    effects = minimal.run("verify", "--effects", "--json")
    assert effects.code == 6 and "names no trainer.probe" in effects.json["error"]["message"], effects
    record = minimal.run("baseline", "record", "--json")
    assert record.code == 3 and "neither the probe nor the metrics" in record.json["error"]["message"], record
    assert minimal.run("baseline", "list", "--json").json["data"]["baselines"] == []


def test_immediate_sets_each_feature_to_its_baseline_and_a_title_is_the_name(minimal: Project) -> None:
    minimal.write(BOOK, MINIMAL + FEATURE)
    shown = minimal.run("status", "--json").json["data"]["features"]
    assert shown["ema"]["title"] == "ema"
    assert minimal.run("rollback", "--immediate", "--yes", "--no-restart").code == 0
    assert b"use_ema: false" in minimal.read("configs/atft/config.yaml")


def test_a_text_may_be_a_plain_string_or_in_one_language(minimal: Project) -> None:
    minimal.write(
        BOOK,
        MINIMAL
        + FEATURE
        + "symptoms:\n  slow: {title: Slow, cause: {ja: 遅い}, table: {ema: false}}\n"
        + "contacts: [{when: At night, how: {en: phone, ja: 電話}}]\n",
    )
    shown = minimal.run("runbook", "show", "--lang", "ja", "--json").json["data"]
    assert shown["symptoms"]["slow"]["title"] == "Slow" and shown["symptoms"]["slow"]["cause"] == "遅い"
    assert shown["contacts"] == ["At night: 電話"]
    assert minimal.run("runbook", "show", "--json").json["data"]["symptoms"]["slow"]["cause"] == "遅い"
    minimal.write(BOOK, MINIMAL + "contacts: [{when: [1], how: x}]\n")
    ended = minimal.run("runbook", "lint")
    assert ended.code == 1 and "a text was expected" in ended.out


def test_all_problems_are_shown_at_once(minimal: Project) -> None:
    minimal.write(BOOK, "version: 2\nfiles: {configs: []}\ntrainer: {command: []}\nfeature: {}\n")
    ended = minimal.run("runbook", "lint")
    assert ended.code == 1
    for part in ("reads version 1", "no file is listed", "trainer.command", "unknown key"):
        assert part in ended.out
    assert "left out" not in ended.out


def test_doctor_names_no_packages_of_our_trainer_and_status_no_name_twice(minimal: Project) -> None:
    minimal.write(BOOK, MINIMAL + FEATURE)
    names = {finding["name"] for finding in minimal.run("doctor", "--json").json["data"]["findings"]}
    assert names and not names & {"torch", "numpy", "pandas", "pyarrow"}
    assert minimal.run("status").out.count("ema") == 1
