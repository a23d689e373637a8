"""Which logs the trainer writes, and which lines of them are errors: the section `logs` of the runbook, and the
patterns that are used where it names none."""

from __future__ import annotations

import re
import warnings
from typing import Literal

from atftctl.domain.record import record
from atftctl.protocol import LOG, OUTPUT
from atftctl.protocol.messages import Message, tr

Severity = Literal["fatal", "error", "warning"]  # fatal: the run can't go on after it
Role = Literal["", "root-cause", "consequence", "teardown"]
LONGEST_PATTERN = 2000  # characters


@record
class ErrorPattern:
    """One kind of error: its name, and the regular expression that is searched in each line. Of several patterns that
    match a line, the first one counts. `role`: what such a line is of a fault: its root cause, a consequence of it, or
    the teardown that follows; "" where that can't be said. `symptom`: the symptom of the runbook, or the detector of
    one, that it speaks for."""

    name: str
    pattern: str
    severity: Severity = "error"
    role: Role = ""
    symptom: str = ""


@record
class Logs:
    """The logs of the trainer, relative to the project, and the kinds of errors in them, the most specific first. No
    kinds: those of `DEFAULTS`."""

    files: tuple[str, ...] = (LOG, OUTPUT)
    errors: tuple[ErrorPattern, ...] = ()

    @property
    def kinds(self) -> tuple[ErrorPattern, ...]:
        """The kinds of errors to look for."""
        return self.errors or DEFAULTS


# What Python, PyTorch, the kernel and the usual loggers write. `error|fail` in any case, as people grep, also finds
# "0 errors", "error rate" and "failover"; here a level counts as a word in capitals, an exception by the form of its
# line, and a "failed" in a sentence is a warning only.
DEFAULTS = (
    ErrorPattern(
        "out-of-memory",
        r"(?i)out of memory|outofmemory|can(?:'|no)t allocate memory|\bmemoryerror\b|bad_alloc|\boom[-_ ]kill",
        "fatal",
        "root-cause",
        "out-of-memory",
    ),
    ErrorPattern(
        "not-finite",
        r"(?:[Ll]oss|LOSS|[Gg]rad\w{0,20}|[Nn]orm|[Ww]eights?|[Pp]redictions?|[Oo]utputs?|[Ll]ogits?)"
        r"[^;,|]{0,24}?(?<![\w.])[-+]?(?:nan|NaN|NAN|[Ii]nf|[Ii]nfinity)\b"
        r"|[Aa]nomaly detected|\b[Nn]on-?finite\b|NaN or Inf",
        "fatal",
        "root-cause",
        "anomaly",
    ),
    ErrorPattern(
        "accelerator",
        r"CUDA error|CUDNN_STATUS_|cuDNN error|NCCL (?:error|timeout)|nccl(?:System|Internal|Unhandled\w{0,20})Error"
        r"|device-side assert|\bXid(?: \(|:? \d)|HIP error",
        "fatal",
        "root-cause",
    ),
    ErrorPattern(
        "disk",
        r"(?i)no space left on device|disk quota exceeded|read-only file system|input/output error|stale file handle",
        "error",
        "root-cause",
    ),
    ErrorPattern(
        "worker-lost",
        r"ChildFailedError|DataLoader worker .{0,80}(?:killed|exited)|[Ww]atchdog caught collective",
        "fatal",
        "consequence",
    ),
    ErrorPattern(
        "killed",
        r"\bSIG(?:KILL|SEGV|ABRT|BUS)\b|[Ss]egmentation fault|core dumped|^Killed\b|exitcode\s{0,3}:?\s{0,3}-\d",
        "fatal",
        "consequence",
    ),
    ErrorPattern(
        "exception",
        r"Traceback \(most recent call last\)|^\s{0,4}[A-Za-z_][\w.]{0,100}(?:Error|Exception)(?::|$)"
        r"|Fatal Python error|terminate called after throwing",
        "error",
        "root-cause",
    ),
    ErrorPattern(
        "error",
        r"(?<!\b0 )(?<!\w)(?:ERROR|CRITICAL|FATAL|SEVERE)(?!\w)"
        r"|\"(?:level|levelname|severity)\"\s{0,3}:\s{0,3}\"(?:error|critical|fatal)\""
        r"|\b(?:level|severity|lvl)=\"?(?:error|critical|fatal)\b"
        r"|^[EF]\d{4} \d\d:\d\d:\d\d.{0,120}?\.(?:cc|py):\d",
    ),
    ErrorPattern(
        "failed",
        r"(?i)(?<!\b0 )(?<!\bno )(?<!without )\b(?:failed|failure|fatal|panic|aborted|crashed|could not|couldn't"
        r"|unable to)\b(?!\s{0,3}[:=]\s{0,3}0\b)",
        "warning",
    ),
)


def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression. Raises ValueError with the reason where there is none, and for one that matches every
    line."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(tr("longer than {count:,} characters", count=LONGEST_PATTERN))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(tr("not a regular expression: {reason}", reason=str(error))) from None
    if made.search(""):
        raise ValueError(tr("it matches every line, because it matches an empty one"))
    return made


def is_name(text: str) -> bool:
    """Can a kind of error have this name?"""
    return re.fullmatch(r"\w[\w-]{0,39}", text) is not None


def problem(pattern: str) -> Message | str:
    """What is wrong with a regular expression; "" where nothing is."""
    try:
        compiled(pattern)
    except ValueError as error:
        return error.args[0] if isinstance(error.args[0], Message) else str(error)
    return ""
