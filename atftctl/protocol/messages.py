"""Messages that can be shown in another language: a template with named placeholders, and the values that fill it.

A `Message` is a string: the English text. Code, logs and JSON use it as such. Only the renderer for people asks for a
translation of its template (`localized`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Translate = Callable[[str, str, int], str]  # (template, plural template or "", count) to a template of the language


class Message(str):
    """An English text that knows its template. `parts`: the messages that it was joined from, by `separator`."""

    template: str = ""
    plural: str = ""
    amount: int = 0  # what decides between singular and plural
    values: dict[str, Any]
    parts: tuple[str, ...] = ()
    separator: str = ""


def tr(template: str, /, **values: Any) -> Message:
    """`tr("{path} is missing", path=path)`: the English text, translatable by its template."""
    message = Message(template.format(**values) if values else template)
    message.template, message.values = template, values
    return message


def trn(singular: str, plural: str, count: int, /, **values: Any) -> Message:
    """`trn("{count} file", "{count} files", count)`: as `tr`, with `count` among the values; 1,000 as `1,000`."""
    values = {"count": f"{count:,}", **values}
    message = Message((singular if count == 1 else plural).format(**values))
    message.template, message.plural, message.amount, message.values = singular, plural, count, values
    return message


def joined(separator: str, parts: Iterable[str]) -> Message:
    """As `separator.join(parts)`; each part stays translatable."""
    texts = tuple(parts)
    message = Message(separator.join(texts))
    message.parts, message.separator, message.values = texts, separator, {}
    return message


def localized(text: str, translate: Translate) -> str:
    """The text in another language, as far as there are translations: never raises, since this is how errors are shown.

    `translate`: gives the template itself where it knows no other.
    """
    if not isinstance(text, Message):
        return text
    if text.parts:
        return text.separator.join(localized(part, translate) for part in text.parts)
    if not text.template:  # joined from nothing; gettext answers "" with its header
        return text
    values = {
        name: localized(value, translate) if isinstance(value, str) else value for name, value in text.values.items()
    }
    template = translate(text.template, text.plural, text.amount)
    if not values:
        return template
    try:
        return template.format(**values)
    except (LookupError, ValueError, TypeError, AttributeError):  # a wrong translation must not hide an error
        return str(text)
