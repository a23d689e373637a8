"""List jobs with `squeue --format`: one job; all of them where `squeue --json` is not supported (before 21.08, or built
without JSON).

The fields are divided by a mark that is drawn for each call: a job's name can hold any text, but not this one.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from atftctl.host.slurm.command import Deadline, run
from atftctl.host.slurm.errors import NO_SUCH_JOB, BadOutputError, failed
from atftctl.host.slurm.facts import JobFacts
from atftctl.host.slurm.states import Claim, claim_of, words_of
from atftctl.protocol.messages import tr

FORMAT = ("%A", "%F", "%K", "%T", "%r", "%u", "%a", "%P", "%V", "%S", "%e", "%N", "%j", "%k", "%Z", "%o")
NOTHING = frozenset(("(null)", "N/A", "NONE", "Unknown", "None"))
IN_SECONDS = {"SLURM_TIME_FORMAT": "%s"}
DETAILS = re.compile(r" Requeue=(\d+) Restarts=(\d+) BatchFlag=(\d+) Reboot=\d+ ExitCode=(\d+):(\d+) ")
CLUSTER = re.compile(r"^ClusterName\s*=\s*(\S+)", re.MULTILINE)
_names: dict[str, str] = {}


def list_jobs(cwd: Path, filters: Sequence[str], deadline: Deadline, cluster: str = "") -> tuple[JobFacts, ...]:
    """The jobs, as `listing.jobs`; without restarts, exit codes and flags. `cluster`: another one than that of this
    machine. Raises SlurmError."""
    mark = secrets.token_hex(8)
    form = mark + f" {mark} ".join(FORMAT)
    argv = ["squeue", "--noheader", "--all", "--states=all", f"--format={form}", *filters, *_on(cluster)]
    done = run(cwd, argv, deadline, more=IN_SECONDS)
    if done.code and NO_SUCH_JOB.search(done.text):
        return ()
    if done.code:
        raise failed(argv[0], done.code, done.text)
    cluster = cluster or _cluster(cwd, deadline)
    records = re.split(rf"(?:^|\n){mark}", done.output.removesuffix("\n"))[1:]
    return tuple(_facts(record.split(f" {mark} "), cluster) for record in records)


def with_details(cwd: Path, job: JobFacts, cluster: str, deadline: Deadline) -> JobFacts:
    """The job with its restarts, flags and exit code, where scontrol tells them without doubt. Raises SlurmError."""
    argv = ["scontrol", "--oneliner", *_on(cluster), "show", "job", str(job.job_id)]
    done = run(cwd, argv, deadline, more=IN_SECONDS)
    if done.code and NO_SUCH_JOB.search(done.text):  # forgotten since the list was made
        return job
    if done.code:
        raise failed(argv[0], done.code, done.text)
    matches = DETAILS.findall(done.output)
    if len(matches) != 1:  # an array; or the name of the job holds the same words
        return job
    requeue, restarts, batch, code, signal = map(int, matches[0])
    ended = job.claim is Claim.ENDED
    return replace(
        job,
        requeue=bool(requeue),
        restarts=restarts,
        batch=bool(batch),
        exit_code=code if ended and not signal else None,
        signal=signal if ended and signal else None,
    )


def _on(cluster: str) -> list[str]:
    return [f"--clusters={cluster}"] if cluster else []


def _cluster(cwd: Path, deadline: Deadline) -> str:
    """The name of this machine's cluster, which is asked for once in a process and configuration."""
    place = os.environ.get("SLURM_CONF", "")
    if place not in _names:
        done = run(cwd, ["scontrol", "show", "config"], deadline)
        match = CLUSTER.search(done.output)
        if done.code or not match:
            raise failed("scontrol", done.code, done.text)
        _names[place] = match[1]
    return _names[place]


def _facts(fields: Sequence[str], cluster: str) -> JobFacts:
    if len(fields) != len(FORMAT) or not fields[0].isdecimal():
        raise BadOutputError(tr("squeue printed a line that can't be read"))
    values = ["" if field in NOTHING else field for field in fields]
    job_id, array, task, state, reason, user, account, partition, submitted, start, end, nodes, name, *others = values
    states = words_of(state)
    claim = claim_of(states)
    in_array = bool(task)
    return JobFacts(
        cluster=cluster,
        job_id=int(job_id),
        states=states,
        array_id=int(array) if in_array and array.isdecimal() else 0,
        array_tasks=task,
        name=name,
        user=user,
        account=account,
        partition=partition,
        comment=others[0],
        submit_time=_time(submitted),
        start_time=None if claim is Claim.WAITING else _time(start),
        end_time=_time(end) if claim is Claim.ENDED else None,
        nodes=nodes,
        reason=reason,
        work_dir=others[1],
        command=others[2],
    )


def _time(text: str) -> float | None:
    return float(text) if text.isdecimal() else None
