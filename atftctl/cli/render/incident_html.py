"""The page of an incident as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from atftctl.cli.render import incident_texts as texts
from atftctl.cli.render.incident_svg import picture, ticks
from atftctl.cli.render.page_html import UNKNOWN, Limits, Page, fitting, text
from atftctl.domain.curve import number_text
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.operations.report.incident_data import AroundData, IncidentData, IncidentPart

GENERATOR = "atftctl incident"  # by which we know a page of ours


def page(data: IncidentData, language: str) -> str:
    """The page of an incident."""
    return fitting(lambda limits: _Incident(data, language, limits).made())


class Parts(Page):
    """A page that tells of operations."""

    def made_by(self, made: str) -> str:
        """The foot of the page. made: when it was made (ISO 8601)."""
        line = tr(
            "made by atftctl {version} on {moment} from the project's own records; this page loads nothing",
            version=self.version,
            moment=texts.moment(made),
        )
        return f"<footer><p>{text(line)}</p></footer>"

    def part(self, part: IncidentPart) -> Iterator[str]:
        """One operation."""
        tone = "good" if part.outcome in texts.GOOD and not texts.failed(part) else "warn"
        yield f'<p class="{tone}">{self.text(texts.summary(part))}</p>'
        if part.missing:
            title = self.text(tr("Not known"))
            yield f'<section class="miss"><strong>{title}</strong>{self.list(part.missing)}</section>'
        yield self.heading(tr("What happened"))
        yield self.fields(texts.overview(part))
        if part.steps:
            yield self.paragraph(tr("The plan:"))
            yield self.list(part.steps, "ol")
        yield from self._timeline(part)
        yield from self._settings(part)
        yield from self._curves(part)
        yield from self._checks(part)
        yield self.heading(tr("Cost"))
        yield self.fields(texts.costs(part.cost))
        yield self.heading(tr("How to undo it"))
        yield from self._undo(part)
        yield self.heading(tr("Who decided, and why"))
        yield self.fields(texts.decision(part))
        if part.evidence:
            named = tr("evidence: {folder}: {files}", folder=part.evidence, files=", ".join(part.evidence_files))
            yield f'<p class="q">{self.text(named)}</p>'

    def _timeline(self, part: IncidentPart) -> Iterator[str]:
        yield self.heading(tr("Timeline"))
        rows = []
        for moment in part.timeline:
            about = tr("about {moment}", moment=texts.moment(moment.at)) if moment.about else texts.moment(moment.at)
            kind = f'<span class="q n">{self.text(texts.KINDS.get(moment.kind, moment.kind))}</span>'
            rows.append((f'<span class="n">{self.text(about)}</span>', kind, self.text(moment.text)))
        yield self.table((tr("when"), tr("kind"), tr("what")), rows)

    def _settings(self, part: IncidentPart) -> Iterator[str]:
        yield self.heading(tr("Settings before and after"))
        settings = [
            (
                self.code(setting.key),
                f"<del>{self.value(setting.before)}</del>",
                f"<ins>{self.value(setting.after)}</ins>",
                self.code(setting.file or UNKNOWN),
            )
            for setting in part.settings
        ]
        if settings:
            yield self.table((tr("setting"), tr("before"), tr("after"), tr("file")), settings)
        else:
            yield self.paragraph(tr("No setting was changed."))
        files = [
            (
                self.code(file.path),
                *(self.code((digest or "")[:12] or UNKNOWN) for digest in (file.before, file.after)),
            )
            for file in part.files
        ]
        if files:
            yield self.table((tr("file"), tr("SHA-256 before"), tr("SHA-256 after")), files)
        if part.diff:
            lines = part.diff[: self.limits.rows]
            rest = [texts.more(len(part.diff) - len(lines))] if len(part.diff) > len(lines) else []
            shown = "\n".join(map(self._diff_line, [*lines, *rest]))
            yield f"<pre>{shown}</pre>"

    def _diff_line(self, line: str) -> str:
        tag = {"+": "ins", "-": "del"}.get(line[:1]) if line[:4] not in ("+++ ", "--- ") else None
        return f"<{tag}>{self.text(line)}</{tag}>" if tag else self.text(line)

    def _curves(self, part: IncidentPart) -> Iterator[str]:
        yield self.heading(tr("Curves around the operation"))
        if not part.curves:
            yield self.paragraph(tr("There is nothing to draw."))
        curves = list(part.curves.values()) if self.limits.pictures else []
        if part.curves and not curves:
            yield self.paragraph(tr("Left out, so that the page stays small: name fewer operations."))
        for curve in curves:
            yield from self._figure(curve)
        if any(not picture(curve).linear for curve in curves):
            yield self.paragraph(tr("The scale of steps differs on the two sides of the operation."), "q")
        if any(side.broken for curve in curves for side in (curve.before, curve.after)):
            yield self.paragraph(tr("A mark at the foot shows a value that is not finite."), "q")

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
        yield self.heading(tr("Checks"))
        if not part.checks:
            yield self.paragraph(tr("No check is recorded."))
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
        yield self.table((tr("verdict"), tr("check"), tr("evidence"), tr("when")), rows)

    def _undo(self, part: IncidentPart) -> Iterator[str]:
        if part.undo.command:
            yield f"<pre><kbd>{self.text(part.undo.command)}</kbd></pre>"
        if part.undo.note:
            yield f"<p>{self.text(part.undo.note)}</p>"


class _Incident(Parts):
    """The page of one incident."""

    generator = GENERATOR

    def __init__(self, data: IncidentData, language: str, limits: Limits) -> None:
        super().__init__(data.version, language, limits)
        self.data = data

    def title(self) -> str:
        """The title of the page."""
        parts = self.data.operations
        if len(parts) == 1:
            return tr("Incident: {title}", title=texts.heading(parts[0]))
        return tr("Incident: {count} operations", count=len(parts))

    def body(self) -> Iterator[str]:
        """What is between the tags of the body."""
        data = self.data
        yield f"<header>\n<h1>{self.text(self.title())}</h1>"
        yield self.paragraph(tr("service {service}", service=data.service), "q")
        yield "</header>\n<main>"
        for part in data.operations:
            yield "<article>"
            if len(data.operations) > 1:
                yield f"<h2>{self.text(texts.heading(part))}</h2>"
            yield from self.part(part)
            yield "</article>"
        if data.people:
            yield self.heading(tr("Contacts"))
            yield self.list(data.people)
        yield f"</main>\n{self.made_by(data.made)}"
