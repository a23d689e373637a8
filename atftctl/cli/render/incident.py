"""The incident on the terminal, and its page in the files that the operator names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.cli.render import incident_texts as texts
from atftctl.cli.render import page_file
from atftctl.cli.render.console import FAIL, OK, UNKNOWN, WARN, emit_raw, mark_column, say
from atftctl.cli.render.result import contacts
from atftctl.cli.render.tables import show_fields
from atftctl.domain.errors import UsageError
from atftctl.domain.record import record
from atftctl.domain.result import Result
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.operations.report.incident_data import IncidentData, IncidentPart

HTML = page_file.PageKind("--html", (".html", ".htm"), 'content="atftctl incident')
MARKDOWN = page_file.PageKind("--markdown", (".md", ".markdown"), "<!-- atftctl incident")
STDOUT = Path("-")
MOST = 12  # settings and lines of the timeline on the terminal
MARKS = {"pass": OK, "fail": FAIL}


@record
class Targets:
    """Where the page is to go. `html`, `markdown`: a file, `-` for standard output, None for nowhere. `force`: replace
    a file that is no page of ours. `language`: of the page."""

    html: Path | None
    markdown: Path | None
    force: bool
    language: str

    @property
    def to_stdout(self) -> bool:
        return STDOUT in (self.html, self.markdown)

    def check(self, *, json: bool) -> None:
        """Raises UsageError and Refused for files that can't be written."""
        if self.html == self.markdown == STDOUT or (self.to_stdout and json):
            raise UsageError(tr("only one thing can go to standard output"), hint=tr("name a file in place of -"))
        for path, kind in ((self.html, HTML), (self.markdown, MARKDOWN)):
            if path and path != STDOUT:
                page_file.check(path, kind, force=self.force)


def with_pages(result: Result, targets: Targets) -> Result:
    """The result, after its pages were written to their files. Raises Refused where that is not possible."""
    data = data_of(result)
    for path, kind in ((targets.html, HTML), (targets.markdown, MARKDOWN)):
        if path and path != STDOUT:
            page_file.write(path, _page(data, targets, kind), kind, force=targets.force)
    html, markdown = (str(path) if path else "" for path in (targets.html, targets.markdown))
    return replace(result, data=replace(data, html=html, markdown=markdown))


def to_stdout(result: Result, targets: Targets) -> None:
    """The page itself, for another program."""
    kind = HTML if targets.html == STDOUT else MARKDOWN
    emit_raw(_page(data_of(result), targets, kind).encode("utf-8", "replace").decode())


def _page(data: IncidentData, targets: Targets, kind: page_file.PageKind) -> str:
    if kind is HTML:
        from atftctl.cli.render import incident_html

        return incident_html.page(data, targets.language)
    from atftctl.cli.render import incident_markdown

    return incident_markdown.page(data)


def data_of(result: Result) -> IncidentData:
    """What `incident` found."""
    from atftctl.operations.report.incident_data import IncidentData

    assert isinstance(result.data, IncidentData)
    return result.data


def incident(result: Result) -> None:
    """A short text; with a page, only where that is."""
    data = data_of(result)
    say(result.headline, "strong")
    pages = [path for path in (data.html, data.markdown) if path]
    for path in pages:
        say(tr("wrote {path}", path=path), lead="  ")
    for part in data.operations:
        if pages:
            _missing(part)
        else:
            _part(part)
    if not pages:
        contacts(data.people)
        say(tr("the whole page: atftctl incident --html incident.html"), "quiet", lead="  ")


def _part(part: IncidentPart) -> None:
    show_fields([*texts.overview(part), *texts.decision(part)])
    say(tr("timeline:"), lead="  ")
    for moment in part.timeline[:MOST]:
        at = str(texts.moment(moment.at)).removesuffix(" UTC")
        say(moment.text, lead=f"    {'~' if moment.about else ' '}{at}  ")
    _more(len(part.timeline))
    for setting in part.settings[:MOST]:
        old, new = (tr("(not set)") if value is None else value for value in (setting.before, setting.after))
        say(tr("{key}: {old} → {new}", key=setting.key, old=old, new=new), lead="  ", hang=4)
    _more(len(part.settings))
    for curve in part.curves.values():
        both = {"before": texts.figures(curve.before), "after": texts.figures(curve.after)}
        say(tr("{title} before: {before}; after: {after}", title=texts.title_of(curve), **both), lead="  ", hang=4)
    for check in part.checks:
        text = tr("{check}: {detail}", check=check.name, detail=check.evidence)
        say(text, lead=mark_column(MARKS.get(check.verdict, UNKNOWN)))
    show_fields(texts.costs(part.cost))
    _missing(part)
    if part.undo.command:
        say(tr("undo: {command}", command=part.undo.command), lead="  ")
    if part.undo.note:
        say(part.undo.note, lead="  ", hang=4)


def _missing(part: IncidentPart) -> None:
    for text in part.missing:
        say(tr("not known: {text}", text=text), "warn", lead=mark_column(WARN))


def _more(count: int) -> None:
    if count > MOST:
        say(texts.more(count - MOST), "quiet", lead="    ")
