"""Root in a user's project: no secret of root's environment reaches a program that runs with the user's rights."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from atftctl.host.process import rights
from tests.support.projects import OOM, ROOT, RUNBOOK, Ended, Project, wait_for
from tests.support.users import ALICE, give, needs_root, open_project_of

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "hush",
    "AWS_PROFILE": "hush",
    "SSH_AUTH_SOCK": "/tmp/hush",
    "GITHUB_TOKEN": "hush",
    "https_proxy": "http://hush@proxy",
    "SUDO_COMMAND": "hush",
    "MAIL": "hush",
    "XDG_RUNTIME_DIR": "/run/hush",
    "ATFTCTL_HOOK_TOKEN": "hush",
    "ATFT_ROUTE_OTHER": "hush",
    "NVIDIA_API_KEY": "hush",
    "LC_SECRET_PASSWORD": "hush",
}
PLAIN = {"LANG": "C.UTF-8", "TZ": "Asia/Tokyo", "TERM": "dumb", "OMP_NUM_THREADS": "2", "LD_LIBRARY_PATH": "/opt/lib"}


def environment_of(data: bytes) -> dict[str, str]:
    """What `env -0` wrote."""
    return dict(entry.split("=", 1) for entry in data.decode().split("\0") if entry)


@pytest.fixture
def alices() -> Iterator[Project]:
    with open_project_of(ALICE) as project:
        yield project


@needs_root
def test_the_trainer_of_a_user_gets_no_secret_of_roots(alices: Project) -> None:
    line = next(line for line in alices.read(RUNBOOK).decode().splitlines() if line.startswith("  command:"))
    alices.replace(RUNBOOK, line, '  command: ["/bin/sh", "-c", "env -0 > logs/env; exec sleep 60"]')
    alices.replace(RUNBOOK, "ready_s: 20", "ready_s: 1")
    assert alices.run("trainer", "start", env={**SECRETS, **PLAIN}).code == 1
    wait_for(lambda: (alices.root / "logs/env").exists() and alices.read("logs/env").endswith(b"\0"))
    seen = environment_of(alices.read("logs/env"))
    assert alices.run("trainer", "stop").code == 0
    assert not SECRETS.keys() & seen.keys() and "hush" not in "".join(seen.values()), seen
    assert seen.items() >= PLAIN.items()
    assert {"PATH", "PYTHONPATH", "HOME", "USER", "LOGNAME", "SHELL", "ATFTCTL_RUN_ID"} <= seen.keys()
    assert seen["PYTHONPATH"].split(os.pathsep)[0] == str(alices.root), "the project's own trainer comes first"


@needs_root
def test_git_hooks_and_the_smoke_check_of_a_user_get_no_secret_of_roots(alices: Project) -> None:
    line = next(line for line in alices.read(RUNBOOK).decode().splitlines() if line.startswith("  smoke:"))
    alices.replace(RUNBOOK, line, f'  smoke: ["/bin/sh", "-c", "env -0 > {alices.root}/smoke.env"]')
    git = ["git", "-C", str(alices.root), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "safe.directory=*"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    (alices.root / "loss.py").write_text("loss = 1\n")
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "improvement"], check=True)
    hook = alices.root / ".git/hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nenv -0 > {alices.root}/hook.env\n")
    hook.chmod(0o755)
    give(alices.root, ALICE, ALICE)
    author = {f"GIT_{who}_{what}": "root@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = alices.run("rollback", "--git", "HEAD", "--yes", "--no-restart", env={**SECRETS, **author})
    assert done.code == 0, done
    for name in ("hook.env", "smoke.env"):
        seen = environment_of(alices.read(name))
        assert not SECRETS.keys() & seen.keys() and "hush" not in "".join(seen.values()), (name, seen)


def test_what_was_set_for_the_program_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    user = rights.User(ALICE, ALICE, "alice", "/home/alice", "/bin/bash")
    given = {**os.environ, "AWS_PROFILE": "of the runbook", "NEW": "1", "HOME": "/root"}
    made = rights.environment(given, user)
    assert (made["AWS_PROFILE"], made["NEW"], made["PATH"]) == ("of the runbook", "1", os.environ["PATH"])
    assert (made["HOME"], made["USER"], made["LOGNAME"], made["SHELL"]) == (
        "/home/alice",
        "alice",
        "alice",
        "/bin/bash",
    )
    assert SECRETS.keys() & made.keys() == {"AWS_PROFILE"}
    chosen = rights.Chosen({**rights.inherited(user), "AWS_PROFILE": SECRETS["AWS_PROFILE"]})
    assert SECRETS.keys() & rights.environment(chosen, user).keys() == {"AWS_PROFILE"}, "chosen, whatever ours is"
    assert rights.environment(os.environ, None) == dict(os.environ), "our own rights: everything"


def test_every_program_that_gets_another_users_rights_gets_that_users_environment() -> None:
    starts = 0
    for path in (ROOT / "atftctl").rglob("*.py"):
        code = path.read_text()
        for call in ast.walk(ast.parse(code) if "rights.options(" in code else ast.Module([], [])):
            keywords = {each.arg: ast.unparse(each.value) for each in getattr(call, "keywords", ())}
            if "rights.options(" in keywords.get(None, ""):
                starts += 1
                assert "rights.environment(" in keywords["env"] or path.parent.name == "git", (path, keywords)
    assert starts >= 5


@needs_root
def test_root_does_not_rehearse_with_a_users_code(alices: Project) -> None:
    ended = alices.run("drill")
    assert ended.code == 3 and f"sudo -u '#{ALICE}' atftctl drill" in ended.err, ended


def routed(project: Project, variable: str) -> None:
    project.write(RUNBOOK, project.read(RUNBOOK).decode() + f'\nroutes: {{oncall: {{url: "env:{variable}"}}}}\n')
    os.chown(project.root / RUNBOOK, ALICE, ALICE)


def run_from(folder: Path, project: Project, *arguments: str, **env: str) -> Ended:
    """Run a command with the interpreter `python` in this folder."""
    packages = os.pathsep.join((project.env["PYTHONPATH"], sysconfig.get_path("purelib")))
    done = subprocess.run([str(folder / "python"), "-m", "atftctl", *arguments], cwd=project.root,
                          env={**project.env, **env, "PYTHONPATH": packages}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


@needs_root
def test_a_user_who_cant_run_our_python_is_named(alices: Project, tmp_path: Path) -> None:
    """An atftctl in root's home: messages would be sent by the user, who may not enter it. It is said, and the command
    has done its work."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to(sys.executable)
    routed(alices, "ATFT_ROUTE_ONCALL")
    address = {"ATFT_ROUTE_ONCALL": "json://127.0.0.1:9/x"}
    done = run_from(closed, alices, *OOM, "--no-restart", **address)
    assert done.code == 0, done
    assert "people can't be told" in done.err and f"uid {ALICE}" in done.err and str(closed) in done.err, done
    looked = run_from(closed, alices, "doctor", **address)
    assert "nobody is told of what root does" in looked.out, looked
    tried = run_from(closed, alices, "alert", "test", "--json", **address)
    problem = json.loads(tried.out)["data"]["failed"]["oncall"]
    assert tried.code == 1 and "can't start" in problem and "the owner of the project" in problem, tried


@needs_root
def test_a_route_of_a_users_runbook_names_no_secret_of_roots(alices: Project) -> None:
    """The user has written the runbook: it can't name any variable of root's."""
    routed(alices, "AWS_SECRET_ACCESS_KEY")
    ended = alices.run("alert", "test", "--json", env=SECRETS)
    assert ended.code == 1 and "ATFT_ROUTE_" in ended.json["data"]["failed"]["oncall"], ended
    user = rights.user_of(alices.root)
    assert rights.passes_route("ATFT_ROUTE_ONCALL", user) and not rights.passes_route("AWS_SECRET_ACCESS_KEY", user)
