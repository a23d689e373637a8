"""How a program ended that speaks no protocol: its exit code, and the cause in the end of its output."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from atftctl import protocol
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import Logs
from atftctl.domain.log_lines.signatures import MEMORY, NUMBERS, wanted
from atftctl.domain.record import record
from atftctl.host.process.cpu_ticks import cpu_ticks
from atftctl.protocol.messages import tr

LONGEST = 500  # characters of a line that is kept
LINES = 400  # the newest ones that are searched


@record
class Ending:
    """How it ended. `status`: as of `waitpid`. `asked`: the signal by which it was asked to stop; 0 for none. `fenced`:
    the number of the newer trainer for which it was killed; 0 for none."""

    status: int
    asked: int = 0
    fenced: int = 0

    @property
    def code(self) -> int:
        """Its exit code; 128 and the number for a signal, as a shell says it."""
        code = os.waitstatus_to_exitcode(self.status)
        return 128 - code if code < 0 else code

    @property
    def stopped(self) -> bool:
        """Did it end because it was asked to, and not with an error?"""
        return bool(self.asked) and self.code in (0, int(protocol.TrainerExit.STOPPED), 128 + self.asked)

    @property
    def crashed(self) -> bool:
        return self.code != 0 and not self.stopped and not self.fenced

    @property
    def exit_code(self) -> int:
        """The code of the last event: that of a trainer that was fenced or stopped, else its own."""
        if self.fenced:
            return int(protocol.TrainerExit.FENCED)
        return int(protocol.TrainerExit.STOPPED) if self.stopped else self.code

    @property
    def reason(self) -> str:
        if self.fenced:
            return tr("killed, since a newer trainer was started")
        code = os.waitstatus_to_exitcode(self.status)
        how = tr("signal {name}", name=_name(-code)) if code < 0 else tr("exit code {code}", code=code)
        return tr("asked to stop; {how}", how=how) if self.asked else how


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


@record
class Fault:
    """The event that a line of the output speaks for."""

    event: str
    line: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def fault_in(output: bytes, rules: Logs) -> Fault | None:
    """The fault that the last line of a known kind speaks for: out of memory, or a figure that is not finite."""
    matcher = Matcher(wanted(rules))
    with cpu_ticks(matcher.tick):
        return next(filter(None, (_fault_of(line, matcher) for line in _newest(output))), None)


def _newest(output: bytes) -> list[str]:
    """The lines that are searched, the newest first."""
    return [line[:LONGEST] for line in reversed(output.decode("utf-8", "replace").splitlines()[-LINES:])]


def _fault_of(line: str, matcher: Matcher) -> Fault | None:
    number = matcher.kind(line)
    symptom = matcher.patterns[number].symptom if number is not None else ""
    if symptom == MEMORY:
        return Fault(protocol.OOM, line, {"section": "", "recoverable": False})
    return Fault(protocol.ANOMALY, line, {"quantity": "", "value": ""}) if symptom == NUMBERS else None
