"""Hand a batch script to Slurm."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from atftctl.host.slurm.command import LIMIT_S, Deadline, Done, run
from atftctl.host.slurm.errors import (
    UNREACHABLE,
    UNSURE,
    SlurmError,
    SlurmLateError,
    SlurmMissingError,
    SlurmUnreachableError,
    SubmitRejectedError,
    SubmitUnknownError,
    cause_of,
    failed,
    quoted,
)
from atftctl.host.slurm.facts import Job
from atftctl.protocol.messages import tr

HANDED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ")  # of our environment, to the job
PARSABLE = re.compile(r"^(\d+)(?:;([A-Za-z0-9_.-]+))?$", re.MULTILINE)


def submit(
    cwd: Path,
    script: bytes,
    *,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    limit_s: float = LIMIT_S,
) -> Job:
    """Submit the script with the working folder `cwd`; `options` go to sbatch beside those of the script. The job gets
    HANDED_ON of our environment, and `env`: what may be secret is not part of the script, which Slurm shows.

    Raises SlurmMissingError, SlurmUnreachableError and SubmitRejectedError where the job was not accepted;
    SubmitUnknownError where nobody knows. What the caller has to know afterwards must be durable before this call.
    """
    argv = ["sbatch", "--parsable", f"--chdir={cwd}", *options]
    try:
        done = run(cwd, argv, Deadline(limit_s), stdin=script, more=env, only=HANDED_ON)
    except SlurmLateError as error:
        raise SubmitUnknownError(error.message) from None
    if done.code:
        raise _refusal(done)
    match = PARSABLE.search(done.output)
    if match is None:
        raise SubmitUnknownError(tr("sbatch printed no job number: {output}", output=quoted(done.text)))
    return Job(int(match[1]), match[2] or "")


def _refusal(done: Done) -> SlurmError:
    error = failed("sbatch", done.code, done.text)
    if isinstance(error, SlurmMissingError):
        return error
    if done.code < 0 or UNSURE.search(done.text):
        return SubmitUnknownError(error.message)
    if UNREACHABLE.search(done.text):
        return SlurmUnreachableError(error.message)
    return SubmitRejectedError(error.message, cause_of(done.text))
