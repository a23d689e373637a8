"""Start a process outside of the operator's login session, where systemd runs.

systemd may kill every process of a session at its end (`KillUserProcesses=yes`), also those in a Unix session of their
own. A scope is a control group that does not belong to the login session.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

BOOTED = Path("/run/systemd/system")  # exists where systemd is the init process, see sd_booted(3)
LINGER = Path("/var/lib/systemd/linger")  # a file for each user whose services outlive the user's last session


def scope_command(*, booted: Path = BOOTED, linger: Path = LINGER, uid: int | None = None) -> tuple[str, ...]:
    """The command to put before another one, so that it runs in a scope of its own; empty where that is not possible.

    Without lingering, systemd ends all scopes of a user with the user's last session: a plain process, which most
    systems leave alone, is then the safer one. `uid`: of the user, default ours.
    """
    program = shutil.which("systemd-run")
    if not program or not booted.is_dir():
        return ()
    uid = os.geteuid() if uid is None else uid
    how = (program, "--scope", "--quiet", "--collect")
    if uid == 0:
        return (*how, "--")
    return (*how, "--user", "--") if (linger / _name(uid)).is_file() else ()


def _name(uid: int) -> str:
    """The name of a user; the number where the user has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
