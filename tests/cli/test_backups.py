"""`backup` and `restore` as a user runs them: what is kept, what is left out, what is said of what is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Project
from tests.support.repositories import git
from tests.support.snapshots import KEEP


def folder(project: Project, word: str = "latest") -> Path:
    return project.root / str(project.run("backup", "show", word, "--json").json["data"]["folder"])


def test_folders_with_all_that_lies_in_them_but_secrets_and_loops(project: Project) -> None:
    """A symlink loop, a newline and bytes that are no UTF-8 in a name; .env and keys are left out unless named."""
    project.replace(RUNBOOK, "also: []", "also: [extra, extra/named.key]")
    names = ["plain", "two\nlines", "日本語"]
    for name in (*names, ".env", "server.pem", "named.key", "id_rsa"):
        project.write(f"extra/deep/{name}" if name == "plain" else f"extra/{name}", f"content of {name}")
    odd = os.fsencode(project.root / "extra") + b"/\xff\xfe"
    Path(os.fsdecode(odd)).write_bytes(b"odd")
    (project.root / "extra/loop").symlink_to(".")
    os.mkfifo(project.root / "extra/pipe")
    done = project.run("backup", "--json")
    assert done.code == 0, done
    taken = {one["path"] for one in done.json["data"]["files"]}
    assert {
        "extra/deep/plain",
        "extra/two\nlines",
        "extra/日本語",
        "extra/named.key",
        os.fsdecode(b"extra/\xff\xfe"),
    } <= taken
    shown = project.run("backup", "show", "--json").json["data"]
    assert set(shown["left_out"]) == {"extra/.env", "extra/server.pem", "extra/id_rsa", "extra/loop", "extra/pipe"}
    assert "two\\nlines" in project.run("backup", "show").out, "a newline in a name is shown, not obeyed"
    Path(os.fsdecode(odd)).unlink()
    project.write("extra/two\nlines", "changed")
    assert project.run("restore", "latest", "extra", "--yes", "--no-restart").code == 0
    assert Path(os.fsdecode(odd)).read_bytes() == b"odd"
    assert project.read("extra/two\nlines") == b"content of two\nlines"
    assert project.run("backup", "verify", "--all").code == 0


def test_a_manifest_cut_short_newer_or_gone_is_told_and_harms_nothing(project: Project) -> None:
    names = [project.run("backup", "--json").json["data"]["id"] for _ in range(4)]
    manifests = [project.root / "backups" / name / "manifest.json" for name in names]
    manifests[0].write_bytes(manifests[0].read_bytes()[:-50])
    manifests[1].write_text(manifests[1].read_text().replace('"version": 1', '"version": 9'))
    manifests[2].unlink()
    listed = project.run("backup", "list", "--json").json["data"]
    assert [one["id"] for one in listed["snapshots"]] == names[3:]
    assert set(listed["damaged"]) == set(names[:3]) and "version 9" in listed["damaged"][names[1]]
    assert project.run("backup", "list").out.count("damaged: ") == 3
    checked = project.run("backup", "verify")
    assert checked.code == 1 and all(name in checked.out for name in names[:3]) and "contact" in checked.out
    assert project.run("rollback", "--symptom", "oom", "--yes").code == 0
    assert project.run("restore", names[3], "--yes").code == 0


def test_a_folder_that_was_edited_by_hand_is_found(project: Project) -> None:
    project.run("backup")
    where = folder(project)
    (where / "note.txt").write_text("mine")
    (where / TRAINING).unlink()
    found = project.run("backup", "verify")
    assert found.code == 1 and "note.txt is not in its manifest" in found.out and TRAINING in found.out
    refused = project.run("restore", "latest", "--yes")
    assert refused.code == 3 and "nothing to restore" in refused.err, "all files stand as the manifest has them"
    assert project.run("restore", "latest", "--to", str(project.root / "out")).code == 4


def test_copies_made_by_cp_are_listed_checked_and_restored(project: Project) -> None:
    before = project.read(CONFIG)
    project.write(f"{CONFIG}.backup", before)
    project.write(f"{CONFIG}.backup.20240101_120000", before + b"# of January\n")
    project.write("models/best_model.pth.backup.20240101_120001", b"PK\x03\x04 cut short")
    project.write(f"{TRAINING}.backup.20240101_120000", "loss: [broken")
    project.write("configs/atft/unrelated.backup", "x")
    listed = project.run("backup", "list", "--json").json["data"]["made_by_cp"]
    assert len(listed) == 4 and sum(not one["stamp"] for one in listed) == 1
    assert "of unknown age" in project.run("backup", "list").out
    project.run("backup", "--label", "two\nlines")
    assert "\ttwo\\nlines\t" in project.run("backup", "list").out, "tab by tab for a pipe, a newline shown"
    checked = project.run("backup", "verify", "--all")
    assert checked.code == 1 and "the zip is not complete" in checked.out and "can't be read as YAML" in checked.out
    project.write(CONFIG, "improvements: {}\n")
    plan = project.run("restore", f"{CONFIG}.backup", "--dry-run")
    assert plan.code == 0 and "its age is unknown" in plan.out
    assert project.run("restore", f"{CONFIG}.backup.20240101_120000", "--yes").code == 0
    assert project.read(CONFIG) == before + b"# of January\n"
    assert project.run("undo", "--yes").code == 0 and project.read(CONFIG) == b"improvements: {}\n"
    assert project.run("restore", "models/best_model.pth.backup.20240101_120001", "--yes").code == 3


def test_only_and_paths(project: Project) -> None:
    assert project.run("backup", "--only", "models", "--label", "m").code == 0
    assert {one["path"] for one in project.run("backup", "show", "m", "--json").json["data"]["files"]} == {
        "models/best_model.pth", "models/last.pth",
    }  # fmt: skip
    project.run("backup", "--label", "all")
    for name in (CONFIG, "models/last.pth"):
        project.write(name, "{}")
    assert project.run("restore", "all", "--only", "configs", "--yes").code == 0
    assert project.read(CONFIG) != b"{}" and project.read("models/last.pth") == b"{}"
    assert project.run("restore", "all", "models", "--yes", "--no-restart").code == 0
    assert project.read("models/last.pth") != b"{}"
    assert project.run("restore", "all", "--only", "nonsense").code == 2


def test_into_a_folder_of_its_own(project: Project, tmp_path: Path) -> None:
    project.run("backup")
    before = project.tree()
    target = tmp_path / "out"
    assert project.run("restore", "latest", CONFIG, "models", "--to", str(target)).code == 0
    assert sorted(str(one.relative_to(target)) for one in target.rglob("*") if one.is_file()) == sorted(
        [CONFIG, "models/best_model.pth", "models/last.pth"]
    )
    assert (target / CONFIG).read_bytes() == project.read(CONFIG) and os.access(target / CONFIG, os.W_OK)
    assert project.tree() == before
    again = project.run("restore", "latest", "--to", str(target))
    assert again.code == 3 and "not an empty folder" in again.err
    copy = folder(project) / CONFIG
    copy.chmod(0o600)
    copy.write_bytes(b"rotten")
    damaged = project.run("restore", "latest", "--to", str(tmp_path / "other"))
    assert damaged.code == 4 and "damaged" in damaged.err and not (tmp_path / "other").exists()
    assert [one.name for one in tmp_path.iterdir() if "partial" in one.name] == []


def test_a_model_under_a_running_trainer(project: Project) -> None:
    project.run("backup")
    project.run("trainer", "start")
    project.write("models/last.pth", b"other")
    refused = project.run("restore", "latest", "models/last.pth", "--yes", "--no-restart")
    assert refused.code == 3 and "would overwrite" in refused.err
    before = project.record()["pid"]
    done = project.run("restore", "latest", "models/last.pth", "--yes")
    assert done.code == 0 and project.record()["pid"] != before


def test_pinned_and_pruned_and_removed(project: Project) -> None:
    project.replace(RUNBOOK, KEEP, "keep: {last: 2, hourly: 0, daily: 0, weekly: 0, monthly: 0, within: 0h}")
    names = [project.run("backup", "--json").json["data"]["id"] for _ in range(5)]
    assert project.run("backup", "pin", names[0], "--reason", "the audit").code == 0
    assert "the audit" in (project.root / "backups" / names[0] / ".pinned").read_text()
    assert project.run("backup", "prune").code == 3, "nobody to ask"
    shown = project.run("backup", "prune", "--dry-run")
    assert "this can't be undone" in shown.out and names[1] in shown.out and "pinned" in shown.out
    assert project.run("backup", "prune", "--yes").code == 0
    left = [one["id"] for one in project.run("backup", "list", "--json").json["data"]["snapshots"]]
    assert left == [names[0], *names[3:]]
    assert project.run("backup", "rm", names[0], "--yes").code == 3
    assert project.run("backup", "unpin", names[0]).code == 0
    assert project.run("backup", "rm", names[0], names[3], "--yes").code == 0
    assert project.run("backup", "prune").out.startswith("no snapshot is removed")
    commands = [one["command"] for one in project.run("history", "--json").json["data"]["operations"]]
    assert commands == ["backup prune", "backup rm"]


def test_what_undo_needs_is_not_pruned(project: Project) -> None:
    project.replace(RUNBOOK, KEEP, "keep: {last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0, within: 0h}")
    before = project.configs()
    project.run("rollback", "--symptom", "oom", "--yes")
    for _ in range(3):
        project.run("backup")
    assert project.run("backup", "prune", "--yes").code == 0
    assert project.run("undo", "--yes").code == 0 and project.configs() == before


def test_one_unit_code_and_its_changes(project: Project, tmp_path: Path) -> None:
    project.write("code.py", "first\n")
    git(project, "init", "-q")
    git(project, "add", "code.py")
    git(project, "commit", "-qm", "first")
    project.run("backup", "--label", "clean")
    project.write("code.py", "second\n")
    git(project, "commit", "-qam", "second thought")
    project.write("code.py", "third\n")
    project.run("backup", "--label", "dirty")
    shown = project.run("backup", "show", "dirty", "--json").json["data"]
    assert shown["dirty"] and shown["code_diff"] and shown["commit"] == git(project, "rev-parse", "HEAD").strip()
    git(project, "checkout", "-q", "code.py")
    git(project, "apply", str(folder(project, "dirty") / "code.diff"))
    assert project.read("code.py") == b"third\n"
    compared = project.run("backup", "diff", "clean", "dirty")
    assert compared.code == 0 and "second thought" in compared.out and "code.diff" in compared.out
    assert project.run("backup", "verify", "--all").code == 0


def test_configs_by_key_and_line(project: Project) -> None:
    project.run("backup", "--label", "before")
    project.replace(CONFIG, "use_ema: true", "use_ema: false")
    compared = project.run("backup", "diff", "before")
    assert "improvements.use_ema: true → false" in compared.out and "+  use_ema: false" in compared.out
    assert project.run("backup", "diff", "before", "before").out.splitlines()[0].endswith("no file differs, 4 the same")


def test_the_emergency_path_takes_no_torch_for_any_of_it(project: Project) -> None:
    (block := project.root / "block").mkdir()
    for name in ("torch", "pandas", "numpy"):
        (block / f"{name}.py").write_text("raise ImportError('broken')")
    env = {"PYTHONPATH": f"{block}:{project.env['PYTHONPATH']}"}
    project.run("backup", "--label", "one")
    project.write("models/last.pth", b"other")
    for command in (
        ("backup",), ("backup", "list"), ("backup", "show"), ("backup", "verify", "--all"), ("backup", "diff", "one"),
        ("backup", "pin", "one"), ("backup", "prune", "--dry-run"), ("restore", "one", "--yes"),
    ):  # fmt: skip
        assert project.run(*command, env=env).code == 0, command


def test_samples_come_round_to_all(project: Project) -> None:
    project.run("backup")
    for _ in range(4):
        assert project.run("backup", "verify", "--sample", "25%").code == 0
    checked = json.loads(project.read(".atftctl/checked.json"))
    assert len(checked) == 4
    assert project.run("backup", "verify", "--sample", "x").code == 2
    assert project.run("backup", "verify", "--sample", "10%", "--all").code == 2


def test_a_runbook_with_a_wrong_retention_is_refused(project: Project) -> None:
    project.replace(RUNBOOK, "within: 2d", "within: 2 fortnights")
    done = project.run("backup", "prune", "--dry-run")
    assert done.code == 3 and "backups.keep.within" in done.err and "36h, 2d or 1w" in done.err
