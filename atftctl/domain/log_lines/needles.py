"""Texts that are quickly searched for in place of a pattern: a line that the pattern matches has one of them."""

from __future__ import annotations

import re

from atftctl.domain.log_lines.rules import DEFAULTS, ErrorPattern
from atftctl.domain.log_lines.signatures import SIGNATURES, TEXTS

# A line that a pattern matches has one of these in it, in whatever case: a search for them is ten times as fast as one
# for the pattern. Those of `EXACT` kinds are in the case in which they are searched, and `\b` is the end of a word:
# every "info" would be an "inf".
NEEDLES = {
    "out-of-memory": ("out of memory", "outofmemory", "allocate memory", "memoryerror", "bad_alloc", "oom-", "oom_",
                      "oom "),
    "not-finite": ("nan", "NaN", "NAN", r"inf\b", r"Inf\b", "nfinity", "nomaly detected", "finite"),
    "accelerator": ("cuda error", "cudnn", "nccl", "device-side", "xid", "hip error"),
    "disk": ("no space left", "quota exceeded", "read-only file", "input/output error", "stale file"),
    "worker-lost": ("childfailederror", "dataloader worker", "watchdog caught"),
    "killed": ("sigkill", "sigsegv", "sigabrt", "sigbus", "segmentation fault", "core dumped", "killed", "exitcode"),
    "exception": ("traceback", "error", "exception", "terminate called"),
    "error": ("error", "critical", "fatal", "severe", ".cc:", ".py:"),
    "failed": ("fail", "fatal", "panic", "abort", "crash", "could not", "couldn't", "unable to"),
}  # fmt: skip
EXACT = ("not-finite",)
_PLAIN = r"(?:\(\?i\))?([\w =:/-]{2,}(?:\|[\w =:/-]{2,})*)"  # a list of plain texts


def is_known(pattern: ErrorPattern) -> bool:
    """Is this one of the kinds that atftctl knows, whose patterns are valid?"""
    return pattern in DEFAULTS or pattern in SIGNATURES


def needles(pattern: ErrorPattern) -> tuple[tuple[str, ...], bool]:
    """(texts of which each line that the pattern matches has at least one, whether in small letters). No texts: that
    is not known."""
    if pattern in DEFAULTS:
        return NEEDLES[pattern.name], pattern.name not in EXACT
    if pattern in SIGNATURES:
        return TEXTS[pattern.name], True
    plain = re.fullmatch(_PLAIN, pattern.pattern)
    if plain is None:
        return (), False
    small = pattern.pattern.startswith("(?i)")
    return tuple(text.lower() if small else text for text in plain[1].split("|")), small
