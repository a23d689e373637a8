"""Messages that can be shown in another language: a template with named placeholders, and the values that fill it.

A `Message` is a string: the English text. Code, logs and JSON use it as such. Only the renderer for people asks for a
translation of its template (`localized`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from string import Formatter
from typing import Any

# How a stored template may show a value, such as `,` or `+.4f`: without widths, which could ask for any memory.
PLAIN_FORMAT = re.compile(r"[+,]{0,2}(\.\d{1,2})?[a-z%]?")
DEEPEST = 8  # messages within messages that a record may hold

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
    except (
        ArithmeticError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ):  # a wrong translation must not hide an error
        return str(text)


def with_texts(text: str, known: Mapping[str, str]) -> str:
    """The message whose values, and they alone, are what `known` has for them when it is shown in another language: a
    runbook's texts stand in messages as values. The English text stays."""
    if not isinstance(text, Message) or not (text.template or text.parts):
        if text not in known:
            return text
        made = Message(text)
        made.parts, made.values = (known[text],), {}
        return made
    made = Message(text)
    made.template, made.plural, made.amount, made.separator = text.template, text.plural, text.amount, text.separator
    made.parts = tuple(with_texts(part, known) for part in text.parts)
    made.values = {
        name: with_texts(value, known) if isinstance(value, str) else value for name, value in text.values.items()
    }
    return made


def record_of(text: str) -> str | dict[str, Any]:
    """The text for a record in JSON, from which `from_record` makes it again, still translatable."""
    if not isinstance(text, Message) or not (text.template or text.parts):
        return str(text)
    if text.parts:
        return {"text": str(text), "separator": text.separator, "parts": [record_of(part) for part in text.parts]}
    values = {name: _plain(value) for name, value in text.values.items()}
    return {
        "text": str(text), "template": text.template, "plural": text.plural, "amount": text.amount, "values": values,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return record_of(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def from_record(value: Any, depth: int = 0) -> str:
    """The text of a record: without its template where that is none that we would write. Raises TypeError, KeyError or
    ValueError where it is no text."""
    if isinstance(value, str):
        return value
    message = Message(_text(value["text"]))
    if depth > DEEPEST:
        raise ValueError("a text of a record holds too many texts")
    if "parts" in value:
        message.parts = tuple(from_record(part, depth + 1) for part in value["parts"])
        message.separator, message.values = _text(value["separator"]), {}
        return message
    templates = [_text(value["template"]), _text(value["plural"])]
    if all(map(_is_plain, templates)):
        message.template, message.plural = templates
        if type(value["amount"]) is not int or not isinstance(value["values"], dict):
            raise TypeError("the values of a text of a record are none")
        message.amount = value["amount"]
        message.values = {
            name: from_record(stored, depth + 1) if isinstance(stored, str | dict) else stored
            for name, stored in value["values"].items()
        }
    return message


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text of a record is not a text")
    return value


def _is_plain(template: str) -> bool:
    """Does the template show its values by name only, in few characters each?"""
    return all(
        name is None or (name.isidentifier() and PLAIN_FORMAT.fullmatch(form or "") and conversion in (None, "r"))
        for _, name, form, conversion in Formatter().parse(template)
    )
