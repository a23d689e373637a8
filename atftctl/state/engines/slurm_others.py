"""Jobs that somebody submitted by hand in the project's folder. Any of them may train there: Slurm knows the folder of
a job, and nothing of what it does."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

from atftctl.domain.facts import UnmanagedTrainer
from atftctl.domain.process_record import ProcessRecord
from atftctl.host.process import table as procs
from atftctl.host.slurm import listing
from atftctl.host.slurm.errors import SlurmError
from atftctl.host.slurm.facts import JobFacts
from atftctl.host.slurm.states import Claim
from atftctl.protocol.messages import tr
from atftctl.state.engines.slurm_view import FRESH_S, LIMIT_S, failed, mark_of, paused
from atftctl.state.layout import Layout

OURS = ".atftctl"  # the folder in which copies of the project lie

_known: dict[str, tuple[float, tuple[JobFacts, ...]]] = {}


def jobs_of(layout: Layout, record: ProcessRecord | None) -> tuple[UnmanagedTrainer, ...]:
    """The jobs that run or wait in the project's folder, or in one below it, without the recorded one and the one that
    this command runs in. Empty where Slurm does not answer: the state of the recorded one says so."""
    real = layout.root.resolve()
    return tuple(
        _trainer(job)
        for job in _jobs(layout)
        if job.claim is not Claim.ENDED and _works_in(job, real) and not _is_known(job, record)
    )


def outside(
    jobs: tuple[UnmanagedTrainer, ...], processes: tuple[UnmanagedTrainer, ...]
) -> tuple[UnmanagedTrainer, ...]:
    """The processes of this machine that belong to none of these jobs."""
    marks = [f"SLURM_JOB_ID={job.pid}" for job in jobs]
    return tuple(process for process in processes if not any(procs.carries(_identity(process), mark) for mark in marks))


def _identity(process: UnmanagedTrainer) -> procs.Identity:
    return procs.Identity(process.pid, process.start_ticks, process.place)


def _jobs(layout: Layout) -> tuple[JobFacts, ...]:
    key = str(layout.root)
    then, jobs = _known.get(key, (0.0, ()))
    if (then and time.monotonic() - then < FRESH_S) or paused():
        return jobs
    try:
        jobs = listing.jobs(layout.root, limit_s=LIMIT_S)
    except SlurmError as error:
        failed(error)
        jobs = ()
    _known[key] = (time.monotonic(), jobs)
    return jobs


def _works_in(job: JobFacts, root: Path) -> bool:
    folder = Path(os.path.realpath(job.work_dir)) if job.work_dir.startswith("/") else None
    return folder is not None and folder.is_relative_to(root) and not folder.is_relative_to(root / OURS)


def _is_known(job: JobFacts, record: ProcessRecord | None) -> bool:
    if os.environ.get("SLURM_JOB_ID") == str(job.job_id):
        return True
    return record is not None and job.has_mark(mark_of(record))


def _trainer(job: JobFacts) -> UnmanagedTrainer:
    why_not = ""
    if job.is_array:
        why_not = tr("job {number} of user {user} belongs to a job array", number=job.job_id, user=job.user)
    return UnmanagedTrainer(
        job.job_id,
        int(job.submit_time or 0) or 1,
        job.user,
        job.command or job.name,
        ours_to_signal=os.getuid() == 0 or job.user == _our_name(),
        engine="slurm",
        place=job.cluster,
        why_not=why_not,
    )


def _our_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""
