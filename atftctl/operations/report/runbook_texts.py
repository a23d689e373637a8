"""Texts of the runbook in the reader's language, within messages that were written in another one."""

from __future__ import annotations

from atftctl.domain.runbook import Runbook
from atftctl.domain.texts import translations
from atftctl.protocol.messages import with_texts


class RunbookTexts:
    """What each text of the runbook is in one language."""

    def __init__(self, runbook: Runbook, language: str) -> None:
        self.known = translations(runbook, language)
        for symptom in runbook.symptoms.values():  # the title of a rollback, as the history has it
            title, cause = symptom.title.say(language), symptom.cause.say(language)
            for written in ("en", "ja"):
                self.known[f"{symptom.title.say(written)}: {symptom.cause.say(written)}"] = f"{title}: {cause}"

    def put(self, text: str) -> str:
        """The message, which shows the texts of the runbook in the reader's language; its English text stays."""
        return with_texts(text, self.known)
