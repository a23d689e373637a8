"""Verdicts: pass, fail or inconclusive. Missing data, NaN or too few samples are inconclusive, never a pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from atftctl.protocol import Exit


class Verdict(Enum):
    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Check:
    """One line of the checklist: its name, its verdict, the reason (`detail`) and the numbers behind it. `hint`: what
    to do where it is inconclusive. `log`: the end of the log of a probe that crashed."""

    name: str
    verdict: Verdict
    detail: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    hint: str = ""
    log: tuple[str, ...] = ()


def overall(checks: Iterable[Check]) -> Verdict:
    """The verdict over all checks: fail if one failed, else inconclusive if one is or there is no check, else pass."""
    verdicts = {check.verdict for check in checks}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    if verdicts != {Verdict.PASS}:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS


EXIT_OF = {
    Verdict.PASS: Exit.DONE,
    Verdict.FAIL: Exit.CHECK_FAILED,
    Verdict.INCONCLUSIVE: Exit.INCONCLUSIVE,
}
