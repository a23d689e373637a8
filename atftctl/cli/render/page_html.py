"""The frame of our HTML pages, and the blocks that they are made of: one file without scripts, fonts or requests.

Every text passes `text`, which escapes it; nothing else is put between tags. The style is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape

from atftctl.cli.render import incident_texts as texts
from atftctl.cli.render.incident_css import STYLE
from atftctl.cli.render.translation import localize
from atftctl.domain.printable import printable
from atftctl.domain.record import record
from atftctl.protocol.messages import tr

MAX_BYTES = 200_000
SURROGATES = re.compile("[\ud800-\udfff\ufffe\uffff]")
UNKNOWN = "–"  # a value that is not known


@record
class Limits:
    """How much of the lists a page shows. `rows`: of a table. `letters`: of one text. `pictures`: are there any?"""

    rows: int
    letters: int
    pictures: bool = True


LIMITS = (Limits(200, 2000), Limits(60, 400), Limits(20, 160), Limits(12, 100, False), Limits(3, 60, False))


def fitting(make: Callable[[Limits], str]) -> str:
    """The page, at most `MAX_BYTES` long where that is possible: of long lists, less is shown then."""
    made = ""
    for limits in LIMITS:
        made = make(limits)
        if len(made.encode("utf-8", "replace")) <= MAX_BYTES:
            break
    return made


def text(value: str) -> str:
    """A text between tags: translated and escaped; what can't be seen is shown as an escape."""
    return escape(SURROGATES.sub("\ufffd", printable(localize(value))))


class Page:
    """One page while it is made. `generator`: by which we know a page of ours."""

    generator = "atftctl"

    def __init__(self, version: str, language: str, limits: Limits) -> None:
        self.version, self.language, self.limits = version, language, limits
        self.shares: set[int] = set()

    def title(self) -> str:
        """The title of the page."""
        raise NotImplementedError

    def body(self) -> Iterator[str]:
        """What is between the tags of the body."""
        raise NotImplementedError

    def made(self) -> str:
        """The whole page."""
        body = "\n".join(self.body())
        rules = "".join(
            f".w{share}{{grid-template-columns:{share}fr {100 - share}fr}}\n" for share in sorted(self.shares)
        )
        style = STYLE + rules
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        head = [
            f'<!DOCTYPE html>\n<html lang="{escape(self.language)}">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta name="generator" content="{self.generator} {text(self.version)}">',
            '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">',
            '<meta name="robots" content="noindex">\n<meta name="format-detection" content="telephone=no">',
            f"<title>{self.text(self.title())}</title>\n<style>{style}</style>\n</head>\n<body>",
        ]
        return "\n".join([*head, body, "</body>\n</html>\n"])

    def text(self, value: str) -> str:
        """A text, cut where it is too long."""
        most = self.limits.letters
        return text(value) if len(value) <= most else f"{text(str(value)[:most])}…"

    def paragraph(self, value: str, kind: str = "") -> str:
        """A paragraph; kind: its class."""
        return f'<p class="{kind}">{self.text(value)}</p>' if kind else f"<p>{self.text(value)}</p>"

    def heading(self, title: str) -> str:
        """A heading within a part."""
        return f"<h3>{self.text(title)}</h3>"

    def code(self, value: str) -> str:
        """A text in the letters of code."""
        return f"<code>{self.text(value)}</code>"

    def value(self, value: str | None) -> str:
        """A value of a setting, or that it is not set."""
        return self.code(value) if value is not None else self.text(tr("(not set)"))

    def fields(self, fields: Iterable[tuple[str, str]]) -> str:
        """Names and values; empty values are left out."""
        shown = [(name, value) for name, value in fields if value][: self.limits.rows]
        return (
            "<dl>"
            + "".join(f"<dt>{self.text(name)}</dt><dd>{self.text(value)}</dd>" for name, value in shown)
            + "</dl>"
        )

    def list(self, items: Sequence[str], tag: str = "ul") -> str:
        """A list, cut where it is too long."""
        shown = [*items[: self.limits.rows]]
        shown += [texts.more(len(items) - len(shown))] if len(items) > len(shown) else []
        return f"<{tag}>" + "".join(f"<li>{self.text(item)}</li>" for item in shown) + f"</{tag}>"

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """A table of cells that are HTML already; on a narrow screen each cell has its head before it."""
        names = [self.text(name) for name in head]
        shown = ["".join(map(_cell, names, row)) for row in rows[: self.limits.rows]]
        if len(rows) > len(shown):
            shown.append(f'<td colspan="{len(head)}">{self.text(texts.more(len(rows) - len(shown)))}</td>')
        top = "".join(f'<th scope="col">{name}</th>' for name in names)
        lines = "".join(f"<tr>{line}</tr>" for line in shown)
        return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(name: str, content: str) -> str:
    return f'<td data-l="{name}">{content}</td>' if content else "<td></td>"
