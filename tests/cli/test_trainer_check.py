"""`trainer check`, on a good trainer and on bad ones: the line that must fail fails, and the project stays as it is."""

from __future__ import annotations

import sys

import pytest

from tests.support.projects import ROOT, RUNBOOK, Project, processes_of

TRAINER = str(ROOT / "tests" / "support" / "children" / "checked.py")


def check(project: Project, *bad: str, limit_s: str = "60") -> tuple[int, dict[str, dict[str, str]]]:
    done = project.run("trainer", "check", "--steps", "13", "--limit-s", limit_s, "--json", "--",
                       sys.executable, TRAINER, "train", "{resume}", *bad, limit_s=280)  # fmt: skip
    assert done.out, done
    return done.code, {line["name"]: line for line in done.json["data"]["checks"]}


def test_a_good_trainer_passes(project: Project) -> None:
    before = project.tree()
    code, lines = check(project)
    assert {name for name, line in lines.items() if line["verdict"] != "pass"} == set(), lines
    assert code == 0 and len(lines) == 13
    assert project.tree() == before and not processes_of(project.root)
    assert lines["lost"]["detail"].startswith("0 steps") and "differ by 0 " in lines["resume"]["detail"]


@pytest.mark.parametrize(
    ("words", "fails"),
    [
        (("no-save", "other-digest", "deaf"), {"stop", "settings", "fence", "lost"}),
        (("forgets", "torn"), {"resume", "kill"}),
        (("anew",), {"lost", "resume"}),
    ],
)
def test_what_a_bad_trainer_does_wrong(project: Project, words: tuple[str, ...], fails: set[str]) -> None:
    project.replace(RUNBOOK, "grace_s: 5", "grace_s: 20")
    code, lines = check(project, *words)
    failed = {name for name, line in lines.items() if line["verdict"] == "fail"}
    assert code == 1 and fails <= failed, lines
    assert all(lines[name]["hint"] for name in fails), lines


def test_a_trainer_without_the_protocol_is_tried_by_its_files(project: Project) -> None:
    code, lines = check(project, "mute", limit_s="12")
    assert code == 6, lines
    assert {name for name, line in lines.items() if line["verdict"] == "pass"} == {"stop", "exit-code", "fence"}, lines
    assert "says nothing" in lines["began"]["detail"]


def test_a_trainer_that_does_not_start(project: Project) -> None:
    done = project.run("trainer", "check", "--limit-s", "20", "--", sys.executable, "-c", "print('no data'); exit(3)")
    assert done.code == 1 and "no data" in done.out and "inconclusive" in done.out, done
    missing = project.run("trainer", "check", "--", "no-such-program")
    assert missing.code == 3 and "no-such-program" in missing.err, missing
