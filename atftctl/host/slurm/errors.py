"""How a command of Slurm can fail."""

from __future__ import annotations

import re
from enum import Enum

from atftctl.host.errors import HostError
from atftctl.protocol.messages import joined, tr

QUOTED_LINES = 3  # of Slurm's own error text that a message quotes
PREFIX = re.compile(r"^\w+: (error|fatal|warning): ")
UNREACHABLE = re.compile(
    "unable to contact slurm controller|connect failure|connection refused|slurm_load_jobs|could not establish a conf"
    "|unable to process configuration|unable to establish control|munge|auth[a-z]* (credential|plugin)|sack"
    "|primary and backup controllers? not responding",
    re.IGNORECASE,
)
UNSURE = re.compile(  # the answer is lost: the request may have been carried out, or may be carried out later
    "timed out|zero bytes|unexpected message|receive failure|transport endpoint|connection reset|broken pipe"
    "|unspecified error|communication|retrying",
    re.IGNORECASE,
)
NO_SUCH_JOB = re.compile("invalid job id|job/step already completing or completed", re.IGNORECASE)


class SlurmError(HostError):
    """A command of Slurm failed; the message quotes what it printed."""


class SlurmMissingError(SlurmError):
    """The command is not installed here."""


class SlurmUnreachableError(SlurmError):
    """The controller (slurmctld) can't be reached, or this machine is not allowed to talk to it."""


class SlurmLateError(SlurmError):
    """The command did not end within its time limit, and was killed. Don't call another one: it would wait as long."""


class BadOutputError(SlurmError):
    """The command printed something that can't be read."""


class NoSuchJobError(SlurmError):
    """Slurm knows no such job, or has forgotten it: it forgets a job that ended minutes ago (MinJobAge)."""


class Cause(Enum):
    """Why Slurm refused a job."""

    PARTITION = "partition"
    ACCOUNT = "account"
    LIMITS = "limits"
    SCRIPT = "script"
    OTHER = "other"


class SubmitRejectedError(SlurmError):
    """Slurm refused the job. A record of a failed job with the same comment may exist."""

    def __init__(self, message: str, cause: Cause) -> None:
        super().__init__(message)
        self.cause = cause


class SubmitUnknownError(SlurmError):
    """Whether the job was accepted is not known, and it may still be accepted when the controller answers again: look
    for the job by its comment (`find_by_comment`), and don't submit it again before that."""


CAUSES = (  # the first that matches; texts of slurm_errno.c
    (Cause.LIMITS, "violates|limit"),
    (Cause.PARTITION, "invalid partition|partition name|required partition not available"),
    (Cause.ACCOUNT, "account|qos|permission|not permitted|access denied|user id|association"),
    (Cause.LIMITS, "configuration|memory|processors|node count|--?(time|nodes|ntasks|mem)|too (many|large)|cpu"),
    (Cause.SCRIPT, "batch script|interpreter|unrecognized|invalid"),
)


def cause_of(text: str) -> Cause:
    """Why Slurm refused a job, by what sbatch printed."""
    return next((cause for cause, words in CAUSES if re.search(words, text, re.IGNORECASE)), Cause.OTHER)


def quoted(text: str) -> str:
    """The first lines of what a command printed, in one line and without characters that steer a terminal."""
    lines = [PREFIX.sub("", line.strip()) for line in text.splitlines() if line.strip()]
    plain = ["".join(letter for letter in line if letter.isprintable())[:300] for line in lines[:QUOTED_LINES]]
    return joined("; ", plain) if plain else tr("no output")


def failed(command: str, code: int, text: str) -> SlurmError:
    """The error for a command that exited with `code` and printed `text`."""
    if code == 127:
        return SlurmMissingError(text)
    message = tr("{command} failed (exit {code}): {output}", command=command, code=code, output=quoted(text))
    if NO_SUCH_JOB.search(text):
        return NoSuchJobError(message)
    if UNREACHABLE.search(text) or UNSURE.search(text):
        return SlurmUnreachableError(message)
    return SlurmError(message)
