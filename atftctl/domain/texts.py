"""A text in the languages of the runbook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass

from atftctl.domain.record import record


@record
class Text:
    """A text in the languages of the runbook; where one of them is missing, the other one stands for it. In a runbook,
    a plain string is the text in both."""

    en: str = ""
    ja: str = ""

    def say(self, language: str) -> str:
        """The text in one language: "en" or "ja"."""
        return (self.ja or self.en) if language == "ja" else (self.en or self.ja)


def translations(value: object, language: str) -> dict[str, str]:
    """Every text in a record of the runbook, in each language, and what it is in this one."""
    return {written: text.say(language) for text in _texts(value) for written in (text.en, text.ja) if written}


def _texts(value: object) -> Iterator[Text]:
    if isinstance(value, Text):
        yield value
        return
    inner: Iterable[object] = ()
    if is_dataclass(value):
        inner = vars(value).values()
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    for each in inner:
        yield from _texts(each)
