"""Look for jobs."""

from __future__ import annotations

import re
from pathlib import Path

from atftctl.host.slurm import json_output, text_output
from atftctl.host.slurm.command import LIMIT_S, NOT_STARTED, Deadline, run
from atftctl.host.slurm.errors import failed
from atftctl.host.slurm.facts import Job, JobFacts

NO_JSON = re.compile("unrecognized option|serializer|data_parser|json.*(not|un)|openapi", re.IGNORECASE)


def jobs(cwd: Path, *, user: str = "", limit_s: float = LIMIT_S) -> tuple[JobFacts, ...]:
    """All jobs that Slurm knows, with those that ended within its MinJobAge; or those of one user. What is hidden from
    us is missing. Raises SlurmMissingError, SlurmUnreachableError, SlurmLateError, BadOutputError, SlurmError."""
    deadline, filters = Deadline(limit_s), [f"--user={user}"] if user else []
    done = run(cwd, ["squeue", "--json", "--all", "--states=all", *filters], deadline)
    if done.code not in (0, NOT_STARTED) and NO_JSON.search(done.error):
        return text_output.list_jobs(cwd, filters, deadline)
    if done.code:
        raise failed("squeue", done.code, done.text)
    return tuple(job for job in json_output.parse_jobs(done.output) if not user or job.user == user)


def find_by_comment(cwd: Path, mark: str, *, user: str = "", limit_s: float = LIMIT_S) -> tuple[JobFacts, ...]:
    """The jobs with this word in their comment, the newest first. A job that ended before MinJobAge (5 minutes, where
    the site has not changed it) is not found any more. Raises as `jobs` does."""
    marked = [job for job in jobs(cwd, user=user, limit_s=limit_s) if job.has_mark(mark)]
    return tuple(sorted(marked, key=lambda job: (job.submit_time or 0, job.job_id), reverse=True))


def show(cwd: Path, job: Job, *, limit_s: float = LIMIT_S) -> JobFacts | None:
    """One job; None where Slurm knows no such job, or has forgotten it. For the number of an array: the element that
    has this number, or the first one. Raises as `jobs` does.

    Not by JSON: Slurm 22.05 passes over the filters of `squeue --json`, and would list the whole queue each time.
    """
    deadline = Deadline(limit_s)
    listed = _listed(cwd, job, deadline)
    facts = next((facts for facts in listed if facts.job_id == job.job_id), next(iter(listed), None))
    return facts and text_output.with_details(cwd, facts, job.cluster, deadline)


def elements(cwd: Path, job: Job, *, limit_s: float = LIMIT_S) -> tuple[JobFacts, ...]:
    """The elements of an array that Slurm knows, without restarts and exit codes; the job alone where it is none.
    Raises as `jobs` does."""
    return _listed(cwd, job, Deadline(limit_s))


def _listed(cwd: Path, job: Job, deadline: Deadline) -> tuple[JobFacts, ...]:
    listed = text_output.list_jobs(cwd, [f"--jobs={job.job_id}"], deadline, job.cluster)
    return tuple(facts for facts in listed if job.job_id in (facts.job_id, facts.array_id))
