"""Settings and their values as the command line gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atftctl.decide.plans.added_settings import TWICE
from atftctl.domain.errors import UsageError
from atftctl.host.errors import YamlError
from atftctl.host.yaml_text.read import read
from atftctl.protocol.messages import tr

# What YAML 1.1 and YAML 1.2 read differently: 12:30 is 750 or a text, 010 is 8 or 10, yes is true or a text.
AMBIGUOUS = re.compile(
    r"[-+]?([\d_]+(:[\d_.]+)+|0[\d_]+|[\d_.]*\d_[\d_.]*(e[-+]?\d+)?|y|n|yes|no|on|off)", re.IGNORECASE
)

PAIR = re.compile(r"""((?:"[^"]*"|'[^']*'|[^=])+?)=(.*)""", re.DOTALL)  # a key may have `=` in quotes


def pairs_of(arguments: Sequence[str], *, pairs_only: bool = False) -> dict[str, object]:
    """Read `KEY VALUE`, or `KEY=VALUE` for each setting; return the value of each key. `pairs_only`: no `KEY VALUE`.
    Raises UsageError."""
    if not pairs_only and len(arguments) == 2 and "=" not in arguments[0]:
        return {arguments[0]: _value(arguments[1])}
    pairs = [pair.groups() for argument in arguments if (pair := PAIR.fullmatch(argument))]
    if not arguments or len(pairs) < len(arguments):
        raise UsageError(tr("expected KEY VALUE, or KEY=VALUE for each setting"))
    if len({key for key, _ in pairs}) < len(pairs):
        raise UsageError(TWICE)
    return {key: _value(value) for key, value in pairs}


def _value(text: str) -> object:
    """Read a value as a config file would. Raises UsageError."""
    if AMBIGUOUS.fullmatch(text):
        raise UsageError(tr("{value!r} is ambiguous in YAML; put a string in quotes", value=text))
    try:
        document = read(text.encode())
    except (YamlError, UnicodeError) as error:
        problem = error.reason if isinstance(error, YamlError) else str(error)
        raise UsageError(tr("{value!r} is not a YAML value: {reason}", value=text, reason=problem)) from None
    if document.node is None and not isinstance(document.value, dict):
        raise UsageError(tr("the value is missing; write null for no value, or '\"\"' for an empty string"))
    if document.node is not None and not document.is_all_of(text):
        raise UsageError(
            tr(
                "{value!r} holds more than a value, such as a comment, a tag or an anchor; put a string in quotes",
                value=text,
            )
        )
    return document.value
