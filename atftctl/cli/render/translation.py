"""Messages in the operator's language. JSON stays English; a missing catalogue or message means English."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

from atftctl.protocol.messages import Translate, localized

DOMAIN = "atftctl"
LOCALE = Path(__file__).resolve().parents[2] / "locale"


class _Language:
    """The language of this process: one command a process."""

    code = "en"


_language = _Language()


def use_language(code: str) -> None:
    """Show every message in this language from now on."""
    _language.code = code


def localize(text: str) -> str:
    """The text in the operator's language."""
    return in_language(text, _language.code)


def in_language(text: str, code: str) -> str:
    """The text in a language, whichever the operator's is."""
    return str(text) if code == "en" else localized(text, _translation(code))


@cache
def _translation(code: str) -> Translate:
    """A function that translates templates, from atftctl/locale/CODE/LC_MESSAGES/atftctl.mo.

    A damaged catalogue counts as a missing one: an operation must not fail because it can't be told in a language.
    """
    import gettext

    catalogue = gettext.NullTranslations()
    with suppress(Exception):  # gettext raises whatever its parsing meets: struct.error, OSError, UnicodeDecodeError
        catalogue = gettext.translation(DOMAIN, LOCALE, [code], fallback=True)

    def translate(template: str, plural: str, count: int) -> str:
        if not template:
            return ""  # gettext answers the empty template with the catalogue's header
        try:
            return catalogue.ngettext(template, plural, count) if plural else catalogue.gettext(template)
        except Exception:  # noqa: BLE001 - a plural rule that can't be evaluated
            return template if count == 1 or not plural else plural

    return translate
