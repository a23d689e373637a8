"""The page of a rehearsal as one HTML file: each drill with its times, its checks, and the page of its incident."""

from __future__ import annotations

from collections.abc import Iterator

from atftctl import __version__
from atftctl.cli.render.drill import VERDICTS, data_of, table_of
from atftctl.cli.render.drill_texts import checks_of, story_of, times_of
from atftctl.cli.render.incident_html import Parts
from atftctl.cli.render.page_html import Limits, fitting
from atftctl.domain.result import Result
from atftctl.operations.drill.outcome import Rehearsed
from atftctl.protocol.messages import tr

TONES = {"restored": "good", "not restored": "bad"}
SUMMARY = (0, 1, 10, 11, 12)  # columns of the table that fit a page: symptom, verdict, rollback, of that, target


def page(result: Result, service: str, language: str, made: str) -> str:
    """The page of a rehearsal. made: when it was made (ISO 8601)."""
    return fitting(lambda limits: _Rehearsal(result, service, language, made, limits).made())


class _Rehearsal(Parts):
    """The page of one rehearsal."""

    generator = "atftctl drill"

    def __init__(self, result: Result, service: str, language: str, made: str, limits: Limits) -> None:
        super().__init__(__version__, language, limits)
        self.result, self.service, self.at = result, service, made

    def title(self) -> str:
        """The title of the page."""
        return tr("Drill: {service}", service=self.service)

    def body(self) -> Iterator[str]:
        """What is between the tags of the body."""
        data = data_of(self.result)
        yield f"<header>\n<h1>{self.text(self.title())}</h1>"
        yield self.paragraph(self.result.headline, TONES.get(data.verdict, "warn"))
        yield "</header>\n<main>"
        head, rows = table_of(data)
        cells = [
            [self.text(row[0]), *(f'<span class="n">{self.text(row[index])}</span>' for index in SUMMARY[1:])]
            for row in rows
        ]
        yield self.table([head[index] for index in SUMMARY], cells)
        for name in data.missing:
            yield self.paragraph(tr("{symptom} has no drill: the runbook's drill.faults does not describe it",
                                    symptom=name), "warn")  # fmt: skip
        for drill in data.drills:
            yield "<article>"
            yield from self._drill(drill)
            yield "</article>"
        yield f"</main>\n{self.made_by(self.at)}"

    def _drill(self, drill: Rehearsed) -> Iterator[str]:
        yield f"<h2>{self.text(drill.title)}</h2>"
        yield self.paragraph(VERDICTS[drill.verdict], TONES.get(drill.verdict, "warn"))
        yield self.list(story_of(drill))
        yield self.heading(tr("Times of the incident"))
        yield self.fields(times_of(drill))
        if checks := checks_of(drill):
            yield self.heading(tr("The checklist after it"))
            yield self.fields(checks)
        if drill.incident is not None:
            title = tr("The page of its incident")  # not in the text below: `make messages` finds no message there
            yield f"<section>\n{self.heading(title)}"
            yield self.paragraph(tr("As it stood in the scratch copy: its commands were for there."), "q")
            yield from self.part(drill.incident)
            yield "</section>"
        else:
            yield self.paragraph(tr("Nothing was rolled back, so there is no incident to show."))
