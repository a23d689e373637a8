"""Start a child that is no part of this process's session, with the rights of the owner of a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.host.process import rights

if TYPE_CHECKING:
    import subprocess


def started(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
    prepare: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the command in a session of its own, in the folder `cwd` and with the rights of its owner.

    `prepare`: called in the child between fork and exec; without it, the child is started without a copy of this
    process. Raises OSError; SubprocessError and ValueError where `prepare` fails."""
    import subprocess

    user = rights.user_of(cwd)
    return subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=rights.environment(env, user),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509 - other threads only draw
        **rights.options(user),
    )
