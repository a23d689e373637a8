"""What a hostile review found; each with relatives."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.operations.project import open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import commits
from tests.support.attributes import attributes, set_attributes
from tests.support.faults import EVERY, KILLED, Faults, in_child
from tests.support.projects import CONFIG, NEXT, OOM, REVERT, RUNBOOK, Project, make_project
from tests.support.recovery import copy_project, leftovers, plant_record, recover, state
from tests.support.repositories import commit, create_repository, git
from tests.support.today import TODAY
from tests.support.users import ALICE, BOB, give, needs_root, open_project_of


@needs_root
def test_a_smoke_check_runs_as_the_owner_wherever_a_hook_leads_it(tmp_path: Path) -> None:
    with open_project_of(ALICE) as project:
        told = project.root.parent / "who"
        told.mkdir(mode=0o777)
        told.chmod(0o777)
        give(project.root, 0, 0)  # git of the test is root's
        line = next(line for line in project.read(RUNBOOK).decode().splitlines() if line.startswith("  smoke:"))
        create_repository(project)
        project.replace(RUNBOOK, "  smoke: []", f'  smoke: ["/bin/sh", "-c", "id -u >> {told}/uids; true"]')
        project.write("sub/x.py", "one\n")
        project.write(
            ".git/hooks/post-commit",
            "#!/bin/sh\nt=$(git rev-parse --show-toplevel)\ncase $t in */worktrees/*) cd $t; mv sub .s; ln -s /usr sub;; esac\n",
        )
        (project.root / ".git/hooks/post-commit").chmod(0o755)
        commit(project, "feat: x")
        give(project.root, ALICE, ALICE)
        assert line
        project.run(*REVERT)
        assert not (told / "uids").exists() or set((told / "uids").read_text().split()) == {str(ALICE)}


@needs_root
def test_a_users_runbook_opens_no_place_outside_to_root(tmp_path: Path) -> None:
    with open_project_of(ALICE) as project:
        place = tmp_path / "rootonly"
        place.mkdir(mode=0o700)
        (place / "last.pth").write_text("TOPSECRET")
        shutil.rmtree(project.root / "models")
        (project.root / "models").symlink_to(place)
        os.chown(project.root / "models", ALICE, ALICE, follow_symlinks=False)
        project.replace(RUNBOOK, "  allow_outside: []", f"  allow_outside: [{place}]")
        give(project.root / "runbooks", ALICE, ALICE)
        assert project.run("backup").code == 0
        assert not [
            path
            for path in (project.root / "backups").rglob("*")
            if path.is_file() and b"TOPSECRET" in path.read_bytes()
        ]
        (project.root / "x").symlink_to(place)
        digest = hashlib.sha256(b"TOPSECRET").hexdigest()
        moves = [{"path": "x/last.pth", "staged": ".op.1.staged", "old": digest, "new": None, "mode": 0o644},
                 {"path": "x/new.sh", "staged": ".op.0.staged", "folder": ".", "old": None, "new": hashlib.sha256(b"y").hexdigest(), "mode": 0o755}]  # fmt: skip
        (project.root / ".op.0.staged").write_text("y")
        plant_record(project, "commit", {"moves": moves}, intent={"outside": [str(place)]})
        give(project.root / ".atftctl", ALICE, ALICE)
        ended = project.run("recover")
        assert ended.code == 5, ended
        assert (place / "last.pth").read_text() == "TOPSECRET" and sorted(os.listdir(place)) == ["last.pth"]


@needs_root
def test_root_writes_into_no_scratch_folder_that_a_user_may_change() -> None:
    with open_project_of(ALICE) as project:
        script = project.root.parent / "look.sh"
        script.write_text(
            '#!/bin/sh\nd=$(dirname "$2"); (id -u; touch "$d/mine" 2>&1; ls -ld "$d") > "$(dirname $0)/told"; echo \'{"valid": true}\'\n'
        )
        script.chmod(0o755)
        os.chown(project.root.parent, ALICE, ALICE)
        project.replace(RUNBOOK, NEXT, f"  validate: [{script}]\n{NEXT}")
        give(project.root / "runbooks", ALICE, ALICE)
        assert project.run("status").code == 0
        told = (project.root.parent / "told").read_text()
        assert told.startswith(f"{ALICE}\n") and "Permission denied" in told and " root root " in told, told


@needs_root
@pytest.mark.parametrize("how", ["the session of a daemon", "the mark of another run"])
def test_root_stops_nothing_that_is_not_the_users(how: str) -> None:
    with open_project_of(ALICE) as project:
        commits = (
            "import os, time\nif os.fork(): os._exit(0)\nprint(os.getpid(), os.getsid(0), flush=True)\ntime.sleep(60)"
        )
        env = {**os.environ, "ATFTCTL_TEST": "1", "ATFTCTL_RUN_ID": "copied"}
        leader = subprocess.Popen(
            [sys.executable, "-c", commits], stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
        )
        assert leader.stdout
        pid, session = map(int, leader.stdout.readline().split())
        leader.wait()
        try:
            from atftctl.host.process import table as procs

            record = {"run_id": "copied" if "mark" in how else "x", "wanted": "running", "digest": "", "resume": "last", "events_from": 0,
                      "started_at": "2026-01-01T00:00:00+00:00", "pid": 0 if "mark" in how else session, "ticks": 1, "boot": procs.boot_id()}  # fmt: skip
            project.write(".atftctl/process.json", json.dumps(record))
            give(project.root / ".atftctl", ALICE, ALICE)
            project.run("trainer", "stop")
            project.run(*OOM)
            assert Path(f"/proc/{pid}").exists() and procs.state_letter(pid) not in "ZX"
        finally:
            os.kill(pid, 9)


def test_a_filter_of_any_name_and_no_transport_is_run_for_looking(project: Project, tmp_path: Path) -> None:
    create_repository(project)
    ran = tmp_path / "ran"
    project.write(".gitattributes", "*.yaml filter=a=b\n")
    commit(project, "attributes")
    with (project.root / ".git/config").open("a") as file:
        file.write(f'[filter "a=b"]\n\tclean = "touch {ran}; cat"\n\trequired = true\n')
        file.write(
            f'[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\turl = "ext::touch {ran}"\n\tpromisor = true\n[protocol "ext"]\n\tallow = always\n'
        )
    git(project, "config", "core.repositoryformatversion", "1")
    blob = git(project, "rev-parse", f"HEAD:{CONFIG}")
    (project.root / ".git/objects" / blob[:2] / blob[2:]).unlink(missing_ok=True)
    project.write(CONFIG, project.read(CONFIG) + b"# touched\n")
    for command in (("status",), ("backup",), ("doctor",), ("rollback", "--immediate", "--dry-run")):
        assert project.run(*command).code in (0, 1), command
    assert not ran.exists()


def file_and_folder(project: Project) -> None:
    create_repository(project)
    project.write("src/ff", "a file\n")
    project.write("dd/q", "q\n")
    project.write("dd/deep/r", "r\n")
    commit(project, "before")
    (project.root / "src/ff").unlink()
    project.write("src/ff/g", "g\n")
    shutil.rmtree(project.root / "dd")
    project.write("dd", "a file\n")
    commit(project, "feat: other kinds")


def test_a_kill_at_every_call_while_files_and_folders_change_places(tmp_path: Path) -> None:
    project = make_project(tmp_path / "template", tmp_path / "violations")
    file_and_folder(project)
    template = project.root

    def back(root: Path) -> None:
        commits.revert(open_project(root), commits.CommitSelection(("HEAD",)), RestartPolicy(restart=False), Request())

    done = copy_project(template, "done")
    assert in_child(lambda: back(done))[0] == 0
    ends = [state(template), state(done)]
    counted = copy_project(template, "count")
    _, calls = in_child(lambda: back(counted), Faults())
    first = next(at for at, name in enumerate(calls) if name == "symlink" or at > len(calls) * 2 // 3)
    for at in range(first + TODAY % EVERY, len(calls) + 1, EVERY):
        root = copy_project(template, "struck")
        if in_child(lambda root=root: back(root), Faults(at))[0] != KILLED:
            continue
        assert in_child(lambda root=root: recover(root))[0] == 0, (at, calls[at - 1])
        assert state(root) in ends and not leftovers(root), (at, calls[at - 1])


def test_a_symlink_that_becomes_a_folder_is_refused_before_anything(project: Project) -> None:
    create_repository(project)
    project.write("d/1", "1\n")
    (project.root / "lnk").symlink_to("d")
    commit(project, "before")
    (project.root / "lnk").unlink()
    project.write("lnk/g", "g\n")
    commit(project, "feat: a folder")
    refused = project.run(*REVERT)
    assert refused.code == 3 and "symlink" in refused.err, refused
    assert git(project, "status", "--porcelain") == "" and os.listdir(project.root / "d") == ["1"]


def test_a_chain_that_goes_through_a_symlinked_folder(project: Project) -> None:
    project.write("runs/a/step10.pth", "real")
    (project.root / "runs/latest").symlink_to("a")
    (project.root / "models/last.pth").unlink()
    (project.root / "models/last.pth").symlink_to("../runs/latest/step10.pth")
    assert project.run("backup").code == 0
    shown = project.run("backup", "show", "latest", "--json").json["data"]
    held = {file["path"] for file in shown["files"]}
    assert {"models/last.pth", "runs/latest", "runs/a/step10.pth"} <= held and not shown["left_out"]
    project.write("runs/a/step10.pth", "other")
    assert project.run("restore", "latest", "--yes").code == 0 and project.read("models/last.pth") == b"real"


def test_a_link_out_of_the_project_that_a_commit_brings_can_be_undone(project: Project) -> None:
    create_repository(project)
    (project.root / "pw").symlink_to("/etc/hostname")
    commit(project, "a link")
    (project.root / "pw").unlink()
    commit(project, "feat: without")
    assert project.run(*REVERT).code == 0 and os.readlink(project.root / "pw") == "/etc/hostname"
    assert project.run("undo", "--yes", "--no-restart").code == 0 and not (project.root / "pw").is_symlink()


@needs_root
def test_what_was_removed_comes_back_with_all_that_it_had(project: Project) -> None:
    create_repository(project)
    commit(project, "before") if git(project, "status", "--porcelain") else None
    project.write("new/f.py", "x\n")
    commit(project, "feat: new")
    path = project.root / "new/f.py"
    path.chmod(0o640)
    os.chown(path, ALICE, BOB)
    set_attributes(path)
    before, facts = attributes(path), path.stat()
    assert project.run(*REVERT).code == 0 and not path.exists()
    assert project.run("undo", "--yes", "--no-restart").code == 0
    after = path.stat()
    assert (after.st_uid, after.st_gid) == (ALICE, BOB) and attributes(path) == before
    assert after.st_mode & 0o070 == facts.st_mode & 0o070


def test_a_default_list_of_the_folder_is_not_for_a_file_that_had_none(project: Project) -> None:
    if not shutil.which("setfacl"):
        pytest.skip("setfacl is not there (acl)")
    path = project.root / CONFIG
    path.chmod(0o640)
    if subprocess.run(["setfacl", "-d", "-m", f"u:{BOB}:rwx", str(path.parent)], capture_output=True).returncode:
        pytest.skip("this file system has no access control lists")
    assert project.run(*OOM).code == 0
    assert os.listxattr(path) == [] and path.stat().st_mode & 0o777 == 0o640


def test_recovery_of_a_place_outside_needs_no_runbook(project: Project, tmp_path: Path) -> None:
    big = tmp_path / "big"
    (project.root / "models").rename(big)
    (project.root / "models").symlink_to(big)
    project.replace(RUNBOOK, "  allow_outside: []", f"  allow_outside: [{big}]")
    assert project.run("backup").code == 0
    (big / "last.pth").write_bytes(b"other")
    (big / "best_model.pth").write_bytes(b"other")
    script = tmp_path / "strike"
    script.mkdir()
    (script / "sitecustomize.py").write_text(
        "import os\nreal = os.replace\n"
        "def replace(source, target, **more):\n"
        "    real(source, target, **more)\n"
        "    if str(target).endswith('.pth'): os.kill(os.getpid(), 9)\nos.replace = replace\n"
    )
    killed = project.run(
        "restore", "latest", "--only", "models", "--yes", env={"PYTHONPATH": f"{script}:{project.env['PYTHONPATH']}"}
    )
    assert killed.code == -9, killed
    project.write(RUNBOOK, "nonsense: [\n")
    done = project.run("recover")
    assert (
        done.code in (0, 1) and (big / "last.pth").read_bytes() != b"other" != (big / "best_model.pth").read_bytes()
    ), done


def test_a_lock_of_git_is_seen_before_the_trainer_is_stopped(project: Project) -> None:
    create_repository(project)
    project.write("src/code.py", "two\n")
    commit(project, "feat: two")
    assert project.run("trainer", "start").code == 0
    pid = project.record()["pid"]
    (project.root / ".git/index.lock").write_text("")
    refused = project.run("rollback", "--git", "HEAD", "--yes")
    assert refused.code == 3 and "locked" in refused.err and project.record()["pid"] == pid, refused


def test_a_setting_that_a_person_set_is_not_carried_over_as_ours(project: Project) -> None:
    create_repository(project)
    project.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.9")
    commit(project, "feat: warmer")
    project.replace(CONFIG, "hidden_size: 32", "hidden_size: 16")
    assert project.run("config", "set", "use_ema=false", "--yes").code == 0
    refused = project.run(*REVERT)
    assert refused.code == 3 and CONFIG in refused.err, refused
    assert time.monotonic() > 0
