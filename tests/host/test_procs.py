"""Processes: who one is, asking, killing, and proof that nobody is left. Real children, no mocks."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from atftctl.host.process import spawn as spawning
from atftctl.host.process import stop as control
from atftctl.host.process import table as procs
from tests.support.projects import wait_for

RUN = f"procs-test-{os.getpid()}"  # tests run side by side, and each kills by its own mark
MARK = f"ATFTCTL_RUN_ID={RUN}"
Spawn = Callable[[str], procs.Identity]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start Python code as a trainer is started; whatever is left is killed at the end."""
    started: list[procs.Identity] = []

    def start(code: str) -> procs.Identity:
        ready = tmp_path / f"ready{len(started)}"
        code = f"import os, signal, sys, time\n{code}\nopen({str(ready)!r}, 'w').close()\ntime.sleep(600)"
        env = {**os.environ, "ATFTCTL_RUN_ID": RUN}
        child = spawning.spawn([sys.executable, "-c", code], cwd=tmp_path, env=env, output=tmp_path / "out")
        who = procs.identify(child.pid)
        assert who is not None
        started.append(who)
        wait_for(ready.exists)
        return who

    yield start
    for who in started:
        for member in procs.members(who, MARK):
            os.kill(member.pid, signal.SIGKILL)
        if procs.alive(who):
            os.kill(who.pid, signal.SIGKILL)


def test_a_polite_child_is_asked_and_leaves(spawn: Spawn) -> None:
    who = spawn("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))")
    assert control.stop(who, MARK, grace_s=10) == []
    assert not procs.alive(who)


def test_a_process_whose_name_ends_in_half_a_letter_is_seen_and_stopped(spawn: Spawn) -> None:
    # As setproctitle does it: the kernel keeps 15 bytes of a name, and each Japanese letter has three.
    who = spawn("import ctypes; ctypes.CDLL(None).prctl(15, 'x日本語の学習'.encode(), 0, 0, 0)")
    assert b"\xe5\xad)" in Path(f"/proc/{who.pid}/stat").read_bytes()
    assert procs.identify(who.pid) == who and procs.alive(who) and procs.anonymous_mb(who.pid)
    assert who in procs.members(who, MARK)
    control.stop(who, MARK, grace_s=10)
    assert not procs.alive(who)


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(spawn: Spawn) -> None:
    who = spawn("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    begun = time.monotonic()
    assert control.stop(who, MARK, grace_s=0.5) == [who.pid]
    assert 0.5 <= time.monotonic() - begun < 120
    assert not procs.alive(who)


def test_a_stopped_child_can_still_answer(spawn: Spawn) -> None:
    who = spawn("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))")
    os.kill(who.pid, signal.SIGSTOP)
    wait_for(lambda: procs.state_letter(who.pid) == "T")
    assert control.stop(who, MARK, grace_s=10) == []


FORKS = {
    "fork": "if os.fork() == 0: signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600); os._exit(0)",
    "session of its own": "if os.fork() == 0: os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600); os._exit(0)",
    "double fork": "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0: signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)\n os._exit(0)",
}


@pytest.mark.parametrize("code", FORKS.values(), ids=FORKS)
def test_nobody_is_left_over(spawn: Spawn, code: str) -> None:
    who = spawn(code)
    wait_for(lambda: len(procs.members(who, MARK)) == 2)
    everyone = procs.members(who, MARK)
    control.stop(who, MARK, grace_s=10)
    assert not any(procs.alive(one) for one in everyone)
    assert procs.members(who, MARK) == set()


def test_a_reused_pid_is_never_signalled(spawn: Spawn) -> None:
    """The recorded pid belongs to another process now: same number, another start time."""
    who = spawn("")
    stale = dataclasses.replace(who, ticks=who.ticks - 1)
    assert not procs.alive(stale)
    assert not control.send(stale, signal.SIGKILL)
    assert control.stop(stale, "", grace_s=0.2) == []
    assert procs.alive(who)


def test_another_boot_is_another_process(spawn: Spawn) -> None:
    who = spawn("")
    assert not procs.alive(dataclasses.replace(who, boot="00000000-0000-0000-0000-000000000000"))


def test_a_zombie_has_died() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    who = procs.identify(child.pid)
    assert who is not None
    wait_for(lambda: procs.state_letter(child.pid) == "Z")
    assert not procs.alive(who)
    child.wait()


def test_the_memory_limit_is_set_before_exec_and_inherited(tmp_path: Path) -> None:
    code = "import resource, subprocess, sys; print(resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    child = spawning.spawn(
        [sys.executable, "-c", nested], cwd=tmp_path, env=os.environ, output=tmp_path / "out", memory_limit_mb=300
    )
    assert child.wait() == 0
    assert (tmp_path / "out").read_text().strip() == "300"


def test_a_process_is_found_by_its_words_and_its_folder(spawn: Spawn, tmp_path: Path) -> None:
    who = spawn("")
    here = tmp_path.__eq__
    assert [process.pid for process in procs.find_command(lambda words: "-c" in words, here)] == [who.pid]
    assert procs.find_command(lambda words: "-c" in words, tmp_path.parent.__eq__) == []
    assert procs.find_command(lambda words: "nothing like it" in words, here) == []
