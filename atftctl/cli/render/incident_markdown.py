"""The page of an incident as Markdown for an issue tracker (GitHub, GitLab).

Text that others could have written is put into code spans: there a tracker follows no link, notifies nobody and obeys
no markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from atftctl.cli.render import incident_texts as texts
from atftctl.cli.render.translation import localize
from atftctl.domain.printable import printable
from atftctl.protocol.messages import Message, tr

if TYPE_CHECKING:
    from atftctl.operations.report.incident_data import IncidentData, IncidentPart

MARK = "<!-- atftctl incident"  # the begin of a page of ours
ROWS, LETTERS = 100, 500
PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>#|!~&$])")
# What a tracker makes a link or a message of: also references to merge requests, labels and the like, and to issues.
ACTIVE = re.compile(r"@|://|www\.|[#!~%&$^]\w|\bGH-\d|\b[0-9a-f]{7,40}\b|\[\w+:", re.IGNORECASE)
SURROGATES = re.compile("[\ud800-\udfff\ufffe\uffff]")


def page(data: IncidentData) -> str:
    """The whole page."""
    return "\n".join([f"{MARK} {data.version} -->", *_page(data), ""])


def _page(data: IncidentData) -> Iterator[str]:
    for part in data.operations:
        yield from part_lines(part)
    if data.people:
        yield from _titled(tr("Contacts"))
        yield from (f"- {text(person)}" for person in data.people)
    made = tr("made by atftctl {version} on {moment}", version=data.version, moment=texts.moment(data.made))
    service = tr("service {service}", service=data.service)
    yield f"\n---\n\n{text(service)}; {text(made)}"


def part_lines(part: IncidentPart) -> Iterator[str]:
    """One operation, line by line."""
    title, unknown = text(tr("Incident")), text(tr("Not known"))
    yield f"\n## {title}: {code(texts.heading(part))}\n\n{text(texts.summary(part))}"
    if part.missing:
        yield f"\n**{unknown}**\n"
        yield from (f"- {text(item)}" for item in part.missing[:ROWS])
    yield from _titled(tr("What happened"))
    yield from _fields(texts.overview(part))
    yield from _titled(tr("Timeline"))
    rows = [
        (text(_when(moment.at, about=moment.about)), text(texts.KINDS.get(moment.kind, moment.kind)), text(moment.text))
        for moment in part.timeline
    ]
    yield from _table((tr("when"), tr("kind"), tr("what")), rows)
    yield from _settings(part)
    yield from _curves(part)
    yield from _titled(tr("Checks"))
    checks = [
        (text(texts.verdict(check)), text(check.name), text(check.evidence), text(texts.moment(check.at)))
        for check in part.checks
    ]
    yield from (
        _table((tr("verdict"), tr("check"), tr("evidence"), tr("when")), checks)
        if checks
        else [text(tr("No check is recorded."))]
    )
    yield from _titled(tr("Cost"))
    yield from _fields(texts.costs(part.cost))
    yield from _titled(tr("How to undo it"))
    yield from [f"```console\n$ {plain(part.undo.command)}\n```"] if part.undo.command else []
    yield from [text(part.undo.note)] if part.undo.note else []
    yield from _titled(tr("Who decided, and why"))
    yield from _fields(texts.decision(part))


def _when(at: str, *, about: bool) -> str:
    return tr("about {moment}", moment=texts.moment(at)) if about else texts.moment(at)


def _settings(part: IncidentPart) -> Iterator[str]:
    yield from _titled(tr("Settings before and after"))
    rows = [
        (
            code(setting.key),
            *(code(value) if value is not None else text(tr("(not set)")) for value in (setting.before, setting.after)),
            code(setting.file),
        )
        for setting in part.settings
    ]
    if rows:
        yield from _table((tr("setting"), tr("before"), tr("after"), tr("file")), rows)
    else:
        yield text(tr("No setting was changed."))
    files = [
        (code(file.path), *(code((digest or "–")[:12]) for digest in (file.before, file.after))) for file in part.files
    ]
    if files:
        yield ""
        yield from _table((tr("file"), tr("SHA-256 before"), tr("SHA-256 after")), files)


def _curves(part: IncidentPart) -> Iterator[str]:
    """The figures of the curves: Markdown has no pictures of its own."""
    yield from _titled(tr("Curves around the operation"))
    rows = [
        (text(texts.title_of(curve)), text(texts.figures(curve.before)), text(texts.figures(curve.after)))
        for curve in part.curves.values()
    ]
    yield from (
        _table((tr("column"), tr("before"), tr("after")), rows) if rows else [text(tr("There is nothing to draw."))]
    )


def _titled(title: str) -> Iterator[str]:
    yield f"\n### {text(title)}\n"


def _fields(fields: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from (f"- **{text(name)}**: {text(value)}" for name, value in fields if value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of cells that are Markdown already."""
    yield "| " + " | ".join(text(name) for name in head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows[:ROWS]:
        yield "| " + " | ".join(map(_cell, row)) + " |"
    if len(rows) > ROWS:
        yield f"\n{text(texts.more(len(rows) - ROWS))}"


def _cell(cell: str) -> str:
    """A cell whose bars do not end it. In a code span a tracker reads a backslash before the bar as one that escapes
    the backslash, and the rest of the text would be outside of the span: a space parts them."""
    if cell.startswith("`"):
        cell = re.sub(r"(?<=\\)\|", r" |", cell).replace("|", r"\|")
    return cell or " "


def text(value: str) -> str:
    """A text: one of our own as words, with its markup escaped; any other in a code span."""
    if not value:
        return ""
    shown = plain(value)
    if isinstance(value, Message) and not ACTIVE.search(shown):
        return PUNCTUATION.sub(r"\\\1", shown)
    return code(value)


def code(value: str) -> str:
    """A text as it is, in a code span."""
    shown = plain(value)
    if not shown.strip():
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def plain(value: str) -> str:
    """One line, translated, cut where it is too long; what can't be seen is shown as an escape."""
    shown = SURROGATES.sub("\ufffd", printable(localize(value)))
    return shown if len(shown) <= LETTERS else f"{shown[:LETTERS]}…"
