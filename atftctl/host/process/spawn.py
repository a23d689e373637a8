"""Start a process that goes on when this one ends."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.host.errors import HostError
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    import subprocess


def spawn(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path, memory_limit_mb: int = 0
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, with the rights of the owner of `cwd`. Its standard output and error are
    appended to the file `output`.

    The memory limit is RLIMIT_DATA, set in the child before exec, so that its own children inherit it; 0: no limit.
    Raises HostError where it can't be started; OSError, NotRegularError and SymlinkError for `output`.
    """
    import subprocess

    from atftctl.host.files.durable import open_own
    from atftctl.host.files.folders import opened
    from atftctl.host.process import rights
    from atftctl.host.process.child import started
    from atftctl.host.process.command import limited

    with opened(output.parent) as folder:
        out, _ = open_own(output.name, os.O_WRONLY | os.O_APPEND, folder)
    try:
        prepare = limited(memory_limit_mb)
        return started(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, prepare=prepare)
    except OSError as error:
        raise HostError(rights.not_started(argv[0], error, rights.user_of(cwd))) from None
    except (subprocess.SubprocessError, ValueError) as error:  # from preexec_fn: a limit that can't be set
        limit = tr("a memory limit of {limit_mb} MB", limit_mb=memory_limit_mb)
        raise HostError(
            tr("can't start {command} with {limit}: {reason}", command=argv[0], limit=limit, reason=str(error))
        ) from None
    finally:
        os.close(out)


def spawn_unheard(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
    """As `spawn`, for a child of our own whose output nobody reads and which resets its signals itself: it is started
    without a copy of this process, in about a millisecond. Raises OSError."""
    import subprocess

    from atftctl.host.process.child import started

    dropped = subprocess.DEVNULL
    started(argv, cwd=cwd, env=env, stdin=dropped, stdout=dropped, stderr=dropped)
