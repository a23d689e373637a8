"""Run several commands at the same time, each with its own input, up to one time limit for all of them."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.process import rights
from atftctl.host.process.child import started
from atftctl.host.process.command import Done, limited
from atftctl.protocol.messages import tr

LONGEST = 64 << 10  # bytes of output that are kept of each
LARGEST = 64 << 10  # bytes of input: so much fits into a pipe that nobody reads yet


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    output: bytes = b""
    late: bool = False  # it was killed, since the time was over


def run_together(
    argv: Sequence[str], inputs: Sequence[bytes], *, cwd: Path, env: Mapping[str, str], limit_s: float
) -> list[Done]:
    """Run the command once for each of the inputs, which are at most `LARGEST` bytes long, with the rights of the owner
    of `cwd`. After `limit_s` seconds every process group that is left is killed. Returns how each ended, in order; its
    standard error is dropped. Raises nothing."""
    children: list[_Child | Done] = [_start(argv, given, cwd, env) for given in inputs]
    running = [child for child in children if isinstance(child, _Child)]
    try:
        _read(running, time.monotonic() + limit_s)
    finally:
        for child in running:
            _end(child)
    return [child if isinstance(child, Done) else _done(child) for child in children]


def _start(argv: Sequence[str], given: bytes, cwd: Path, env: Mapping[str, str]) -> _Child | Done:
    pipe, dropped = subprocess.PIPE, subprocess.DEVNULL
    prepare = limited(0, die_with=os.getpid())
    try:
        process = started(argv, cwd=cwd, env=env, stdin=pipe, stdout=pipe, stderr=dropped, prepare=prepare)
    except (OSError, subprocess.SubprocessError) as error:
        return Done(127, rights.not_started(argv[0], error, rights.user_of(cwd)))
    assert process.stdin is not None
    with suppress(OSError):  # it has ended already
        process.stdin.write(given[:LARGEST])
        process.stdin.close()
    return _Child(process)


def _read(children: list[_Child], deadline: float) -> None:
    """Read what they write until each has closed its output, or the time is over."""
    with selectors.DefaultSelector() as selector:
        for child in children:
            assert child.process.stdout is not None
            selector.register(child.process.stdout, selectors.EVENT_READ, child)
        while selector.get_map() and (left_s := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                data = os.read(key.fd, LONGEST)
                key.data.output = (key.data.output + data)[:LONGEST]
                if not data:
                    selector.unregister(key.fileobj)
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(max(deadline - time.monotonic(), 0))


def _end(child: _Child) -> None:
    if child.process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        child.late = True
    if child.process.stdout:
        child.process.stdout.close()


def _done(child: _Child) -> Done:
    if child.late:
        return Done(None, tr("the command did not end in time"))
    return Done(child.process.returncode, child.output.decode("utf-8", "replace"))
