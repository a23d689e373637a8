"""What the logs, the kernel and the checkpoints speak for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atftctl.decide.diagnosis.of_process import died, has_final_event
from atftctl.domain.diagnosis import Evidence, KernelSign, LogSign, Observed, Strength
from atftctl.domain.text import listed
from atftctl.protocol.messages import Message, tr, trn

SHOWN = 160  # characters of a line
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
    """The first root cause in the logs, and the lines that followed from it. While the trainer goes on, a line alone is
    no strong sign: it survived it."""
    signs = sorted(enumerate(seen.logs), key=lambda item: (item[1].time is None, item[1].time or 0.0, item[0]))
    lines = [sign for _, sign in signs]
    roots = [sign for sign in lines if sign.role == "root-cause" and sign.severity != "warning"]
    rest = [sign for sign in lines if sign not in roots]
    found, first = list[Evidence](), True
    for sign in _first_of_each(roots):
        strong = first and died(seen) and _is_specific(sign, roots)
        found.append(
            Evidence("logs", "strong" if strong else "weak", sign.symptom or sign.kind, _line(sign), sign.time)
        )
        first = False
    return [*found, *_followers(rest)]


def _is_specific(sign: LogSign, roots: Sequence[LogSign]) -> bool:
    """Is it more than an exception of any kind, where there is something more?"""
    return sign.kind != "exception" or all(other.kind == "exception" for other in roots)


def _first_of_each(signs: Sequence[LogSign]) -> list[LogSign]:
    """The first sign of each cause; exceptions of any kind come last, since others say more."""
    first: dict[str, LogSign] = {}
    for sign in sorted(signs, key=lambda sign: sign.kind == "exception"):
        first.setdefault(sign.symptom or sign.kind, sign)
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
