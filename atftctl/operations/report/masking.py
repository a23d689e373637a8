"""Mask secrets in texts that leave the project. What is a secret is told by its name (`observe.snapshots.secret_names`)
and by the form of well-known tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable

from atftctl.observe.snapshots.secret_names import TOKENS, is_secret

MASK = "***"
# A name and what follows it: `name: `, `name=`, `"name": `, `--name `.
NAMED = re.compile(
    r"""(?P<key>(?<![A-Za-z0-9_.\-])[A-Za-z0-9_.\-]{2,80})["']?(?:\s*(?:[:=]|\u2192)\s*|(?<=[A-Za-z0-9])[ ]+)"""
)
# The value of a secret; of several values in brackets, the whole rest.
VALUE = re.compile(
    r"""(?:(?:Basic|Bearer|Token)[ ]+(?=\S))?(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[{\[].*|[^\s,;}\]]+)(?:\s*\u2192\s*\S+)?""",
    re.I,
)
LINE = re.compile(
    r"""^(?P<lead>[ +\-]?)(?P<indent>\s*)(?:- )?["']?(?P<key>[A-Za-z0-9_.\-]{2,80})["']?\s*:(?P<value>.*)$"""
)
# Settings that hold a secret, beyond the names of files.
KEYS = re.compile(r"(?:.*[_-])?(?:pwd|passphrase|auth|authorization|dsn|token|bearer)|.*[_-]pass", re.I)
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
OPENERS = ("", "|", ">", "|-", ">-", "|+", ">+")  # of a value on the lines below its key


def is_secret_key(key: str) -> bool:
    """Does a setting of this name hold a secret?"""
    parts = [CAMEL.sub("_", part) for part in re.split(r"[./]", key.strip("\"' -")) if part]
    return any(is_secret(part) or KEYS.fullmatch(part) for part in parts)


def masked(text: str) -> str:
    """The text without the values of settings whose names say that they are secret, and without well-known tokens. A
    text that holds neither stays as it is, and so translatable."""
    shown = _assigned(TOKENS.sub(MASK, str(text)))
    return text if shown == text else shown


def masked_value(key: str, value: str) -> str:
    """The value of a setting."""
    return MASK if is_secret_key(key) and value else masked(value)


def masked_lines(lines: Iterable[str]) -> list[str]:
    """The lines of a diff of configs. A value that stands on the lines below its key is masked, too."""
    shown, below = list[str](), -1
    for line in lines:
        match = LINE.match(line)
        indent = len(line[1:]) - len(line[1:].lstrip())
        if below >= 0 and (indent > below or not line[1:].strip()):
            shown.append(f"{line[:1]}{' ' * indent}{MASK}")
            continue
        below = -1
        if match and is_secret_key(match["key"]):
            below = len(match["indent"]) if match["value"].strip() in OPENERS else -1
            shown.append(line[: match.start("value")] + (f" {MASK}" if below < 0 else match["value"]))
        else:
            shown.append(masked(line))
    return shown


def _assigned(text: str) -> str:
    """Without the values of secret names. The value of another name is searched, too: `error: password=x`."""
    shown, at = "", 0
    while match := NAMED.search(text, at):
        value = VALUE.match(text, match.end()) if _names_secret(match) else None
        shown += text[at : match.end()] + (MASK if value else "")
        at = value.end() if value else match.end()
    return shown + text[at:]


def _names_secret(match: re.Match[str]) -> bool:
    """Is this the name of a secret? Before a space only an option is: `--password x`, and no word of a sentence."""
    is_option = match["key"].startswith("--")
    return is_secret_key(match["key"]) and (is_option or match[0].rstrip()[-1:] in (":", "=", "\u2192"))
