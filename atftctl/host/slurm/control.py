"""Signal and cancel jobs. Whether it helped is for the caller to see: Slurm accepts a request and acts on it later."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from signal import Signals

from atftctl.host.slurm.command import LIMIT_S, Deadline, run
from atftctl.host.slurm.errors import NoSuchJobError, failed
from atftctl.host.slurm.facts import Job

ERROR = re.compile(r"\b(error|fatal):", re.IGNORECASE)


class Whom(Enum):
    """Which processes of a job get a signal: those of its steps (srun); the batch script alone; or all of them."""

    STEPS = ""
    BATCH = "--batch"
    ALL = "--full"


def send_signal(cwd: Path, job: Job, number: Signals, whom: Whom, *, limit_s: float = LIMIT_S) -> None:
    """Send a signal to processes of a running job. Raises NoSuchJobError and other SlurmErrors."""
    _scancel(cwd, job, [f"--signal={number.name.removeprefix('SIG')}", *filter(None, [whom.value])], limit_s)


def cancel(cwd: Path, job: Job, *, limit_s: float = LIMIT_S) -> None:
    """End a job: SIGTERM, and SIGKILL after the KillWait of the site. A job that is over is no error. Processes that
    the batch script left in the background may go on. Raises SlurmError."""
    try:
        _scancel(cwd, job, [], limit_s)
    except NoSuchJobError:
        return


def _scancel(cwd: Path, job: Job, options: list[str], limit_s: float) -> None:
    place = [f"--clusters={job.cluster}"] if job.cluster else []
    done = run(cwd, ["scancel", *options, *place, str(job.job_id)], Deadline(limit_s))
    if done.code or ERROR.search(done.error):
        raise failed("scancel", done.code, done.text)
