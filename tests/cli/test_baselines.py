"""Several baselines: list, show, set, rm; names; the one file of before; damaged files; nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.projects import CONFIG, TRAINING, Project
from tests.support.today import some


def content(project: Project, **changes: Any) -> str:
    """A baseline as `baseline record` writes it."""
    baseline = {
        "version": 2,
        "recorded": "2026-11-20T10:00:00+09:00",
        "commit": "0123456789abcdef",
        "config_digest": "d" * 64,
        "configs": {name: project.read(name).decode() for name in (CONFIG, TRAINING)},
        "quality": {
            "horizon": 1,
            "by_date": {"2019-01-04": 0.03, "2019-01-07": 0.05},
            "mean": 0.04,
            "identity": {"panel": "p" * 64, "horizons": [1, 5], "first": "2019-01-04", "last": "2019-01-07", "evaluation": 3},
            "facts": {"stocks": 500},
            "weights": "w" * 64,
            "predictions": "q" * 64,
        },
        "cost": {"memory_mb": 321.0, "step_s": 0.045, "version": 2},
        "model": {"path": "models/best_model.pth", "sha256": "a" * 64},
    }  # fmt: skip
    return json.dumps({**baseline, **changes})


@pytest.fixture
def two(project: Project) -> Project:
    """`default`, which is in use, and `tokyo`."""
    for name in ("default", "tokyo"):
        project.write(f".atftctl/baselines/{name}.json", content(project))
    return project


def listed(project: Project) -> dict[str, dict[str, Any]]:
    done = project.run("baseline", "list", "--json")
    assert done.code == 0, done
    return {row["name"]: row for row in done.json["data"]["baselines"]}


def used(project: Project) -> str:
    in_use: str = project.run("baseline", "list", "--json").json["data"]["in_use"]
    return in_use


def test_none_yet(project: Project) -> None:
    done = project.run("baseline", "list")
    assert done.code == 0 and "no baseline yet" in done.out
    assert project.run("baseline", "show").code == 3
    assert project.run("baseline", "set", "tokyo").code == 2
    assert project.run("baseline", "rm", "tokyo", "--yes").code == 2
    assert not (project.root / ".atftctl/baselines").exists()


def test_list_show_and_set(two: Project) -> None:
    rows = listed(two)
    assert list(rows) == ["default", "tokyo"] and rows["default"]["in_use"] and not rows["tokyo"]["in_use"]
    assert (
        rows["tokyo"]["quality"] == 0.04
        and rows["tokyo"]["facts"] == {"stocks": 500}
        and rows["tokyo"]["last"] == "2019-01-07"
    )
    shown = two.run("baseline", "show", "tokyo")
    assert shown.code == 0 and "not in use" in shown.out and "321.0 MB" in shown.out and "evaluation 3" in shown.out
    dry = two.run("baseline", "set", "tokyo", "--dry-run")
    assert dry.code == 0 and used(two) == "default", dry
    done = two.run("baseline", "set", "tokyo")
    assert done.code == 0 and "to go back: atftctl baseline set default" in done.out and used(two) == "tokyo"
    assert two.run("baseline", "set", "tokyo").code == 0
    unknown = two.run("baseline", "set", "tokio")
    assert unknown.code == 2 and "did you mean tokyo?" in unknown.err and used(two) == "tokyo"


def test_rm_refuses_the_one_in_use_and_says_that_it_can_not_be_undone(two: Project) -> None:
    refused = two.run("baseline", "rm", "default", "--yes")
    assert refused.code == 3 and "--force" in refused.err and "default" in listed(two)
    asked = two.run("baseline", "rm", "tokyo")
    assert asked.code == 3 and "tokyo" in listed(two), "no terminal to ask, and no --yes"
    dry = two.run("baseline", "rm", "tokyo", "--dry-run")
    assert "this can't be undone" in dry.out and "tokyo" in listed(two)
    assert two.run("baseline", "rm", "tokyo", "--yes").code == 0 and list(listed(two)) == ["default"]
    assert two.run("baseline", "rm", "default", "--force", "--yes").code == 0
    assert not listed(two) and used(two) == ""


def test_a_forced_removal_does_not_choose_another_one(two: Project) -> None:
    assert two.run("baseline", "set", "tokyo").code == 0
    assert two.run("baseline", "rm", "tokyo", "--force", "--yes").code == 0
    assert used(two) == "" and list(listed(two)) == ["default"]
    assert "no baseline is in use" in two.run("baseline", "list").out


@pytest.mark.parametrize(
    "name", ["../../configs/x", "..", ".in-use", "a/b", "", " ", "-", "x" * 65, "名前", "a\nb", "/etc/passwd"]
)
def test_a_name_is_no_path(two: Project, name: str) -> None:
    before = two.tree()
    for command in (("set", "--"), ("rm", "--yes", "--force", "--")):
        done = two.run("baseline", *command, name)
        assert done.code == 2, (name, done)
    done = two.run("baseline", "record", "--force", "--name", name or "/")
    assert done.code == 2 and "can't be the name of a baseline" in done.err, done
    assert two.tree() == before


def test_the_one_file_of_before_is_read_and_moved_by_the_next_change(project: Project) -> None:
    project.write(".atftctl/baseline.json", content(project))
    assert list(listed(project)) == ["default"] and used(project) == "default"
    assert (project.root / ".atftctl/baseline.json").exists(), "looking changes nothing"
    assert project.run("baseline", "set", "default").code == 0
    project.write(".atftctl/baselines/tokyo.json", content(project))
    assert project.run("baseline", "set", "tokyo").code == 0
    assert not (project.root / ".atftctl/baseline.json").exists()
    assert list(listed(project)) == ["default", "tokyo"]
    assert project.run("baseline", "show", "default").code == 0


def test_a_baseline_of_the_first_version_is_read(project: Project) -> None:
    """It had the quality under the name of one service's metric, and the number of its stocks beside it."""
    body = json.loads(content(project))
    part = {**body.pop("quality"), "stocks": 500}
    part.pop("facts")
    project.write(".atftctl/baselines/default.json", json.dumps({**body, "version": 1, "any_name": part}))
    row = listed(project)["default"]
    assert (row["quality"], row["pairs"], row["pair_by"], row["first"]) == (0.04, 2, "date", "2019-01-04"), row
    assert "evaluation 3" in project.run("baseline", "show").out


@pytest.mark.parametrize(
    "damage", some(["", "[", "[]", "{}", '{"version": 9}', "\0" * 50, '{"version": 1, "cost": {}}', "[" * 200_000], 2)
)
def test_a_damaged_baseline_is_listed_as_such_and_can_be_removed(two: Project, damage: str) -> None:
    two.write(".atftctl/baselines/tokyo.json", damage)
    done = two.run("baseline", "list")
    assert done.code == 0 and "tokyo can't be used" in done.out, done
    assert two.run("baseline", "show", "tokyo").code == 3
    assert two.run("baseline", "set", "tokyo").code == 3 and used(two) == "default"
    assert two.run("baseline", "rm", "tokyo", "--yes").code == 0 and list(listed(two)) == ["default"]


@pytest.mark.parametrize("damage", some(["", "[]", '{"name": 3}', '{"name": "../x"}', '{"name": "gone"}', "{"], 2))
def test_verify_says_so_where_it_is_not_known_which_is_in_use(two: Project, damage: str) -> None:
    two.write(".atftctl/baselines/.in-use", damage)
    done = two.run("verify", "--check", "errors")
    assert done.code == 3 and ("baseline set NAME" in done.err), done
    assert two.run("baseline", "list").code == 0 and two.run("doctor").code in (0, 1)
    assert two.run("baseline", "set", "tokyo").code == 0 and used(two) == "tokyo"


def test_links_and_pipes_in_the_place_of_a_baseline(two: Project) -> None:
    import os

    path = two.root / ".atftctl/baselines/tokyo.json"
    path.unlink()
    path.symlink_to("/etc/passwd")
    refused = two.run("baseline", "list")
    assert refused.code == 3 and f"rm {path}" in refused.err, "a symlink could be anybody's"
    path.unlink()
    os.mkfifo(two.root / ".atftctl/baselines/pipe.json")
    (two.root / ".atftctl/baselines/folder.json").mkdir()
    done = two.run("baseline", "list", limit_s=120)
    assert done.code == 0 and all(f"{name} can't be used" in done.out for name in ("pipe", "folder")), done
