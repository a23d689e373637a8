"""A program that does not behave: it forks, leaves its session, hangs, fills memory or the disk. None of it is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atftctl.host.process.supervised import Limits, Supervised, supervised
from tests.support.projects import ROOT, wait_for
from tests.support.users import ALICE, needs_root

FORKS = """
import os, sys, time
for _ in range({count}):
    if os.fork() == 0:
        if {daemon}:
            os.setsid()
            if os.fork():
                os._exit(0)
        open(sys.argv[1], "a").write(f"{{os.getpid()}}\\n")
        time.sleep(600)
        os._exit(0)
time.sleep({stays})
"""
EATS = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        held = bytearray(os.urandom(1)) * (60 << 20)
        time.sleep(600)
time.sleep(600)
"""


def run(tmp_path: Path, program: str, **limits: float) -> Supervised:
    with supervised(
        [sys.executable, "-c", program, str(tmp_path / "pids")],
        cwd=tmp_path,
        env=dict(os.environ),
        output=tmp_path / "out.log",
        limits=Limits(**{"seconds": 20.0, **limits}),  # type: ignore[arg-type]
    ) as made:
        made.wait()
    return made


def living(tmp_path: Path) -> list[int]:
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_a_program_that_ends(tmp_path: Path) -> None:
    made = run(tmp_path, "print('hello'); raise SystemExit(3)")
    assert made.code == 3 and not made.problem and (tmp_path / "out.log").read_text() == "hello\n"


def test_one_that_can_not_be_started(tmp_path: Path) -> None:
    with supervised(
        ["/no/such/program"], cwd=tmp_path, env={}, output=tmp_path / "out.log", limits=Limits(seconds=5)
    ) as made:
        made.wait()
    assert made.code is None and "can't start /no/such/program" in made.problem


@pytest.mark.parametrize("daemon", [False, True])
def test_no_child_is_left_not_even_a_daemon(tmp_path: Path, daemon: bool) -> None:
    run(tmp_path, FORKS.format(count=3, daemon=daemon, stays=0.5))
    assert len((tmp_path / "pids").read_text().split()) == 3
    wait_for(lambda: not living(tmp_path))


def test_a_program_that_hangs_is_killed_after_its_time(tmp_path: Path) -> None:
    begun = time.monotonic()
    made = run(tmp_path, FORKS.format(count=1, daemon=True, stays=600), seconds=1.0)
    assert "did not end within 1 s" in made.problem and time.monotonic() - begun < 120
    wait_for(lambda: not living(tmp_path))


def test_too_many_processes_and_too_much_output(tmp_path: Path) -> None:
    made = run(tmp_path, FORKS.format(count=12, daemon=False, stays=600), processes=8)
    assert "more than 8 processes" in made.problem
    wait_for(lambda: not living(tmp_path))
    (tmp_path / "out.log").unlink()
    made = run(tmp_path, "while True: print('x' * 100000)", output_bytes=1 << 20)
    assert "more than 1 MB of output" in made.problem


def test_the_memory_of_all_processes_together_is_limited(tmp_path: Path) -> None:
    made = run(tmp_path, EATS, memory_mb=150)
    assert "MB of memory; it may take 150 MB" in made.problem


def test_a_program_dies_with_us(tmp_path: Path) -> None:
    ours = f"""
import os, signal, sys
from pathlib import Path
from atftctl.host.process.supervised import Limits, supervised
with supervised([sys.executable, "-c", {FORKS.format(count=0, daemon=False, stays=600)!r}], cwd=Path("."),
                env=dict(os.environ), output=Path("out.log"), limits=Limits(60)) as program:
    print(program._child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", ours], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    pid = int(done.stdout)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or " Z " in Path(f"/proc/{pid}/stat").read_text())


def test_an_exception_leaves_no_process(tmp_path: Path) -> None:
    program = FORKS.format(count=2, daemon=True, stays=600)
    with pytest.raises(KeyboardInterrupt), supervised(
        [sys.executable, "-c", program, str(tmp_path / "pids")],
        cwd=tmp_path, env=dict(os.environ), output=tmp_path / "out.log", limits=Limits(seconds=60),
    ):  # fmt: skip
        wait_for(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 2)
        raise KeyboardInterrupt
    wait_for(lambda: not living(tmp_path))


@needs_root
def test_the_owner_of_the_project_may_lack_a_right_that_root_has(tmp_path: Path) -> None:
    """An interpreter in /root: "Permission denied" alone sends root to look for a right that root has."""
    program, project = tmp_path / "program", tmp_path / "project"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    project.mkdir()
    os.chown(project, ALICE, ALICE)
    with supervised(
        [str(program)], cwd=project, env=dict(os.environ), output=tmp_path / "out.log", limits=Limits(5)
    ) as ran:
        assert f"with the rights of uid {ALICE}, the owner of the project: Permission denied" in ran.problem
        assert not ran.started
