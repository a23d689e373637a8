"""What the logs, the kernel and the checkpoints speak for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atftctl.decide.diagnosis.of_process import died, has_final_event
from atftctl.domain.diagnosis import Evidence, KernelSign, LogSign, Observed, Strength
from atftctl.domain.text import listed
from atftctl.protocol.messages import Message, tr, trn

SHOWN = 160  # characters of a line
SLACK_S = 10.0  # by which the time of a line may be before that of a step it came after
MOST_NOTES = 4  # lines of a log that are shown without speaking for a cause
# Ways to say that a process ended by SIGKILL. Other signals, and other numbers 137, are none of them.
_SIGKILL = re.compile(
    r"\bexitcode\s*:?\s*-9\b|\b[Ee]xit(?:ed with)? code:? 137\b|\bExited \(137\)|\bSIGKILL\b"
    r"|^\s*(?:\S+: line \d+: +\d+ )?Killed\b"
)
# Numbers of NVIDIA's driver (Xid). ECC, row remapping, NVLink, off the bus, contained and uncontained errors, and the
# card's own processor are of the hardware. The others here are how the driver ends a program that erred.
HARDWARE = frozenset({48, 63, 64, 74, 79, 92, 94, 95, 119})
APPLICATION = frozenset({13, 31, 43, 45})


def of_logs(seen: Observed) -> list[Evidence]:
    """The first root cause in the logs, and the lines that followed from it. What the trainer survived is no strong
    sign: all lines where it did not die, else those that came before its newest step."""
    survived = (seen.progress or 0.0) - SLACK_S
    lines = sorted(seen.logs, key=lambda sign: (sign.time is None, _when(sign, survived) or 0.0))
    roots = [sign for sign in lines if sign.role == "root-cause" and sign.severity != "warning"]
    rest = [sign for sign in lines if sign not in roots]
    fatal = [sign for sign in roots if (when := _when(sign, survived)) is None or when >= survived]
    found, first = list[Evidence](), True
    for sign in _first_of_each([*fatal, *(sign for sign in roots if sign not in fatal)], fatal):
        strong = first and died(seen) and sign in fatal
        found.append(Evidence("logs", "strong" if strong else "weak", _cause(sign), _line(sign), sign.time))
        first = False
    return [*found, *_followers(rest)]


def _when(sign: LogSign, survived: float) -> float | None:
    """The first time of a message that the trainer did not survive, as far as that is known; else its first."""
    return sign.last if sign.time is not None and sign.time < survived and sign.last is not None else sign.time


def _cause(sign: LogSign) -> str:
    return sign.symptom or sign.kind


def _first_of_each(signs: Sequence[LogSign], fatal: Sequence[LogSign]) -> list[LogSign]:
    """The first sign of each cause: those that the trainer did not survive come first, and exceptions of any kind after
    the others, since these say more."""
    first: dict[str, LogSign] = {}
    for sign in sorted(signs, key=lambda sign: (sign not in fatal, "exception" in (sign.kind, sign.symptom))):
        first.setdefault(_cause(sign), sign)
    return list(first.values())


def _followers(signs: Sequence[LogSign]) -> list[Evidence]:
    """Lines that are no root cause."""
    named = [sign for sign in signs if sign.role in ("consequence", "teardown")]
    shown = [Evidence("logs", "note", "", _follower(sign), sign.time) for sign in named[:MOST_NOTES]]
    others = sum(sign.count for sign in signs if sign not in named)
    if others:
        text = trn(
            "{count} other warning or error in the logs", "{count} other warnings and errors in the logs", others
        )
        shown.append(Evidence("logs", "note", "", tr("{text}: atftctl logs --errors", text=text)))
    return shown


def _follower(sign: LogSign) -> Message:
    line = _line(sign)
    return (
        tr("from the teardown: {line}", line=line)
        if sign.role == "teardown"
        else tr("a consequence: {line}", line=line)
    )


def _line(sign: LogSign) -> Message:
    line = sign.text if len(sign.text) <= SHOWN else f"{sign.text[:SHOWN]}…"
    return (
        tr("{line} ({kind}, {count} times)", line=line, kind=sign.kind, count=sign.count)
        if sign.count > 1
        else tr("{line} ({kind})", line=line, kind=sign.kind)
    )


def was_killed(seen: Observed) -> str:
    """The line that says that a process ended by SIGKILL (exit code 137); "" where none says so."""
    return next((sign.text for sign in seen.logs if _SIGKILL.search(sign.text)), "")


def of_kernel(seen: Observed) -> list[Evidence]:
    """Processes that the kernel killed for memory, and faults of graphics cards. A process that was killed proves
    nothing by itself: anybody may have done it."""
    return [*(_of_sign(sign, seen) for sign in seen.kernel), *_of_cgroup(seen)]


def _of_sign(sign: KernelSign, seen: Observed) -> Evidence:
    """A message of the kernel. It speaks for a cause only where the trainer ran on this machine, since this boot, and
    died after it began."""
    strength: Strength = "note"
    cause, text = "", sign.text
    if seen.kernel_here and died(seen) and sign.time >= (seen.started or 0.0):
        cause, strength = _of_kill(sign, seen) if sign.pid else _of_card(sign)
    if sign.xid in APPLICATION:
        text = tr("a consequence: {line}", line=sign.text)
    return Evidence("kernel", strength, cause, text, sign.time)


def _of_kill(sign: KernelSign, seen: Observed) -> tuple[str, Strength]:
    """(the cause, how strongly): the kernel gives the pids of the machine, and those of a container are others."""
    if seen.kernel_pids and sign.pid == seen.pid:
        return "out-of-memory", "proof"
    return ("", "note") if has_final_event(seen) else ("out-of-memory", "weak")


def _of_card(sign: KernelSign) -> tuple[str, Strength]:
    if sign.xid in APPLICATION:
        return "", "note"
    return ("cuda-hardware", "strong") if sign.xid in HARDWARE else ("cuda", "weak")


def _of_cgroup(seen: Observed) -> list[Evidence]:
    if seen.killed is None:
        return []
    if not seen.killed:
        text = tr("the kernel killed no process of the trainer's cgroup for memory since the start")
        return [Evidence("kernel", "against", "out-of-memory", text)]
    text = tr("the kernel killed a process of the trainer's cgroup for memory since the start (oom_kill)")
    if not died(seen):
        return [Evidence("kernel", "note", "", text)]
    if not has_final_event(seen) and (line := was_killed(seen)):
        both = tr("{text}, and the trainer ended by SIGKILL: {line}", text=text, line=line[:SHOWN])
        return [Evidence("kernel", "proof", "out-of-memory", both)]
    return [Evidence("kernel", "weak", "out-of-memory", text)]  # of another process, as far as is known


def of_checkpoints(seen: Observed) -> list[Evidence]:
    """Checkpoints that are not whole, and those that are."""
    damaged = [
        Evidence(
            "checkpoints",
            "weak",
            "checkpoint",
            tr("{path}: {problem}", path=file.path, problem=file.damage),
            file.written,
        )
        for file in seen.checkpoints
        if file.damage
    ]
    whole = [file.path for file in seen.checkpoints if file.whole and not file.damage]
    if whole:
        text = tr("whole: {paths}", paths=listed(whole, 4))
        damaged.append(Evidence("checkpoints", "against", "checkpoint", text))
    return damaged
