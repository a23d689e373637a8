"""The page of an incident as one HTML file: without scripts, pictures, fonts or requests.

Every text passes `text`, which escapes it; nothing else is put between tags. The style is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from atftctl.cli.render import incident_texts as texts
from atftctl.cli.render.incident_css import STYLE
from atftctl.cli.render.incident_svg import picture, ticks
from atftctl.cli.render.translation import localize
from atftctl.domain.curve import number_text
from atftctl.domain.printable import printable
from atftctl.domain.record import record
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.operations.report.incident_data import AroundData, IncidentData, IncidentPart

MAX_BYTES = 200_000
GENERATOR = "atftctl incident"  # by which we know a page of ours
SURROGATES = re.compile("[\ud800-\udfff\ufffe\uffff]")
UNKNOWN = "–"  # a value that is not known


@record
class Limits:
    """How much of the lists a page shows. `rows`: of a table. `letters`: of one text. `pictures`: are there any?"""

    rows: int
    letters: int
    pictures: bool = True


LIMITS = (Limits(200, 2000), Limits(60, 400), Limits(20, 160), Limits(12, 100, False), Limits(3, 60, False))


def page(data: IncidentData, language: str) -> str:
    """The page, at most `MAX_BYTES` long where that is possible: of long lists, less is shown then."""
    made = ""
    for limits in LIMITS:
        made = _Page(data, language, limits).made()
        if len(made.encode("utf-8", "replace")) <= MAX_BYTES:
            break
    return made


def text(value: str) -> str:
    """A text between tags: translated and escaped; what can't be seen is shown as an escape."""
    return escape(SURROGATES.sub("\ufffd", printable(localize(value))))


class _Page:
    """One page while it is made."""

    def __init__(self, data: IncidentData, language: str, limits: Limits) -> None:
        self.data, self.language, self.limits = data, language, limits
        self.shares: set[int] = set()

    def made(self) -> str:
        body = "\n".join(self._body())
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
            f'<meta name="generator" content="{GENERATOR} {text(self.data.version)}">',
            '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">',
            '<meta name="robots" content="noindex">\n<meta name="format-detection" content="telephone=no">',
            f"<title>{self.text(self._title())}</title>\n<style>{style}</style>\n</head>\n<body>",
        ]
        return "\n".join([*head, body, "</body>\n</html>\n"])

    def text(self, value: str) -> str:
        """A text, cut where it is too long."""
        most = self.limits.letters
        return text(value) if len(value) <= most else f"{text(str(value)[:most])}…"

    def _title(self) -> str:
        parts = self.data.operations
        if len(parts) == 1:
            return tr("Incident: {title}", title=texts.heading(parts[0]))
        return tr("Incident: {count} operations", count=len(parts))

    def _body(self) -> Iterator[str]:
        data = self.data
        yield f"<header>\n<h1>{self.text(self._title())}</h1>"
        yield self._paragraph(tr("service {service}", service=data.service), "q")
        yield "</header>\n<main>"
        for part in data.operations:
            yield "<article>"
            if len(data.operations) > 1:
                yield f"<h2>{self.text(texts.heading(part))}</h2>"
            yield from self._part(part)
            yield "</article>"
        if data.people:
            yield self._heading(tr("Contacts"))
            yield self._list(data.people)
        made = tr(
            "made by atftctl {version} on {moment} from the project's own records; this page loads nothing",
            version=data.version,
            moment=texts.moment(data.made),
        )
        yield f"</main>\n<footer><p>{text(made)}</p></footer>"

    def _part(self, part: IncidentPart) -> Iterator[str]:
        """One operation."""
        tone = "good" if part.outcome in texts.GOOD else "warn"
        yield f'<p class="{tone}">{self.text(texts.summary(part))}</p>'
        if part.missing:
            title = self.text(tr("Not known"))
            yield f'<section class="miss"><strong>{title}</strong>{self._list(part.missing)}</section>'
        yield self._heading(tr("What happened"))
        yield self._fields(texts.overview(part))
        if part.steps:
            yield self._paragraph(tr("The plan:"))
            yield self._list(part.steps, "ol")
        yield from self._timeline(part)
        yield from self._settings(part)
        yield from self._curves(part)
        yield from self._checks(part)
        yield self._heading(tr("Cost"))
        yield self._fields(texts.costs(part.cost))
        yield self._heading(tr("How to undo it"))
        yield from self._undo(part)
        yield self._heading(tr("Who decided, and why"))
        yield self._fields(texts.decision(part))
        if part.evidence:
            named = tr("evidence: {folder}: {files}", folder=part.evidence, files=", ".join(part.evidence_files))
            yield f'<p class="q">{self.text(named)}</p>'

    def _timeline(self, part: IncidentPart) -> Iterator[str]:
        yield self._heading(tr("Timeline"))
        rows = []
        for moment in part.timeline:
            about = tr("about {moment}", moment=texts.moment(moment.at)) if moment.about else texts.moment(moment.at)
            kind = f'<span class="q n">{self.text(texts.KINDS.get(moment.kind, moment.kind))}</span>'
            rows.append((f'<span class="n">{self.text(about)}</span>', kind, self.text(moment.text)))
        yield self._table((tr("when"), tr("kind"), tr("what")), rows)

    def _settings(self, part: IncidentPart) -> Iterator[str]:
        yield self._heading(tr("Settings before and after"))
        settings = [
            (
                self._code(setting.key),
                f"<del>{self._value(setting.before)}</del>",
                f"<ins>{self._value(setting.after)}</ins>",
                self._code(setting.file or UNKNOWN),
            )
            for setting in part.settings
        ]
        if settings:
            yield self._table((tr("setting"), tr("before"), tr("after"), tr("file")), settings)
        else:
            yield self._paragraph(tr("No setting was changed."))
        files = [
            (
                self._code(file.path),
                *(self._code((digest or "")[:12] or UNKNOWN) for digest in (file.before, file.after)),
            )
            for file in part.files
        ]
        if files:
            yield self._table((tr("file"), tr("SHA-256 before"), tr("SHA-256 after")), files)
        if part.diff:
            lines = part.diff[: self.limits.rows]
            rest = [texts.more(len(part.diff) - len(lines))] if len(part.diff) > len(lines) else []
            shown = "\n".join(map(self._diff_line, [*lines, *rest]))
            yield f"<pre>{shown}</pre>"

    def _diff_line(self, line: str) -> str:
        tag = {"+": "ins", "-": "del"}.get(line[:1]) if line[:4] not in ("+++ ", "--- ") else None
        return f"<{tag}>{self.text(line)}</{tag}>" if tag else self.text(line)

    def _curves(self, part: IncidentPart) -> Iterator[str]:
        yield self._heading(tr("Curves around the operation"))
        if not part.curves:
            yield self._paragraph(tr("There is nothing to draw."))
        curves = list(part.curves.values()) if self.limits.pictures else []
        if part.curves and not curves:
            yield self._paragraph(tr("Left out, so that the page stays small: name fewer operations."))
        for curve in curves:
            yield from self._figure(curve)
        if any(not picture(curve).linear for curve in curves):
            yield self._paragraph(tr("The scale of steps differs on the two sides of the operation."), "q")
        if any(side.broken for curve in curves for side in (curve.before, curve.after)):
            yield self._paragraph(tr("A mark at the foot shows a value that is not finite."), "q")

    def _figure(self, curve: AroundData) -> Iterator[str]:
        """A picture, with its labels in HTML: they keep their size on every screen."""
        drawn = picture(curve)
        title = texts.title_of(curve)
        if drawn.scale and drawn.scale.log:
            title = tr("{title}; logarithmic", title=title)
        label = tr(
            "{title} before: {before}; after: {after}",
            title=title,
            before=texts.figures(curve.before),
            after=texts.figures(curve.after),
        )
        yield f'<figure role="group" aria-label="{self.text(label)}">'
        yield f'<figcaption>{self.text(title)}</figcaption><div class="plot">'
        values = [text(number_text(value)) for value in ticks(drawn.scale)] if drawn.scale else []
        yield f'<div class="y">{"".join(f"<span>{value}</span>" for value in values)}</div>{drawn.svg}'
        yield f"{self._steps(curve, drawn.share)}</div>"
        for name, side in ((tr("before"), curve.before), (tr("after"), curve.after)):
            yield f'<p class="q">{self.text(name)}: {self.text(texts.figures(side))}</p>'
        yield "</figure>"

    def _steps(self, curve: AroundData, share: int) -> str:
        """The steps below a picture, those before the operation and those after it."""
        sides = []
        for side in (curve.before, curve.after):
            if side.first_step is not None:
                ends = (tr("step {step}", step=side.first_step), str(side.last_step))
                sides.append("<span>" + "".join(f"<span>{self.text(end)}</span>" for end in ends) + "</span>")
        if len(sides) == 2:
            self.shares.add(share)
        return f'<div class="x w{share}">{"".join(sides)}</div>'

    def _checks(self, part: IncidentPart) -> Iterator[str]:
        yield self._heading(tr("Checks"))
        if not part.checks:
            yield self._paragraph(tr("No check is recorded."))
            return
        tones = {"pass": "good", "fail": "bad"}
        rows = [
            (
                f'<span class="n {tones.get(check.verdict, "warn")}">{self.text(texts.verdict(check))}</span>',
                self.text(check.name),
                self.text(check.evidence),
                f'<span class="n">{self.text(texts.moment(check.at))}</span>' if check.at else "",
            )
            for check in part.checks
        ]
        yield self._table((tr("verdict"), tr("check"), tr("evidence"), tr("when")), rows)

    def _undo(self, part: IncidentPart) -> Iterator[str]:
        if part.undo.command:
            yield f"<pre><kbd>{self.text(part.undo.command)}</kbd></pre>"
        if part.undo.note:
            yield f"<p>{self.text(part.undo.note)}</p>"

    def _paragraph(self, value: str, kind: str = "") -> str:
        return f'<p class="{kind}">{self.text(value)}</p>' if kind else f"<p>{self.text(value)}</p>"

    def _heading(self, title: str) -> str:
        return f"<h3>{self.text(title)}</h3>"

    def _code(self, value: str) -> str:
        return f"<code>{self.text(value)}</code>"

    def _value(self, value: str | None) -> str:
        return self._code(value) if value is not None else self.text(tr("(not set)"))

    def _fields(self, fields: Iterable[tuple[str, str]]) -> str:
        """Names and values; empty values are left out."""
        shown = [(name, value) for name, value in fields if value][: self.limits.rows]
        return (
            "<dl>"
            + "".join(f"<dt>{self.text(name)}</dt><dd>{self.text(value)}</dd>" for name, value in shown)
            + "</dl>"
        )

    def _list(self, items: Sequence[str], tag: str = "ul") -> str:
        shown = [*items[: self.limits.rows]]
        shown += [texts.more(len(items) - len(shown))] if len(items) > len(shown) else []
        return f"<{tag}>" + "".join(f"<li>{self.text(item)}</li>" for item in shown) + f"</{tag}>"

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
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
