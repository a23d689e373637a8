"""A text in both languages of the runbook."""

from __future__ import annotations

from atftctl.domain.record import record


@record
class Text:
    """A text in both languages of the runbook."""

    en: str
    ja: str

    def say(self, language: str) -> str:
        """The text in one language: "en" or "ja"."""
        return self.ja if language == "ja" else self.en
