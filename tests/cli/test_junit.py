"""`verify --junit`: well-formed XML that CI systems read, whatever the checks say."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from atftctl.cli.render.junit import document
from atftctl.operations.verification.checklist import CheckLine, VerifyData
from tests.support.projects import Project

NASTY = "a < b & \"c\" 'd' ]]> \x00\x07\x1b[31m \ud800 \ufffe é 漢字 \U0001f600\nsecond line"
DATA = VerifyData(
    "fail",
    (
        CheckLine("model", "pass", "fine", {"seconds": 1.25}, "model loads"),
        CheckLine("quality", "fail", NASTY, {"seconds": "much"}, NASTY, "", (NASTY, "Traceback")),
        CheckLine(
            "service", "inconclusive", "the trainer is not running", {}, "service stable", "atftctl trainer start"
        ),
    ),
    ("step-time", "memory"),
)


def test_every_verdict_has_its_element() -> None:
    root = ElementTree.fromstring(document(DATA, 12.5, NASTY))
    suite = root.find("testsuite")
    assert suite is not None and root.tag == "testsuites"
    expected = {"tests": "5", "failures": "1", "errors": "1", "skipped": "2", "time": "12.500"}
    assert {name: suite.get(name) for name in expected} == expected
    cases = {case.get("classname"): case for case in suite.iter("testcase")}
    assert cases["verify.model"].get("time") == "1.250" and cases["verify.model"].find("failure") is None
    failure, error = cases["verify.quality"].find("failure"), cases["verify.service"].find("error")
    assert failure is not None and failure.text and "Traceback" in failure.text and "漢字" in failure.text
    assert error is not None and error.get("type") == "inconclusive" and "atftctl trainer start" in (error.text or "")
    assert [name for name, case in cases.items() if case.find("skipped") is not None] == [
        "verify.step-time", "verify.memory",
    ]  # fmt: skip


def test_a_reader_of_ci_systems_reads_it(tmp_path: Path) -> None:
    junitparser = pytest.importorskip("junitparser")
    path = tmp_path / "junit.xml"
    path.write_bytes(document(DATA, 12.5, "ATFT"))
    (suite,) = list(junitparser.JUnitXml.fromfile(str(path)))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (5, 1, 1, 2)
    kinds = {case.name: [type(result).__name__ for result in case.result] for case in suite}
    assert kinds["service stable"] == ["Error"] and kinds["model loads"] == []


def test_the_file_is_written_whole_and_where_it_can_be(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "verify.xml"
    target.write_text("old")
    done = project.run("verify", "--check", "errors", "--check", "service", "--junit", str(target))
    assert done.code == 6, done
    assert ElementTree.fromstring(target.read_bytes()).get("errors") == "2"
    (tmp_path / "link.xml").symlink_to("/dev/null")
    for wrong in (tmp_path, tmp_path / "no/such/folder.xml", Path("/dev/null"), tmp_path / "link.xml"):
        refused = project.run("verify", "--check", "errors", "--junit", str(wrong))
        assert refused.code == 2 and "nothing was changed" in refused.err, refused
    assert Path("/dev/null").is_char_device()


def test_options_that_do_not_go_together(project: Project) -> None:
    for wrong in (
        ("--baseline-only", "--check", "model"),
        ("--effects", "--quick"),
        ("--quick", "--check", "step-time"),
    ):
        assert project.run("verify", *wrong).code == 2
    unknown = project.run("verify", "--check", "qualty")
    assert unknown.code == 2 and "did you mean quality?" in unknown.err


def test_checks_that_need_no_probe_start_none(project: Project) -> None:
    """Here torch may be missing; nothing is measured, and a part of the checklist marks nothing."""
    project.start_trainer()
    done = project.run("verify", "--check", "errors", "--check", "service", "--json", limit_s=120)
    assert done.code == 0, done
    data = done.json["data"]
    assert [check["name"] for check in data["checks"]] == ["errors", "service"] and "model" in data["skipped"]
    assert "nothing is marked" in data["headline"] and not (project.root / ".atftctl/verified.jsonl").exists()


def test_a_test_has_the_same_name_whether_it_is_made_or_skipped() -> None:
    """CI shows the history of a test by its name: quality was called as its metric, and `quality` where skipped."""
    made = VerifyData("pass", (CheckLine("quality", "pass", "fine", {}, "RankIC@1d"),))
    names = []
    for data in (made, VerifyData("pass", (), ("quality",))):
        case = ElementTree.fromstring(document(data, 1.0, "ATFT")).find("testsuite/testcase")
        assert case is not None
        names.append((case.get("classname"), case.get("name")))
    assert names[0] == names[1]
    assert b"RankIC@1d: fine" in document(made, 1.0, "ATFT")
