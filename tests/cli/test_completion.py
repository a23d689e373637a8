"""Shell completion, in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.projects import ROOT, RUNBOOK, Project

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")


@pytest.fixture
def command(project: Project, tmp_path: Path) -> Project:
    """The project, with `atftctl` on the path."""
    program = tmp_path / "bin" / "atftctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m atftctl "$@"\n')
    program.chmod(0o755)
    project.env["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return project


def complete(project: Project, *arguments: str) -> list[str]:
    """What bash offers for the last argument."""
    words = " ".join(f"'{argument}'" for argument in ("atftctl", *arguments))
    script = (
        "source <(atftctl completion bash) || exit 9\n"
        f"COMP_WORDS=({words}); COMP_CWORD={len(arguments)}\n"
        'compopt() { echo "files"; }\n_atftctl; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=project.root, env=project.env, capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        (("roll",), "rollback"),
        (("help", "tr"), "trainer"),
        (("backup", "ver"), "verify"),
        (("rollback", "--sym"), "--symptom"),
        (("rollback", "--symptom", "o"), "oom"),
        (("rollback", "--symptom", "=", "o"), "oom"),
        (("rollback", "--feature", "use_"), "use_ema"),
        (("config", "set", "use_"), "use_ema"),
        (("trainer", "start", "--resume", "b"), "best"),
        (("restore", "last-"), "last-good"),
        (("completion", "f"), "fish"),
        (("verify", "--lang", "j"), "ja"),
        (("verify", "--check", "ser"), "service"),
        (("verify", "--junit", ""), "files"),
        (("drill", "--data", ""), "files"),
        (("status", "--project", ""), "files"),
    ],
)
def test_the_only_candidate(command: Project, arguments: tuple[str, ...], offered: str) -> None:
    assert complete(command, *arguments) == [offered]


def test_snapshots_and_operations(command: Project) -> None:
    snapshot = command.run("backup", "--label", "before-upgrade", "--json").json["data"]["id"]
    operation = command.run("rollback", "--immediate", "--yes", "--json").json["data"]["operation"]
    assert snapshot in complete(command, "restore", snapshot[:8])
    assert complete(command, "rollback", "--to", "before") == ["before-upgrade"]
    assert complete(command, "show", "") == [operation]


def test_a_broken_runbook_offers_nothing(command: Project) -> None:
    command.write(RUNBOOK, "symptoms: [")
    assert complete(command, "rollback", "--symptom", "") == []
    assert complete(command, "roll") == ["rollback"]


def test_outside_of_a_project_nothing_is_offered(command: Project, tmp_path: Path) -> None:
    assert complete(command, "rollback", "--project", str(tmp_path), "--symptom", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_what_that_shell_can_read(command: Project, shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(command.run("completion", shell).out)
    assert "__complete" in script.read_text()
    if shutil.which(shell):
        assert subprocess.run([shell, "-n", str(script)], capture_output=True).returncode == 0


def test_an_unknown_shell_is_refused(project: Project) -> None:
    assert project.run("completion", "tcsh").code == 2


def test_completion_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['atftctl', '__complete', '--', 'rollback', '--sym']\n"
        "from atftctl.cli.main import main\nmain()\n"
        "print('HEAVY', {'rich', 'yaml', 'ruamel.yaml', 'git', 'psutil', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "--symptom" in done.stdout and "HEAVY set()" in done.stdout, done
