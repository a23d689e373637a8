"""Files have more than bytes: access control lists, attributes, groups, hard links; and models are often symlinks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.attributes import attributes, set_attributes
from tests.support.projects import CONFIG, OOM, RUNBOOK, Project
from tests.support.users import ALICE, TEAM, needs_root, open_project_of, run_as

MODELS = ("models/best_model.pth", "models/last.pth")


@pytest.mark.parametrize(
    "command",
    [OOM, ("config", "set", "use_ema=false", "--yes"), ("restore", "latest", "--yes")],
    ids=lambda command: command[0],
)
def test_access_control_lists_and_attributes_are_kept(project: Project, command: tuple[str, ...]) -> None:
    path = project.root / CONFIG
    set_attributes(path)
    before, facts = attributes(path), path.stat()
    assert project.run("backup").code == 0
    if command[0] == "restore":
        path.write_bytes(b"a: 1\n")
    content = path.read_bytes()
    assert project.run(*command).code == 0 and path.read_bytes() != content
    assert attributes(path) == before and path.stat().st_mode == facts.st_mode
    assert project.run("undo", "--yes").code == 0 and path.read_bytes() == content
    assert attributes(path) == before and path.stat().st_mode == facts.st_mode


@needs_root
def test_what_can_not_be_kept_is_said_before_the_decision() -> None:
    """A plain user who is not in the file's group; and a second name of the file."""
    with open_project_of(ALICE) as project:
        os.chown(project.root / CONFIG, ALICE, TEAM)
        plan = run_as(project, ALICE, "rollback", "--symptom", "oom", "--dry-run")
        assert plan.code == 0 and f"gid {TEAM}" in plan.out and "not a member" in plan.out, plan
        member = run_as(project, ALICE, "rollback", "--symptom", "oom", "--dry-run", groups=(ALICE, TEAM))
        assert "not a member" not in member.out
        assert run_as(project, ALICE, *OOM, groups=(ALICE, TEAM)).code == 0
        assert (project.root / CONFIG).stat().st_gid == TEAM


def test_a_hard_linked_config_is_not_split_silently(project: Project) -> None:
    os.link(project.root / CONFIG, project.root / "configs/other-name.yaml")
    before = project.read(CONFIG)
    plan = project.run("rollback", "--symptom", "oom", "--dry-run")
    assert "hard link" in plan.out and CONFIG in plan.out, plan
    assert project.run(*OOM).code == 0
    assert project.read("configs/other-name.yaml") == before != project.read(CONFIG)


@needs_root
def test_an_attribute_that_only_root_may_set_is_said() -> None:
    with open_project_of(ALICE) as project:
        try:
            os.setxattr(project.root / CONFIG, "trusted.note", b"x")
        except OSError:
            pytest.skip("this file system has no attributes")
        assert "trusted.note" not in run_as(project, ALICE, "rollback", "--symptom", "oom", "--dry-run").err
        assert project.run(*OOM).code == 0
        assert os.getxattr(project.root / CONFIG, "trusted.note") == b"x", "root keeps it"


@needs_root
def test_root_in_a_container_keeps_what_it_may(project: Project) -> None:
    """Without CAP_SYS_ADMIN: the loss is said, and the rollback is done."""
    try:
        os.setxattr(project.root / CONFIG, "security.note", b"x")
        os.setxattr(project.root / CONFIG, "user.note", b"y")
    except OSError:
        pytest.skip("this file system has no attributes")
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", sys.executable, "-m", "atftctl"]
    ended = subprocess.run([*without, *OOM], cwd=project.root, env=project.env, capture_output=True, text=True)
    assert ended.returncode == 0 and "security.note" in ended.stdout + ended.stderr, ended
    assert attributes(project.root / CONFIG) == {"user.note": b"y"}


@needs_root
def test_a_snapshot_on_a_file_system_without_attributes_is_restored(project: Project, tmp_path: Path) -> None:
    set_attributes(project.root / CONFIG)
    assert project.run("backup").code == 0
    place = tmp_path / "plain"
    place.mkdir()
    if subprocess.run(["mount", "-t", "ramfs", "none", place], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        shutil.copytree(project.root, place / "project", symlinks=True)
        moved = Project(place / "project", project.env)
        before = (moved.root / CONFIG).read_bytes()
        (moved.root / CONFIG).unlink()
        assert moved.run("restore", "latest", "--yes").code == 0
        assert (moved.root / CONFIG).read_bytes() == before and not os.listxattr(moved.root / CONFIG)
        assert moved.run("undo", "--yes").code == 0 and not (moved.root / CONFIG).exists()
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def linked(project: Project) -> None:
    """As Lightning writes it: `last.pth` is a symlink to the newest checkpoint."""
    models = project.root / "models"
    (models / "last.pth").unlink()
    (models / "epoch=3.ckpt").write_bytes(b"weights of epoch 3" * 50)
    (models / "last.pth").symlink_to("epoch=3.ckpt")


def test_a_model_that_is_a_symlink_blocks_nothing_and_comes_back_as_one(project: Project) -> None:
    linked(project)
    for command in (("status",), ("trainer", "status"), ("doctor",), ("backup",), ("backup", "verify", "--all"),
                  ("backup", "list"), ("backup", "diff", "latest"), OOM, ("undo", "--yes")):  # fmt: skip
        ended = project.run(*command)
        assert ended.code == 0, (command, ended)
    models = project.root / "models"
    snapshot = project.root / "backups" / project.run("backup", "show", "latest", "--json").json["data"]["id"]
    assert os.readlink(snapshot / "models/last.pth") == "epoch=3.ckpt" and (snapshot / "models/epoch=3.ckpt").is_file()
    (models / "epoch=5.ckpt").write_bytes(b"weights of epoch 5" * 50)
    (models / "last.pth").unlink()
    (models / "last.pth").symlink_to("epoch=5.ckpt")
    (models / "epoch=3.ckpt").unlink()
    assert project.run("restore", "latest", "--yes").code == 0
    assert os.readlink(models / "last.pth") == "epoch=3.ckpt" and (models / "last.pth").read_bytes().endswith(
        b"epoch 3"
    )
    assert (models / "epoch=5.ckpt").read_bytes().endswith(b"epoch 5"), "never written through the link"
    assert project.run("undo", "--yes").code == 0
    assert os.readlink(models / "last.pth") == "epoch=5.ckpt" and not (models / "epoch=3.ckpt").exists()
    assert project.run("undo", "--yes").code == 0
    assert os.readlink(models / "last.pth") == "epoch=3.ckpt"


def test_a_symlink_became_a_file_and_back(project: Project) -> None:
    linked(project)
    assert project.run("backup").code == 0
    (project.root / "models/last.pth").unlink()
    project.write("models/last.pth", b"a file now")
    assert project.run("restore", "latest", "--only", "models", "--yes").code == 0
    assert os.readlink(project.root / "models/last.pth") == "epoch=3.ckpt"
    assert project.run("undo", "--yes").code == 0 and project.read("models/last.pth") == b"a file now"


@pytest.mark.parametrize("how", ["chain", "absolute", "a folder inside", "dangling", "two names"])
def test_symlinks_within_the_project(project: Project, how: str) -> None:
    models = project.root / "models"
    linked(project)
    if how == "chain":
        (models / "newest").symlink_to("epoch=3.ckpt")
        (models / "last.pth").unlink()
        (models / "last.pth").symlink_to("newest")
    elif how == "absolute":
        (models / "last.pth").unlink()
        (models / "last.pth").symlink_to(models / "epoch=3.ckpt")
    elif how == "a folder inside":
        models.rename(project.root / "storage")
        models.symlink_to("storage")
    elif how == "dangling":
        (models / "epoch=3.ckpt").unlink()
    elif how == "two names":
        (models / "best_model.pth").unlink()
        (models / "best_model.pth").symlink_to("epoch=3.ckpt")
    links = {
        path: os.readlink(path) for path in project.root.rglob("*") if path.is_symlink() and "backups" not in path.parts
    }
    content = (models / "last.pth").read_bytes() if how != "dangling" else b""
    assert project.run("backup").code == 0
    assert project.run("backup", "verify", "--all").code == 0
    for path in sorted(links, key=lambda path: -len(path.parts)):
        if path != models:
            path.unlink()
    if how != "dangling":
        target = project.root / ("storage/epoch=3.ckpt" if how == "a folder inside" else "models/epoch=3.ckpt")
        target.write_bytes(b"other")
    assert project.run("restore", "latest", "--yes").code == 0
    assert {path: os.readlink(path) for path in links} == links
    assert how == "dangling" or (models / "last.pth").read_bytes() == content
    shutil.rmtree(project.root / "exported", ignore_errors=True)
    exported = project.run("restore", "latest", "--to", "exported")
    assert exported.code == 0, exported


def test_a_models_folder_on_another_disk(project: Project, tmp_path: Path) -> None:
    """Outside of the project: left out and said, unless the runbook names the place."""
    big = tmp_path / "big"
    (project.root / "models").rename(big)
    (project.root / "models").symlink_to(big)
    for command in (("status",), ("trainer", "status"), OOM, ("undo", "--yes"), ("backup",)):
        ended = project.run(*command)
        assert ended.code == 0, (command, ended)
    left_out = project.run("backup", "show", "latest", "--json").json["data"]["left_out"]
    assert "allow_outside" in left_out["models/last.pth"]
    project.replace(RUNBOOK, "  allow_outside: []", f"  allow_outside: [{big}]")
    assert project.run("backup").code == 0
    snapshot = project.root / "backups" / project.run("backup", "show", "latest", "--json").json["data"]["id"]
    assert (snapshot / "models/last.pth").read_bytes() == (big / "last.pth").read_bytes()
    before = (big / "last.pth").read_bytes()
    (big / "last.pth").write_bytes(b"other")
    assert project.run("restore", "latest", "--yes").code == 0
    assert (big / "last.pth").read_bytes() == before and (project.root / "models").is_symlink()
    assert project.run("undo", "--yes").code == 0 and (big / "last.pth").read_bytes() == b"other"
    assert project.run("rollback", "--to", "latest", "--yes").code == 0 and (big / "last.pth").read_bytes() == before


@pytest.mark.parametrize("place", ["relative", "/", "~/models"])
def test_a_place_outside_is_named_by_its_full_path(project: Project, place: str) -> None:
    project.replace(RUNBOOK, "  allow_outside: []", f'  allow_outside: ["{place}"]')
    ended = project.run("runbook", "lint")
    assert ended.code == 1 and "allow_outside" in ended.out, ended


def test_a_symlink_that_leads_to_a_secret_is_not_copied(project: Project, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (project.root / "models/last.pth").unlink()
    (project.root / "models/last.pth").symlink_to(tmp_path / "secret")
    assert project.run("backup").code == 0
    assert not list((project.root / "backups").rglob("last.pth"))


SECRET = (".aws_credentials", "kubeconfig", "token.json", ".Renviron", ".ssh/config", ".aws/config", "id_ed25519",
          "huggingface/token", "kaggle.json", "prod.tfvars", "server.KEY", "hf_token.txt", ".Rprofile", "db.password")  # fmt: skip
ORDINARY = ("tokenizer.json", "special_tokens_map.json", "config.json", "keys.csv.gz", "environment.yaml", "panel.csv")


def test_secrets_stay_out_and_ordinary_files_do_not(project: Project) -> None:
    for name in (*SECRET, *ORDINARY):
        project.write(f"assets/{name}", "x")
    project.replace(RUNBOOK, "  also: []", "  also: [assets]")
    assert project.run("backup").code == 0
    shown = project.run("backup", "show", "latest", "--json").json["data"]
    held = {file["path"].removeprefix("assets/") for file in shown["files"]}
    assert not held & set(SECRET) and set(ORDINARY) <= held, held
    assert {name.removeprefix("assets/") for name in shown["left_out"]} >= set(SECRET)
    subprocess.run(["true"], check=True)
