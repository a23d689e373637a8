"""A text in the languages of the runbook."""

from __future__ import annotations

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
