"""Start a process that goes on when this one ends, with a parent that writes down how it ends."""

from __future__ import annotations

import json
import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.host.errors import HostError, reason
from atftctl.host.process.table import Identity, alive, boot_id
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.host.process.rights import User

KEEPER = "keeper.py"
PASSED = ("PATH", "LANG", "TMPDIR")  # of our environment, to the keeper itself


def spawn_kept(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path, exits: Path, memory_limit_mb: int = 0
) -> Identity:
    """As `spawn.spawn`; return the process, which may have ended. `exits`: the file to which its exit code is written,
    and those of the processes that it leaves in the background; its folder exists. Raises HostError and OSError, as
    `spawn` does."""
    import subprocess

    from atftctl.host.files.durable import open_own
    from atftctl.host.files.folders import opened
    from atftctl.host.process import rights
    from atftctl.host.process.command import limited

    user = rights.user_of(cwd)
    spec = {
        "argv": list(argv),
        "env": rights.environment(env, user),
        "limit": memory_limit_mb << 20,
        "exits": str(exits),
        "user": {"uid": user.uid, "gid": user.gid, "groups": rights.groups_of(user)} if user else None,
    }
    source = (pkgutil.get_data(__package__, KEEPER) or b"").decode()
    with opened(output.parent) as folder:
        out, _ = open_own(output.name, os.O_WRONLY | os.O_APPEND, folder)
    reader, writer = os.pipe()
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", source, str(writer)],
            cwd=cwd,
            env={name: os.environ[name] for name in PASSED if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            pass_fds=(writer,),
            start_new_session=True,
            preexec_fn=limited(0),  # noqa: PLW1509 - other threads only draw
        )  # with our rights, which it gives up: the user may not be able to run our interpreter
        os.close(writer)
        writer = -1
        _tell(keeper, spec)
        return _answer(reader, argv[0], user)
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(tr("can't start {command}: {reason}", command=argv[0], reason=reason(error))) from None
    finally:
        os.close(reader)
        os.close(out)
        if writer >= 0:
            os.close(writer)


def _tell(keeper: object, spec: Mapping[str, object]) -> None:
    stdin = getattr(keeper, "stdin", None)
    if stdin is not None:
        with stdin:
            stdin.write(json.dumps(spec).encode())


def _answer(reader: int, command: str, user: User | None) -> Identity:
    """The process. Raises HostError where it could not be started."""
    text = b""
    while block := os.read(reader, 4096):
        text += block
    answer: dict[str, int] = {}
    for line in text.splitlines():
        with suppress(ValueError):
            answer |= json.loads(line)
    if failure := answer.get("failure", 0):
        from atftctl.host.process import rights

        raise HostError(rights.not_started(command, OSError(failure, os.strerror(failure)), user))
    process = Identity(answer["pid"], answer["ticks"], boot_id()) if "pid" in answer else None
    # Without the second line its parent was killed. It does not run the command, or did not fail to: see `_start`.
    if process is None or not ("failure" in answer or alive(process)):
        raise HostError(tr("can't start {command}: {reason}", command=command, reason=tr("no answer")))
    return process
