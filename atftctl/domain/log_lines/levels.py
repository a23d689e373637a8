"""The level that a line of a log gives itself."""

from __future__ import annotations

import re

from atftctl.domain.log_lines.rules import Severity

NEARLY = 160  # characters at the beginning of a line in which its level must be
_LOW = r"TRACE|DEBUG|INFO|NOTICE|WARN|WARNING"
_HIGH = r"ERROR|ERR|CRITICAL|FATAL|SEVERE"
_LEVEL = re.compile(
    rf"(?<![\w])(?:(?P<low>{_LOW})|(?P<high>{_HIGH}))(?![\w])"
    rf"|\b(?:level|levelname|severity|lvl)\"?\s?[=:]\s?\"?(?i:(?P<low_key>{_LOW})|(?P<high_key>{_HIGH}))\b"
    r"|^(?P<low_glog>[IW])\d{4} \d\d:|^(?P<high_glog>[EF])\d{4} \d\d:"
)


def lowered(severity: Severity, text: str) -> Severity:
    """The severity of a kind of error in a line that may give itself a level: a line below ERROR is a warning, since
    the program that wrote it went on."""
    match = _LEVEL.search(text, 0, NEARLY)
    return "warning" if match and (match.lastgroup or "").startswith("low") else severity
