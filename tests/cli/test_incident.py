"""`atftctl incident`: the page of an operation as HTML, Markdown, JSON and text."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from atftctl.cli.render import incident_markdown as rendered
from atftctl.protocol.messages import tr
from tests.support.incidents import HEADER, REASON, history, rewrite, roll_back, rows, write
from tests.support.metrics import FILE, row
from tests.support.pages import Page
from tests.support.projects import CONFIG, RUNBOOK, Project, make_project
from tests.support.recovery import plant_record

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\u202e|`@all #1 http://x.y\n</style>&amp;"


def page(project: Project, *arguments: str) -> Page:
    done = project.run("incident", "--html", "page.html", "--force", *arguments)
    assert done.code == 0, done
    return Page(project.read("page.html"))


def markdown(project: Project, *arguments: str) -> str:
    done = project.run("incident", "--markdown", "-", *arguments)
    assert done.code == 0, done
    return done.out


def read_markdown(text: str) -> None:
    """As a tracker reads it: no markup but ours, the tables are whole, and nothing outside of code spans is active."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text.partition("\n")[2])
    inner = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in [*tokens, *inner]}
    assert not kinds & {
        "html_block",
        "html_inline",
        "image",
        "link_open",
        "em_open",
        "blockquote_open",
        "code_block",
    }, kinds
    words = " ".join(child.content for child in inner if child.type == "text")
    assert not re.search(r"@all|#1|://|\|", words), words
    kind = [token.type for token in tokens]
    heads = [index for index, name in enumerate(kind) if name == "thead_open"]
    assert heads
    for begin in heads:
        table = kind[begin : kind.index("table_close", begin)]
        assert table.count("td_open") == table.count("th_open") * (table.count("tr_open") - 1)


def data(project: Project, *arguments: str) -> dict[str, object]:
    done = project.run("incident", "--json", *arguments)
    assert done.code == 0, done
    operations = done.json["data"]["operations"]
    assert len(operations) == 1
    return dict(operations[0])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after a rollback; its trainer was stopped."""
    folder = tmp_path_factory.mktemp("template")
    made = make_project(folder / "project", folder / "violations")
    roll_back(made, rows(1, 1, 400), rows(2, 201, 260))
    return made


@pytest.fixture
def rolled_back(template: Project, tmp_path: Path) -> Project:
    shutil.copytree(template.root, tmp_path / "project", symlinks=True)
    return replace(template, root=tmp_path / "project")


def test_the_page_tells_the_whole_story(rolled_back: Project) -> None:
    line = next(line for line in history(rolled_back) if line["command"] == "rollback")
    before = rolled_back.tree()
    seen = page(rolled_back)
    for text in (
        f"atftctl undo {line['operation']}", REASON, line["operator"], "improvements.use_ema", "configs/atft/config.yaml",
        "the trainer reported oom", "the trainer made step 1", "training steps given up", "RankIC@1d", "memory (MB)",
        "relative loss", "Slack #ml-alerts", "step 1 of run", line["snapshot"],
    ):  # fmt: skip
        assert text in seen.text, text
    assert seen.source.count("<svg") == 3 and "loads nothing" in seen.text
    told = markdown(rolled_back)
    assert told.startswith("<!-- atftctl incident") and "| `improvements.use_ema` | `true` | `false` |" in told
    short = rolled_back.run("incident").out
    assert "improvements.use_ema: true → false" in short and f"undo: atftctl undo {line['operation']}" in short
    found = data(rolled_back)
    assert found["settings"] == [
        {"file": CONFIG, "key": f"improvements.{name}", "before": "true", "after": "false"}
        for name in ("use_ema", "online_normalization")
    ]
    assert {role: (curve["before"]["last_step"], curve["after"]["first_step"]) for role, curve in found["curves"].items()} == {  # type: ignore[attr-defined]
        "loss": (400, 201), "quality": (400, 201), "memory": (400, 201),
    }  # fmt: skip
    assert found["missing"] == ["a passing verify of the files that this operation wrote; next: atftctl verify"]
    (rolled_back.root / "page.html").unlink()
    assert rolled_back.tree() == before


def test_in_japanese(rolled_back: Project) -> None:
    seen = page(rolled_back, "--lang", "ja")
    assert '<html lang="ja">' in seen.source and "経過" in seen.text and "取り消し方" in seen.text
    assert "Settings before and after" not in seen.text and "連絡先" in markdown(rolled_back, "--lang", "ja")


def test_the_newest_incident_is_the_default_and_several_make_one_page(rolled_back: Project) -> None:
    first = next(line["operation"] for line in history(rolled_back) if line["command"] == "rollback")
    assert rolled_back.run("undo", "--yes", "--no-restart").code == 0
    assert rolled_back.run("backup", "create").code == 0
    second = next(line["operation"] for line in history(rolled_back) if line["command"] == "undo")
    assert data(rolled_back)["operation"] == second
    undone = data(rolled_back, first)
    assert undone["undo"] == {"command": "", "note": f"it was undone by {second}"}
    assert any("ran undo" in moment["text"] for moment in undone["timeline"])  # type: ignore[attr-defined]
    seen = page(rolled_back, second, first)
    assert "Incident: 2 operations" in seen.text and seen.text.index(first) < seen.text.index(f"atftctl undo {second}")
    assert data(rolled_back, "")["operation"] == second
    missing = rolled_back.run("incident", "2025")
    assert missing.code == 2 and "there is no operation '2025'" in missing.err


def test_no_operation_yet(project: Project) -> None:
    done = project.run("incident", "--html", "page.html")
    assert done.code == 3 and "there is no operation yet" in done.err and not (project.root / "page.html").exists()


def test_no_metrics_at_all(project: Project) -> None:
    assert project.run("rollback", "--symptom", "oom", "--yes", "--no-restart").code == 0
    found = data(project)
    assert found["curves"] == {} and "the curves: there are no metrics" in found["missing"]  # type: ignore[operator]
    seen = page(project)
    assert "There is nothing to draw." in seen.text and "<svg" not in seen.source and "no metrics" in seen.text


def test_values_that_are_not_finite_and_gaps(project: Project) -> None:
    before = rows(1, 1, 1000)
    before[499] = row(500, 1, loss_rel="nan")
    before[599] = row(600, 1, loss_rel=77.5)
    before[799:899] = []
    roll_back(project, before, [row(step, 2, loss_rel="inf") for step in range(901, 950)])
    loss = data(project)["curves"]["loss"]  # type: ignore[index]
    drawn = {step: value for line in loss["before"]["lines"] for step, value in line}
    assert loss["before"]["broken"] == [500] and drawn[600] == 77.5 and len(loss["before"]["lines"]) == 3
    assert loss["after"]["lines"] == [] and loss["after"]["bad"] == 49 and loss["after"]["last"] == "inf"
    seen = page(project)
    assert 'class="b"' in seen.source and "49 values are not finite" in seen.text


@pytest.mark.parametrize(
    "lost", ["plan.json", "process.json", "logs__metrics.csv", "change.diff", CONFIG.replace("/", "__"), ""]
)
def test_evidence_that_is_half_there(rolled_back: Project, lost: str) -> None:
    folder = next((rolled_back.root / ".atftctl/operations").iterdir())
    if lost:
        (folder / lost).unlink()
    else:
        shutil.rmtree(folder)
    found = data(rolled_back)
    said = " ".join(found["missing"])  # type: ignore[arg-type]
    expected = {
        "process.json": "state of the trainer",
        "logs__metrics.csv": "evidence has no metrics",
        "": "the evidence: .atftctl/operations",
    }
    assert expected.get(lost, "" if "__" in lost else lost) in said
    assert len(found["settings"]) == 2 and found["undo"]["command"]  # type: ignore[arg-type,index]
    page(rolled_back)
    assert set(found["curves"]) == {"loss", "quality", "memory"}  # type: ignore[call-overload]


def test_evidence_that_is_no_evidence(rolled_back: Project) -> None:
    folder = next((rolled_back.root / ".atftctl/operations").iterdir())
    for name in os.listdir(folder):
        (folder / name).unlink()
    os.mkfifo(folder / "plan.json")
    (folder / "process.json").symlink_to("/etc/passwd")
    (folder / "change.diff").mkdir()
    (folder / "diagnosis.txt").write_bytes(b"\xff\x00\x1b[2J")
    (folder / "logs__metrics.csv").write_bytes(b"step,loss_rel\n\xff,1\n1,2,3\n,\n")
    (folder / "logs__events.jsonl").write_bytes(
        b'{"event":"oom","t":1}\n{"event":5}\n[]\n\xff\n{"event":"stopped","t":1e400}\n'
    )
    seen = page(rolled_back)
    assert "plan.json, process.json, change.diff" in seen.text and "root:" not in seen.text


def test_rows_that_are_gone_come_from_the_evidence(rolled_back: Project) -> None:
    write(rolled_back, rows(9, 1, 50))
    found = data(rolled_back)
    loss = found["curves"]["loss"]  # type: ignore[index]
    assert (loss["before"]["last_step"], loss["after"]["count"]) == (400, 0)
    assert any("no longer in logs/metrics.csv" in text for text in found["missing"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("resumed", [(301, 360), (401, 460)])
def test_rows_without_a_generation(project: Project, resumed: tuple[int, int]) -> None:
    def plain(first: int, last: int) -> list[str]:
        return [row(step) for step in range(first, last + 1)]

    before = plain(1, 400)
    line = roll_back(project, before, [])
    rewrite(project, first_step={**line["first_step"], "step": resumed[0]})
    write(project, [*before, *plain(*resumed)])
    loss = data(project)["curves"]["loss"]  # type: ignore[index]
    assert (loss["before"]["first_step"], loss["before"]["last_step"]) == (1, 400)
    assert (loss["after"]["first_step"], loss["after"]["last_step"]) == resumed


def test_rows_in_a_rotated_file_and_a_long_one(project: Project) -> None:
    roll_back(project, rows(1, 1, 3000), [])
    (project.root / FILE).rename(project.root / f"{FILE}.1")
    write(project, rows(2, 2001, 2500))
    loss = data(project)["curves"]["loss"]  # type: ignore[index]
    assert (loss["before"]["first_step"], loss["before"]["last_step"], loss["before"]["count"]) == (1, 3000, 3000)
    assert (loss["after"]["first_step"], loss["after"]["last_step"]) == (2001, 2500)


def test_fifty_thousand_rows(project: Project) -> None:
    before = rows(1, 1, 49_000)
    before[30_000] = row(30_001, 1, loss_rel=55.0)
    roll_back(project, before, rows(2, 48_000, 49_000))
    page(project)
    assert (project.root / "page.html").stat().st_size < 200_000
    loss = data(project)["curves"]["loss"]  # type: ignore[index]
    assert loss["before"]["count"] + loss["after"]["count"] == 50_001 and loss["before"]["greatest"] == 55.0
    assert 55.0 in [value for line in loss["before"]["lines"] for _, value in line]


def test_names_with_scripts_in_every_field(rolled_back: Project) -> None:
    line = next(line for line in history(rolled_back) if line["command"] == "rollback")
    folder = rolled_back.root / ".atftctl/operations" / line["operation"]
    event = {**line["first_step"], "event": EVIL, "run_id": EVIL, "digest": EVIL, "step": EVIL}
    rewrite(
        rolled_back, title=EVIL, reason=EVIL, operator=EVIL, outcome=EVIL, verdict=EVIL, changes=[f"{EVIL}: {EVIL} → {EVIL}"],
        files=[{"path": "<script>.yaml", "old": EVIL, "new": EVIL, "mode": 420}], first_step=event,
        about={EVIL: EVIL, "rehearsal": {"verdict": EVIL, "text": EVIL}, "gate": [EVIL], "list": [EVIL]}, parts={EVIL: 1.0, "stop": 2},
    )  # fmt: skip
    (folder / "plan.json").write_text(json.dumps({"steps": [EVIL]}))
    (folder / "process.json").write_text(json.dumps({"state": EVIL, "run_id": EVIL, "step": 3}))
    (folder / "change.diff").write_text(f"+{EVIL}\n-a: {EVIL}")
    (folder / "diagnosis.txt").write_text(EVIL)
    (folder / EVIL.replace("/", "")).touch()
    fault = {"v": 1, "event": "oom", "t": 1.7e9, "pid": 1, "run_id": EVIL, "step": 3, "message": EVIL, "quantity": EVIL}
    (folder / "logs__events.jsonl").write_text(json.dumps(fault) + "\n")
    (rolled_back.root / "logs/events.jsonl").unlink()
    rolled_back.replace(RUNBOOK, "service: ATFT-GAT-FAN", f"service: {json.dumps(EVIL)}")
    rolled_back.replace(
        RUNBOOK, "rss_mb: {title: memory, unit: MB", f"rss_mb: {{title: {json.dumps(EVIL)}, unit: {json.dumps(EVIL)}"
    )
    evil = f"{{en: {json.dumps(EVIL)}, ja: {json.dumps(EVIL)}}}"
    contacts = rolled_back.read(RUNBOOK).decode().split("\ncontacts:\n")
    rolled_back.write(RUNBOOK, f"{contacts[0]}\ncontacts:\n  - when: {evil}\n    how: {evil}\n")
    assert rolled_back.run("runbook", "lint").code == 0, rolled_back.run("runbook", "lint")
    seen = page(rolled_back)
    assert seen.text.count("<script>alert(1)</script>") > 25 and "<svg" in seen.source
    told = markdown(rolled_back)
    assert "\x1b" not in told and "\u202e" not in told
    read_markdown(told)
    for text in (rolled_back.run("incident").out, rolled_back.run("incident", "--json").out):
        assert "\x1b" not in text and "\u202e" not in text


def test_secrets_are_masked(project: Project) -> None:
    project.replace(
        CONFIG, "improvements:", "hub:\n  api_key: sk-verysecret1\n  url: https://me:pw123@host/x\nimprovements:"
    )
    assert (
        project.run(
            "rollback", "--symptom", "oom", "--yes", "--no-restart", "--reason", "token=ghp_0123456789abcdef0123 used"
        ).code
        == 0
    )
    backup = history(project)[-1]["snapshot"]
    project.replace(CONFIG, "sk-verysecret1", "sk-verysecret2")
    project.replace(CONFIG, "pw123", "pw456")
    assert project.run("rollback", "--to", backup, "--yes", "--no-restart").code == 0
    told = [page(project).source, markdown(project), project.run("incident", "--json").out, project.run("incident").out]
    first = next(line["operation"] for line in history(project) if line["command"] == "rollback")
    told += [page(project, first).source, markdown(project, first)]
    for text in told:
        assert not any(word in text for word in ("verysecret", "pw123", "pw456", "ghp_")), text
    assert "hub.api_key" in told[0] and "***" in told[0]


def test_an_operation_of_another_project_version(rolled_back: Project) -> None:
    """An older atftctl wrote fewer fields; the runbook has other columns by now, and is broken in the end."""
    line = rewrite(rolled_back, parts=None, about=None, first_step=None, future={"x": 1})
    lines = history(rolled_back)
    for each in lines:
        for name in ("parts", "about", "first_step", "generation", "verdict", "exit_code"):
            each.pop(name, None)
    rolled_back.write(".atftctl/history.jsonl", "".join(json.dumps(each) + "\n" for each in lines))
    rolled_back.replace(RUNBOOK, "    loss: {", "    other_loss: {")
    rolled_back.replace(RUNBOOK, "  loss: loss_rel\n", "  loss: other_loss\n")
    found = data(rolled_back, line["operation"])
    assert "the curve of loss: the metrics have no column other_loss" in found["missing"]  # type: ignore[operator]
    assert any("times of the parts" in text for text in found["missing"])  # type: ignore[attr-defined]
    assert set(found["curves"]) == {"quality", "memory"}  # type: ignore[call-overload]
    page(rolled_back)
    rolled_back.write(RUNBOOK, "version: 99\n")
    seen = page(rolled_back)
    assert "version" in seen.text and "improvements.use_ema" in seen.text


def test_verify_that_passed_later_is_a_check_with_its_evidence(rolled_back: Project) -> None:
    line = next(line for line in history(rolled_back) if line["command"] == "rollback")
    digests = {file["path"]: file["new"] for file in line["files"]}
    passed = {"at": "2126-01-01T00:00:00+00:00", "digests": digests, "checks": {"memory": "251 MB, baseline 250 MB"}}
    earlier = {**passed, "at": "2025-01-01T00:00:00+00:00", "checks": {"memory": "from before"}}
    other = {**passed, "digests": {**digests, CONFIG: "0" * 64}, "checks": {"memory": "of other files"}}
    rolled_back.write(".atftctl/verified.jsonl", "".join(json.dumps(each) + "\n" for each in (passed, earlier, other)))
    found = data(rolled_back)
    assert {"name": "memory", "verdict": "pass", "evidence": "251 MB, baseline 250 MB", "at": passed["at"]} in found[
        "checks"
    ]  # type: ignore[operator]
    assert found["missing"] == [] and "of other files" not in page(rolled_back).text


def test_an_operation_that_is_not_finished_is_said_to_be_missing(rolled_back: Project) -> None:
    plant_record(rolled_back, "", {})
    for told in (page(rolled_back).text, rolled_back.run("incident").out):
        assert "the newest operation, 20260101_000000-0000: it is not finished" in told


@pytest.mark.parametrize("value", [r"a\| @all #1", r"a\\| @all", "a|b", "|", "\\", "`|` @all"])
def test_no_value_leaves_its_cell(value: str) -> None:
    """GitHub splits the row before it reads code spans, and takes a backslash before a backslash as an escape."""
    row = "".join(rendered._table(("head",), [[rendered.code(value)]])).partition("---|")[2]
    assert len(re.findall(r"(?:\\.|[^|])+", row.strip("| ") if value != "|" else row[2:-2])) == 1, row


@pytest.mark.parametrize("name", ["!12", "~bug", "%v1", "&4", "$9", "GH-7", "[issue:1]", "#name", "ABCDEF1234"])
def test_no_text_is_a_reference_of_a_tracker(name: str) -> None:
    assert rendered.text(tr("{operator} ran it", operator=name)).startswith("`")


def test_only_a_page_of_ours_is_replaced(rolled_back: Project) -> None:
    for option, name in (("--html", "page.html"), ("--markdown", "README.md")):
        path = rolled_back.root / name
        path.write_text("# by hand\n")
        done = rolled_back.run("incident", option, name)
        assert done.code == 3 and "--force" in done.err and path.read_text() == "# by hand\n", done
        assert rolled_back.run("incident", option, name, "--force").code == 0
        assert rolled_back.run("incident", option, name).code == 0 and "by hand" not in path.read_text()
    for option, name in (
        ("--html", CONFIG),
        ("--markdown", "page.html"),
        ("--html", "no/such/page.html"),
        ("--html", "page"),
    ):
        assert rolled_back.run("incident", option, name).code == 2, name
    secret = rolled_back.root / "secret.html"
    secret.write_text("x")
    (rolled_back.root / "link.html").symlink_to(secret)
    (rolled_back.root / "folder.html").mkdir()
    os.mkfifo(rolled_back.root / "pipe.html")
    for name in ("link.html", "folder.html", "pipe.html"):
        done = rolled_back.run("incident", "--html", name, "--force")
        assert done.code == 3 and "regular file" in done.err, done
    assert secret.read_text() == "x"
    assert rolled_back.run("incident", "--html", "-", "--json").code == 2
    assert rolled_back.run("incident", "--html", "-", "--markdown", "-").code == 2
    both = rolled_back.run("incident", "--html", "new.html", "--markdown", "new.md", "--json").json["data"]
    assert (both["html"], both["markdown"]) == ("new.html", "new.md")
    out = rolled_back.run("incident", "--html", "-").out
    assert out.startswith("<!DOCTYPE html>") and out.endswith("</html>\n")


def test_it_needs_no_further_package(rolled_back: Project, tmp_path: Path) -> None:
    done = rolled_back.run("incident", "--html", "page.html", env={"ATFTCTL_TEST_BLOCK": "torch pandas numpy pyarrow"})
    assert done.code == 0, done
    assert HEADER.encode() in next((rolled_back.root / ".atftctl/operations").glob("*/logs__metrics.csv")).read_bytes()


def test_a_page_stays_small_whatever_the_records_hold(rolled_back: Project) -> None:
    """Many settings, long texts, many operations: less is shown, and that is said."""
    long = "<&>" * 200
    lines = history(rolled_back)
    line = next(line for line in lines if line["command"] == "rollback")
    names = [f"20261130_1015{number:02}-abcd" for number in range(12)]
    changes = [f"key{number}.{long}: {long} → {long}" for number in range(100)]
    about = {f"{number}{long}": long for number in range(50)}
    copies = [{**line, "operation": name, "changes": changes, "about": about, "reason": long} for name in names]
    for copy in copies:
        copy["files"] = [{**line["files"][0], "path": f"gone{number}.yaml"} for number in range(100)]
    rolled_back.write(".atftctl/history.jsonl", "".join(json.dumps(each) + "\n" for each in [*lines, *copies]))
    for chosen in (names[:1], names):
        seen = page(rolled_back, *chosen)
        assert len(seen.source.encode()) <= 200_000, len(seen.source)
        assert "--json lists all" in seen.text and all(f"atftctl undo {name}" in seen.text for name in chosen)


def test_without_an_operation_it_says_what_to_do(project: Project) -> None:
    none = project.run("incident")
    assert none.code == 3 and "atftctl status" in none.err, none
    assert project.run("trainer", "start").code == 0
    still = project.run("incident")
    assert still.code == 3 and "atftctl status" in still.err, "a start of the trainer is no incident"


def test_a_verify_that_failed_after_it_is_on_the_page(rolled_back: Project) -> None:
    log = rolled_back.root / "logs/training.log"
    log.write_text(f"{log.read_text() if log.exists() else ''}RuntimeError: CUDA error: out of memory\n")
    done = rolled_back.run("verify", "--check", "errors")
    assert done.code == 1, done
    found = data(rolled_back)
    checks = [check for check in found["checks"] if check["verdict"] == "fail"]  # type: ignore[attr-defined]
    assert [check["name"] for check in checks] == ["error log clear"] and checks[0]["at"], checks
    assert "verify failed: error log clear" in page(rolled_back).text
    assert "verify に失敗" in page(rolled_back, "--lang", "ja").text, "its texts are kept with their templates"
    line = next(line for line in history(rolled_back) if line["command"] == "rollback")
    digests = {file["path"]: file["new"] for file in line["files"]}
    passed = {"at": "2126-01-01T00:00:00+00:00", "digests": digests, "checks": {"memory": "251 MB"}}
    rolled_back.write(".atftctl/verified.jsonl", json.dumps(passed) + "\n")
    names = [check["name"] for check in data(rolled_back)["checks"]]  # type: ignore[attr-defined]
    assert "memory" in names and "error log clear" not in names, "the newest checklist counts"
    rolled_back.write(".atftctl/failed_checks.json", b"{")
    assert rolled_back.run("incident").code == 0
    assert rolled_back.run("verify", "--check", "errors").code == 1
    assert "verify failed" in page(rolled_back).text, "a damaged record is begun anew"


def test_stored_texts_are_in_the_language_of_the_page(rolled_back: Project) -> None:
    line = next(line for line in history(rolled_back) if line["command"] == "rollback")
    path = f".atftctl/operations/{line['operation']}/plan.json"
    plan = json.loads(rolled_back.read(path))
    step = next(step for step in plan["steps"] if "snapshot" in step)
    assert step in page(rolled_back).text and step not in page(rolled_back, "--lang", "ja").text
    for texts in (None, {"title": 1, "steps": [1] * len(plan["steps"])}, {"steps": []}, {"title": {"text": "other"}}):
        rolled_back.write(path, json.dumps({**plan, "texts": texts}))
        assert step in page(rolled_back, "--lang", "ja").text, "of another version: as it was written"
