"""Start the process that undoes a change which is not confirmed in time.

It runs from a private copy of atftctl, since the change may concern the code of atftctl itself, and in a session of its
own, so that it outlives the operator's terminal.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from atftctl.host.errors import HostError
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import free_bytes, try_read
from atftctl.host.process import owner, rights, scopes
from atftctl.host.process import spawn as spawning
from atftctl.host.self_copy import private_copy, relay
from atftctl.protocol.messages import tr
from atftctl.state import confirm_timer
from atftctl.state.layout import Layout

COMMAND = "__timer"  # how the process is called; not for people
READY_S = 30.0  # how long the process may take until it is ready
ROOM = 64 << 20  # bytes; with less free space no copy is made that is not needed
LEFT_OUT = ("trainer",)  # what is compiled is copied, too: otherwise the start takes seconds


def home_for(layout: Layout, operation: str) -> Path:
    """Return the folder of a new private copy."""
    return layout.tools / f"{owner.own_name()}-{operation}"


def log_of(layout: Layout, operation: str) -> Path:
    """Return the log of an operation's timer."""
    return layout.operations / operation / "timer.log"


def start(layout: Layout, operation: str, home: Path) -> None:
    """Start the timer from a new copy at `home`, and wait until it is ready. Raises HostError where it does not get
    ready; OSError."""
    make_dirs(layout.operations / operation, 0o700)
    source = _copied(layout, home)
    scope = () if rights.user_of(layout.root) else scopes.scope_command()
    if scope and _starts(layout, operation, source, scope):
        return
    if not _starts(layout, operation, source, ()):
        lines = (try_read(log_of(layout, operation)) or b"").decode("utf-8", "replace").splitlines()
        last = next((line for line in reversed(lines) if line.strip()), tr("no output"))
        raise HostError(tr("the timer that undoes an unconfirmed change did not start: {reason}", reason=last[:200]))


def _copied(layout: Layout, home: Path) -> Path:
    """Return the folder to run from: the new copy; on an almost full disk our own, where the project can't change it.
    Raises OSError."""
    if not private_copy.lies_in(layout.root) and free_bytes(layout.state) < ROOM:
        return private_copy.package().parent
    private_copy.copy_to(home, LEFT_OUT)
    return home


def _starts(layout: Layout, operation: str, source: Path, scope: Sequence[str]) -> bool:
    """Start it once; is it ready then? Raises HostError, OSError."""
    child = spawning.spawn(
        [*scope, *relay.command((COMMAND, operation))],
        cwd=layout.root,
        env=relay.environment(source),
        output=log_of(layout, operation),
    )
    try:
        ready = _await_ready(layout, operation, child)
    except BaseException:
        _end(child)
        raise
    if not ready:
        _end(child)
    return ready


def _await_ready(layout: Layout, operation: str, child: subprocess.Popen[bytes]) -> bool:
    """Wait until this process has recorded itself as the timer. False where it ended, or the time is up."""
    deadline = time.monotonic() + READY_S
    while child.poll() is None and time.monotonic() < deadline:
        who = confirm_timer.living(layout, operation)
        if who and who.pid == child.pid:
            return True
        time.sleep(0.01)
    return False


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        child.kill()
    child.wait()
