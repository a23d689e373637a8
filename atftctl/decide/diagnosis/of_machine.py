"""What the logs, the kernel and the checkpoints speak for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atftctl.decide.diagnosis.of_process import has_final_event
from atftctl.domain.diagnosis import Evidence, LogSign, Observed
from atftctl.domain.text import listed
from atftctl.protocol.messages import Message, tr, trn

SHOWN = 160  # characters of a line
MOST_NOTES = 4  # lines of a log that are shown without speaking for a cause
KILLED = ("sigkill", "killed")
_EXIT = re.compile(r"exitcode\s*:?\s*-9\b|\b137\b|SIGKILL|^\s*Killed\b")


def of_logs(seen: Observed) -> list[Evidence]:
    """The first root cause in the logs, and the lines that followed from it. While the trainer goes on, a line alone is
    no strong sign: it survived it."""
    signs = sorted(enumerate(seen.logs), key=lambda item: (item[1].time is None, item[1].time or 0.0, item[0]))
    lines = [sign for _, sign in signs]
    roots = [sign for sign in lines if sign.role == "root-cause" and sign.severity != "warning"]
    rest = [sign for sign in lines if sign not in roots]
    found, first = list[Evidence](), True
    for sign in _first_of_each(roots):
        strong = first and not seen.process.alive and _is_specific(sign, roots)
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
    return next((sign.text for sign in seen.logs if sign.kind in KILLED or _EXIT.search(sign.text)), "")


def of_kernel(seen: Observed) -> list[Evidence]:
    """Processes that the kernel killed for memory, and faults of graphics cards. A process that was killed proves
    nothing by itself: anybody may have done it."""
    dead, found = not seen.process.alive, list[Evidence]()
    for sign in seen.kernel:
        cause = "out-of-memory" if sign.pid else "cuda-hardware"
        ours = dead and sign.pid == seen.pid != 0
        silent = dead and not has_final_event(seen)
        strength = "proof" if ours else "weak" if sign.pid and silent else "strong" if dead and not sign.pid else "note"
        found.append(Evidence("kernel", strength, cause if strength != "note" else "", sign.text, sign.time))  # type: ignore[arg-type]
    return [*found, *_of_cgroup(seen)]


def _of_cgroup(seen: Observed) -> list[Evidence]:
    if seen.killed is None:
        return []
    if not seen.killed:
        text = tr("the kernel killed no process of this cgroup for memory since the start")
        return [Evidence("kernel", "against", "out-of-memory", text)]
    text = tr("the kernel killed a process of this cgroup for memory since the start (oom_kill)")
    if seen.process.alive:
        return [Evidence("kernel", "note", "", text)]
    if has_final_event(seen):
        return [Evidence("kernel", "weak", "out-of-memory", text)]
    if line := was_killed(seen):
        both = tr("{text}, and the trainer ended by SIGKILL: {line}", text=text, line=line[:SHOWN])
        return [Evidence("kernel", "proof", "out-of-memory", both)]
    return [Evidence("kernel", "strong", "out-of-memory", text)]


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
