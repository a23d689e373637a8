"""`atftctl metrics`, and the newest metrics in `status`."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.cli.test_golden_screens import LAUNCH, in_terminal
from tests.support.metrics import FILE, events, row, write
from tests.support.needs import needs
from tests.support.projects import RUNBOOK, Project
from tests.support.today import some

pytestmark = needs("pyarrow")


def test_nothing_was_written_yet(project: Project) -> None:
    for arguments in ((), ("--tail", "5"), ("--summary",)):
        done = project.run("metrics", *arguments)
        assert done.code == 0 and "there are no metrics yet" in done.out, done
    assert "rankic" not in project.run("status").out
    project.write("logs/metrics.csv", "Step,loss\n1,0.5\n")
    for arguments in ((), ("--tail", "5")):
        out = project.run("metrics", *arguments).out
        assert "logs/metrics.csv has no header with a column step" in out and "no metrics yet" not in out
        assert "torn" not in out and "2 lines were left out" in out


def test_branches_and_what_they_cost(project: Project) -> None:
    write(project, (1, 1, 100), (2, 61, 80), (3, 71, 90))
    events(project, (1, 0, 100), (2, 60, 80), (3, 70, 90))
    done = project.run("metrics", "--json")
    data = done.json["data"]
    assert done.json["data"]["headline"] == "140 rows, 3 branches, 50 steps were discarded (25.0 s of training)"
    assert [(b["name"], b["kept_to"], b["discarded"], b["cost_s"]) for b in data["branches"]] == [
        ("1", 60, 40, 20.0), ("2", 70, 10, 5.0), ("3", 90, 0, 0.0),
    ]  # fmt: skip
    assert data["branches"][1]["started"] == "2025-11-30T11:53:20+00:00"
    assert data["branches"][1]["came_from"] == "1" and data["branches"][1]["resumed_at"] == 60
    assert data["rows"] == 90 and set(data["curves"]) == {"quality", "loss", "memory", "step_time"}
    assert data["curves"]["loss"]["steps"][-1] == 90 and len(data["curves"]["quality"]["steps"]) == 9
    assert data["columns"][:4] == ["step", "generation", "loss", "loss_rel"]
    text = project.run("metrics").out
    assert "discarded after step 60: 40 steps (20.0 s)" in text and "2025-11-30 11:53" in text


def test_selections(project: Project) -> None:
    write(project, (1, 1, 100), (2, 61, 80))
    events(project, (1, 0, 100), (2, 60, 80))
    rows = {
        name: project.run("metrics", "--json", *arguments).json["data"]["rows"]
        for name, arguments in {
            "history": (), "1": ("--generation", "1"), "last": ("--generation", "last"), "all": ("--generation", "all"),
            "since": ("--since", "2025-11-30T11:53:25Z"), "future": ("--since", "2126-01-01"),
        }.items()
    }  # fmt: skip
    assert rows == {"history": 80, "1": 100, "last": 20, "all": 120, "since": 11, "future": 0}
    assert project.run("metrics", "--since", "2126-01-01").code == 0
    assert project.run("metrics", "--since", "2126-01-01", "--summary").code == 0
    unknown = project.run("metrics", "--generation", "9")
    assert unknown.code == 2 and "known: last, all, 2, 1" in unknown.err
    assert project.run("metrics", "--since", "some day").code == 2
    assert project.run("metrics", "--tail", "3", "--summary").code == 2


def test_the_newest_rows(project: Project) -> None:
    write(project, (1, 1, 30), (2, 21, 25), extra="26,0,1")
    done = project.run("metrics", "--tail", "3", "--json")
    assert [(r["step"], r["generation"]) for r in done.json["data"]["tail"]] == [(23, 2), (24, 2), (25, 2)]
    assert done.json["data"]["set_aside"]["unfinished"] == 1
    old = project.run("metrics", "--tail", "2", "--generation", "1", "--json").json["data"]["tail"]
    assert [r["step"] for r in old] == [29, 30]
    piped = project.run("metrics", "--tail", "3").out.splitlines()
    assert piped[-1].split("\t")[0] == "25" and piped[-4].startswith("step\tgeneration\tloss\t")


def test_summaries_by_branch(project: Project) -> None:
    write(project, (1, 1, 30), (2, 21, 25), extra=row(26, 2, loss="nan") + "\n" + row(27, 2, loss="oops") + "\n")
    data = project.run("metrics", "--summary", "--json").json["data"]
    assert [summary["branch"] for summary in data["summaries"]] == ["1", "2"]
    loss = data["summaries"][1]["columns"]["loss"]
    assert (loss["count"], loss["missing"], loss["non_finite"]) == (6, 1, 1)
    assert loss["last"] == "nan" and loss["min"] == pytest.approx(1.04) and data["set_aside"]["not_numbers"] == 1
    assert data["summaries"][0]["columns"]["rankic_h1"]["count"] == 3
    text = project.run("metrics", "--summary").out
    assert "1 value was left out: it is not a number" in text and "branch 2: steps 21-27, 7 rows" in text


def test_screens_of_80_columns(project: Project) -> None:
    write(project, (1, 1, 400), (2, 301, 900))
    events(project, (1, 0, 400), (2, 300, 900))
    env = {**project.env, "TERM": "xterm", "NO_COLOR": "1"}
    for arguments in (["metrics"], ["metrics", "--tail", "5"], ["metrics", "--summary"], ["status"]):
        for size in some(((24, 80), (24, 60), (40, 120)), 1):
            shown = in_terminal(["-c", LAUNCH, *arguments], project, env, size, "")
            assert "Traceback" not in shown
    shown = in_terminal(["-c", LAUNCH, "metrics"], project, env, (24, 80), "")
    assert "RankIC@1d:" in shown and any(0x2800 < ord(character) < 0x2900 for character in shown)
    plain = in_terminal(["-c", LAUNCH, "metrics"], project, {**env, "LANG": "C", "LC_ALL": "C"}, (24, 80), "")
    assert not any(0x2800 <= ord(character) < 0x2900 for character in plain)
    tail = in_terminal(["-c", LAUNCH, "metrics", "--tail", "5"], project, env, (24, 80), "")
    assert "not shown, for lack of room" in tail


def test_the_picture(project: Project, tmp_path: Path) -> None:
    write(project, (1, 1, 100))
    file = tmp_path / "metrics.svg"
    done = project.run("metrics", "--plot", str(file))
    assert done.code == 0 and f"wrote the curves to {file}" in done.out
    assert ET.fromstring(file.read_bytes()).tag.endswith("svg")
    assert project.run("metrics", "--plot", str(file), "--json").json["data"]["plot"] == str(file)
    assert [path.name for path in tmp_path.glob("*.tmp")] == []


def test_the_picture_overwrites_nothing_else(project: Project, tmp_path: Path) -> None:
    write(project, (1, 1, 10))
    before = project.tree()
    target = tmp_path / "target"
    target.write_text("precious")
    link, pipe, folder = tmp_path / "link.svg", tmp_path / "pipe.svg", tmp_path / "folder.svg"
    link.symlink_to(target)
    os.mkfifo(pipe)
    folder.mkdir()
    for path, code in ((link, 3), (pipe, 3), (folder, 3), (tmp_path / "no" / "such.svg", 3)):
        done = project.run("metrics", "--plot", str(path))
        assert done.code == code and "picture" in done.err, done
    for name in ("configs/atft/config.yaml", "models/last.pth", "metrics.png", ""):
        assert project.run("metrics", "--plot", name).code == 2
    assert project.run("metrics", "--plot", "a.svg", "--tail", "3").code == 2
    assert target.read_text() == "precious" and project.tree() == before


def test_no_picture_of_nothing(project: Project, tmp_path: Path) -> None:
    done = project.run("metrics", "--plot", str(tmp_path / "a.svg"))
    assert done.code == 0 and "nothing to draw" in done.out and not (tmp_path / "a.svg").exists()


def test_nothing_is_changed(project: Project) -> None:
    write(project, (1, 1, 50))
    before = project.tree()
    for arguments in ((), ("--summary",), ("--tail", "3")):
        assert project.run("metrics", *arguments).code == 0
    assert project.tree() == before


def test_a_pipe_in_place_of_the_file(project: Project) -> None:
    (project.root / "logs").mkdir()
    os.mkfifo(project.root / FILE)
    done = project.run("metrics", limit_s=60)
    assert done.code == 3 and "not a regular file" in done.err
    assert project.run("status", limit_s=60).code == 0


def test_without_pyarrow_the_newest_rows_are_still_shown(project: Project) -> None:
    write(project, (1, 1, 50))
    blocked = {"ATFTCTL_TEST_BLOCK": "pyarrow pandas numpy torch"}
    done = project.run("metrics", env=blocked)
    assert done.code == 3 and "pip install numpy pyarrow" in done.err and "--tail" in done.err
    assert project.run("metrics", "--tail", "5", env=blocked).code == 0
    status = project.run("status", env=blocked)
    assert status.code == 0 and "relative loss: 1.02" in status.out


def test_status_shows_only_the_newest_start(project: Project) -> None:
    write(project, (1, 1, 100), (2, 61, 90))
    recent = project.run("status", "--json").json["data"]["recent"]
    assert recent["loss"]["steps"][0] == 61 and len(recent["loss"]["steps"]) == 30
    assert recent["quality"]["steps"] == [70, 80, 90] and "step_time" not in recent


def test_names_come_from_the_runbook(project: Project) -> None:
    project.write(FILE, "step,accuracy,cost\n" + "".join(f"{step},0.{step},2\n" for step in range(1, 10)))
    text = project.read(RUNBOOK).decode()
    begin, end = text.index("\nmetrics:\n"), text.index("\n# Tolerances of")
    rules = "metrics:\n  columns:\n    accuracy: {title: hits, unit: '%', better: higher}\n  quality: accuracy\n"
    project.write(RUNBOOK, f"{text[:begin]}\n{rules}{text[end:]}")
    done = project.run("metrics", "--json")
    assert done.code == 0 and list(done.json["data"]["curves"]) == ["quality"], done
    assert done.json["data"]["curves"]["quality"]["title"] == "hits"
    assert "hits: 0.9 %" in project.run("status").out
