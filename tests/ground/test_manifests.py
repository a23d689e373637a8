"""Manifests and records that say too much, or are of another kind: damaged, and no fault of the tool."""

from __future__ import annotations

from itertools import product

import pytest

from atftctl.state import sealed_records
from tests.support.projects import CONFIG, OOM, Project
from tests.support.today import some

QUIET_OOM = (*OOM, "--no-restart")  # what is read does not depend on the trainer
QUIET_UNDO = ("undo", "--yes", "--no-restart")
MANIFESTS = {
    "a hook": {"path": ".git/hooks/post-checkout", "mode": 0o4755},
    "our journal": {"path": ".atftctl/journal/x.commit.json"},
    "another snapshot": {"path": "backups/x/manifest.json"},
    "up": {"path": "../x"},
    "a nested repository": {"path": "sub/.git/config"},
    "a number for a path": {"path": 7},
    "a word for a size": {"size": "big"},
    "a list for a mode": {"mode": [1]},
    "a source that is none": {"source": ["a"]},
    "a time that is none": {"checked": "yesterday"},
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_that_says_too_much_is_damaged_and_stops_nobody(project: Project, what: str) -> None:
    assert project.run("backup", "--label", "good").code == 0
    assert project.run("backup", "--label", "bad").code == 0
    bad = sorted((project.root / "backups").iterdir())[-1]
    body = sealed_records.unseal((bad / "manifest.json").read_bytes(), "x")
    body["files"][0] |= MANIFESTS[what]
    (bad / "manifest.json").write_bytes(sealed_records.seal(body))
    assert "bad" not in project.run("restore", "bad", "--yes").out
    listed = project.run("backup", "list", "--json").json["data"]
    assert list(listed["damaged"]) == [bad.name], listed
    shown = project.run("status")
    assert bad.name in shown.out and "damaged" in shown.out and "latest " + bad.name not in shown.out, shown
    done = project.run(*OOM)
    assert done.code == 0, done
    assert not (project.root / ".git").exists()


@pytest.mark.parametrize("key", ["files", "left_out", "number", "passed", "created", "label", "baseline", "version"])
def test_a_manifest_whose_parts_are_of_another_kind_is_damaged(project: Project, key: str) -> None:
    assert project.run("backup").code == 0
    bad = next(iter((project.root / "backups").iterdir()))
    body = sealed_records.unseal((bad / "manifest.json").read_bytes(), "x")
    for value in some(({"x": 1}, [1], "x", 7, None), 1):
        (bad / "manifest.json").write_bytes(sealed_records.seal({**body, key: value}))
        for command in (("status",), ("backup", "list"), ("backup", "show", "latest"), QUIET_OOM, QUIET_UNDO):
            ended = project.run(*command)
            assert "internal error" not in ended.err and "Traceback" not in ended.err, (key, value, command, ended)


def test_modes_of_a_manifest_are_those_of_data(project: Project) -> None:
    assert project.run("backup").code == 0
    snapshot = next(iter((project.root / "backups").iterdir()))
    body = sealed_records.unseal((snapshot / "manifest.json").read_bytes(), "x")
    for entry in body["files"]:
        entry["mode"] = 0o6755
    (snapshot / "manifest.json").write_bytes(sealed_records.seal(body))
    project.write(CONFIG, "improvements: {use_ema: false}\n")
    assert project.run("restore", "latest", "--yes").code == 0
    assert (project.root / CONFIG).stat().st_mode & 0o7777 == 0o755


STATE = ("process.json", "checked.json", "baseline.json", "staged.json", "history.jsonl", "quarantine.jsonl",
         "verified.jsonl", "history.end.json")  # fmt: skip
CONTENTS = ("[]", "7", '{"pid": "x", "run_id": 3}', "[" * 5000, "null", '{"digest": []}', "\x00")


# Nine is prime to both numbers: within a week, each file has had each content.
@pytest.mark.parametrize(("content", "name"), some(product(CONTENTS, STATE), 9))
def test_state_of_another_kind_is_no_fault_of_the_tool(project: Project, name: str, content: str) -> None:
    project.write(f".atftctl/{name}", content)
    for command in (("status",), ("history",), ("backup",), QUIET_OOM):
        ended = project.run(*command)
        assert "internal error" not in ended.err and "Traceback" not in ended.err, (command, ended)
