"""Start a process that goes on when this one ends, with a parent that writes down how it ends."""

from __future__ import annotations

import json
import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from atftctl.host.errors import HostError, reason
from atftctl.host.process.table import Identity, boot_id
from atftctl.protocol.messages import tr

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
    }
    source = (pkgutil.get_data(__package__, KEEPER) or b"").decode()
    with opened(output.parent) as folder:
        out, _ = open_own(output.name, os.O_WRONLY | os.O_APPEND, folder)
    reader, writer = os.pipe()
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", source, str(writer)],
            cwd=cwd,
            env=rights.environment({name: os.environ[name] for name in PASSED if name in os.environ}, user),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            pass_fds=(writer,),
            start_new_session=True,
            preexec_fn=limited(0),  # noqa: PLW1509 - other threads only draw
            **rights.options(user),
        )
        os.close(writer)
        writer = -1
        _tell(keeper, spec)
        return _answer(reader, argv[0])
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


def _answer(reader: int, command: str) -> Identity:
    """The process. Raises HostError where it could not be started."""
    text = b""
    while block := os.read(reader, 4096):
        text += block
    try:
        answer = json.loads(text)
    except ValueError:
        raise HostError(tr("can't start {command}: {reason}", command=command, reason=tr("no answer"))) from None
    if failure := int(answer["failure"]):
        raise HostError(tr("can't start {command}: {reason}", command=command, reason=os.strerror(failure)))
    return Identity(int(answer["pid"]), int(answer["ticks"]), boot_id())
