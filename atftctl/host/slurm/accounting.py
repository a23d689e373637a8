"""What Slurm's database (slurmdbd) says of a job, where a site has one."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from atftctl.host.slurm.command import LIMIT_S, Deadline, run
from atftctl.host.slurm.errors import failed
from atftctl.host.slurm.facts import AccountingFacts, Job
from atftctl.host.slurm.states import words_of

FIELDS = ("JobIDRaw", "State", "ExitCode", "Submit", "Start", "End", "NodeList")
DISABLED = re.compile("accounting storage is disabled|slurm_persist_conn|slurmdbd", re.IGNORECASE)


def accounting(cwd: Path, job: Job, *, limit_s: float = LIMIT_S) -> tuple[AccountingFacts, ...]:
    """The starts of a job, the oldest first; () where the site keeps no accounts, or has none of this job. Raises
    SlurmLateError, and SlurmError where sacct fails in another way."""
    mark = secrets.token_hex(8)
    argv = ["sacct", "--noheader", "--parsable2", f"--delimiter={mark}", "--allocations", "--duplicates"]
    argv += [f"--format={','.join(FIELDS)}", f"--jobs={job.job_id}"]
    done = run(cwd, argv, Deadline(limit_s), more={"SLURM_TIME_FORMAT": "%s"})
    if done.code == 127 or (done.code and DISABLED.search(done.text)):
        return ()
    if done.code:
        raise failed("sacct", done.code, done.text)
    return parse_accounts(done.output, mark)


def parse_accounts(text: str, delimiter: str) -> tuple[AccountingFacts, ...]:
    """The lines that sacct printed; a line that can't be read is passed over."""
    rows = [line.split(delimiter) for line in text.splitlines()]
    return tuple(_facts(row) for row in rows if len(row) == len(FIELDS) and row[0].isdecimal())


def _facts(row: list[str]) -> AccountingFacts:
    job_id, state, ended, submitted, start, end, nodes = row
    code, _, signal = ended.partition(":")
    return AccountingFacts(
        job_id=int(job_id),
        states=words_of(state),
        exit_code=int(code) if code.isdecimal() else None,
        signal=int(signal) if signal.isdecimal() and int(signal) else None,
        submit_time=_time(submitted),
        start_time=_time(start),
        end_time=_time(end),
        nodes=nodes if nodes != "None assigned" else "",
    )


def _time(text: str) -> float | None:
    return float(text) if text.isdecimal() and int(text) else None
