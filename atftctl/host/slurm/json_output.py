"""Read what `squeue --json` prints, of Slurm 21.08 and newer.

The format changes between versions: a state is a word or a list of words; a number is a number, or {"set", "infinite",
"number"}; an exit code is the status of `wait`, or a record. A command whose controller does not answer exits with 0
and prints an empty list of jobs beside its errors.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress

from atftctl.host.slurm.errors import BadOutputError, SlurmUnreachableError, quoted
from atftctl.host.slurm.facts import JobFacts
from atftctl.host.slurm.states import Claim, claim_of, words_of
from atftctl.protocol.messages import joined, tr

INVALID_JOB_ID = 2017  # ESLURM_INVALID_JOB_ID, slurm/slurm_errno.h


def parse_jobs(text: str) -> tuple[JobFacts, ...]:
    """The jobs; () where there is none. Warnings before and after the JSON are passed over. Raises BadOutputError, and
    SlurmUnreachableError where Slurm itself says that the list is not complete."""
    body = _body(text)
    _check_errors(body.get("errors"))
    jobs = body["jobs"]
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise BadOutputError(tr("squeue printed JSON whose jobs can't be read"))
    return tuple(_facts(job) for job in jobs)


def _body(text: str) -> Mapping[str, object]:
    """The first JSON object of the text that has jobs."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"^[ \t]*\{", text, re.MULTILINE):
        try:
            body, _ = decoder.raw_decode(text, match.end() - 1)
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict) and "jobs" in body:
            return body
    raise BadOutputError(tr("squeue printed no JSON with jobs: {output}", output=quoted(text)))


def _check_errors(errors: object) -> None:
    entries = [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    entries = [error for error in entries if error.get("error_number") != INVALID_JOB_ID]
    if entries:
        texts = [" ".join(str(error.get(key) or "") for key in ("description", "error")).strip() for error in entries]
        raise SlurmUnreachableError(tr("squeue could not list the jobs: {reason}", reason=quoted(joined("\n", texts))))


def _facts(job: Mapping[str, object]) -> JobFacts:
    states = words_of(job.get("job_state"))
    job_id = _number(job.get("job_id"))
    if not job_id:
        raise BadOutputError(tr("squeue printed a job without a number"))
    claim = claim_of(states)
    code, signal = _exit(job.get("exit_code")) if claim is Claim.ENDED else (None, None)
    return JobFacts(
        cluster=_text(job, "cluster"),
        job_id=job_id,
        states=states,
        array_id=_number(job.get("array_job_id")) or 0,
        array_tasks=_array_tasks(job),
        name=_text(job, "name"),
        user=_text(job, "user_name") or str(_number(job.get("user_id")) or ""),
        account=_text(job, "account"),
        partition=_text(job, "partition"),
        comment=_text(job, "comment"),
        restarts=_number(job.get("restart_cnt")),
        submit_time=_time(job.get("submit_time")),
        start_time=None if claim is Claim.WAITING else _time(job.get("start_time")),
        end_time=_time(job.get("end_time")) if claim is Claim.ENDED else None,
        nodes=_text(job, "nodes"),
        exit_code=code,
        signal=signal,
        reason="" if (reason := _text(job, "state_reason")) == "None" else reason,
        work_dir=_text(job, "current_working_directory"),
        command=_text(job, "command"),
        requeue=_truth(job.get("requeue")),
        batch=_truth(job.get("batch_flag")),
    )


def _text(job: Mapping[str, object], key: str) -> str:
    value = job.get(key)
    if isinstance(value, Mapping):  # some builds of 23.11 print a comment with who wrote it
        value = value.get("job") or value.get("comment")
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    if isinstance(value, Mapping):
        value = value.get("number") if value.get("set", True) and not value.get("infinite") else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    with suppress(ValueError, OverflowError):  # a text; NaN; infinity
        return int(value)
    return None


def _time(value: object) -> float | None:
    number = _number(value)
    return float(number) if number else None


def _truth(value: object) -> bool | None:
    number = value if isinstance(value, bool) else _number(value)
    return None if number is None else bool(number)


def _array_tasks(job: Mapping[str, object]) -> str:
    task = _number(job.get("array_task_id"))
    if _number(job.get("array_job_id")) and task is not None:
        return str(task)
    return _text(job, "array_task_string")


def _exit(value: object) -> tuple[int | None, int | None]:
    """(exit code, signal); None for what is not known."""
    if isinstance(value, Mapping) and ("return_code" in value or "signal" in value):
        signal = value.get("signal")
        number = _number(signal.get("id", signal.get("signal_id"))) if isinstance(signal, Mapping) else None
        return _number(value.get("return_code")), number or None
    status = _number(value)
    if status is None or not 0 <= status < 1 << 16:
        return None, None
    return (None, os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (os.WEXITSTATUS(status), None)
