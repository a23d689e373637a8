"""Check what a runbook says about a trainer that writes no events: how its start is recognised, its environment, its
output and the command lines by which it is known."""

from __future__ import annotations

import os
import re

from atftctl.domain.log_lines import rules as log_rules
from atftctl.domain.readiness import Ready
from atftctl.domain.runbook import Runbook
from atftctl.host.errors import OutsideProjectError
from atftctl.host.files.containment import check_relative
from atftctl.observe.runbook.binder import Binder
from atftctl.observe.snapshots.secret_names import TOKENS
from atftctl.protocol.messages import tr
from atftctl.state.layout import is_reserved

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET = re.compile(r"(?i)(^|_)(secret|token|password|passwd|credentials?|(api|access|private|secret)_?key)(_|$)")
OURS = "ATFTCTL_"


def check(runbook: Runbook, binder: Binder) -> None:
    """Run these checks. The binder skips what it has reported already."""
    if runbook.trainer.ready is not None:
        _check_ready(runbook.trainer.ready, runbook.trainer.ready_s, binder)
    _check_environment(runbook, binder)
    _check_output(runbook, binder)
    for index, pattern in enumerate(runbook.trainer.patterns):
        if why := log_rules.problem(pattern) or _control(pattern):
            binder.problem(("trainer", "patterns", index), why)


def _control(pattern: str) -> str:
    """YAML reads \\b in double quotes as a backspace."""
    if any(ord(character) < 32 and character != "\t" for character in pattern):
        return tr("the pattern has a control character: write it in single quotes, where \\ stays as it is")
    return ""


def _check_ready(ready: Ready, ready_s: float, binder: Binder) -> None:
    where = ("trainer", "ready")
    if len(ready.kinds) != 1:
        binder.problem(where, tr("exactly one of these keys is needed: alive_s, pattern, metrics, command"))
        return
    if ready.alive_s and not 0 < ready.alive_s <= ready_s:
        text = tr(
            "{alive_s:g} s is not between 0 and trainer.ready_s ({ready_s:g} s)", alive_s=ready.alive_s, ready_s=ready_s
        )
        binder.problem((*where, "alive_s"), text)
    if ready.pattern and (why := log_rules.problem(ready.pattern) or _control(ready.pattern)):
        binder.problem((*where, "pattern"), why)


def _check_environment(runbook: Runbook, binder: Binder) -> None:
    for name, value in runbook.trainer.env.items():
        where = ("trainer", "env", name)
        if not VARIABLE.fullmatch(name):
            binder.problem(where, tr("{name!r} is no name of an environment variable", name=name))
        elif name.startswith(OURS):
            binder.problem(where, tr("atftctl sets the variables {prefix}… itself", prefix=OURS))
        elif SECRET.search(name) or TOKENS.search(str(value)):
            text = tr("a secret does not belong in the runbook, which everybody sees who can read the file")
            hint = tr("set {name} in the environment in which atftctl is called: the trainer inherits it", name=name)
            binder.problem(where, text, hint=hint)
        elif "\0" in str(value):
            binder.problem(where, tr("the value has a zero byte"))


def _check_output(runbook: Runbook, binder: Binder) -> None:
    name, where = runbook.trainer.output, ("trainer", "output")
    try:
        check_relative(name)
    except OutsideProjectError as error:
        binder.problem(where, error.message)
        return
    plain = os.path.normpath(name)
    if is_reserved(plain) or plain in map(os.path.normpath, runbook.files.of("")):
        text = tr("{name} must not be listed here: it is a config, a model or a file of atftctl", name=name)
        binder.problem(where, text)
