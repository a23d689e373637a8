"""Checklists and findings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from atftctl.cli.render.console import FAIL, OK, UNKNOWN, WARN, Tone, mark_column, say, screen, write_lines
from atftctl.cli.render.layout import display_width, pad
from atftctl.cli.render.result import contacts, timeline, tone_of
from atftctl.cli.render.translation import localize
from atftctl.domain.checks import title_of
from atftctl.domain.result import Result
from atftctl.protocol.messages import joined, tr

if TYPE_CHECKING:
    from atftctl.operations.verification.checklist import CheckLine, VerifyData

VERDICTS: dict[str, tuple[str, Tone]] = {"pass": (OK, "good"), "fail": (FAIL, "bad"), "inconclusive": (UNKNOWN, "warn")}
SKIPPED = "-"
DETAIL = 6  # columns before the end of a probe's log


def checklist(result: Result) -> None:
    """The verdict; each check with what was measured, and what to do where it is inconclusive; what was left out."""
    from atftctl.operations.verification.checklist import VerifyData

    data = result.data
    assert isinstance(data, VerifyData)
    say(result.headline, VERDICTS.get(data.verdict, (UNKNOWN, "warn"))[1])
    width = max((display_width(localize(check.title or check.name)) for check in data.checks), default=0)
    for check in data.checks:
        _check(check, width)
    if data.skipped:
        names = joined(", ", [title_of(name) for name in data.skipped])
        say(tr("not checked: {names}", names=names), "quiet", lead=mark_column(SKIPPED), hang=8)
    _curve(data)
    for line in result.lines:
        say(line, lead="  ", hang=4)
    timeline(result.parts)
    contacts(result.contacts)


def _curve(data: VerifyData) -> None:
    """The quality by date, and its rolling mean beside the baseline's; on a terminal only. Examples have no order."""
    if data.pair_by == "example" or not data.quality or not sys.stdout.isatty():
        return
    from atftctl.cli.render import curves

    title = next((check.title for check in data.checks if check.name == "quality"), "")
    width = screen()[0] - 2
    lines = curves.quality(
        data.quality, data.baseline_quality, width, title=title, pair_by=data.pair_by, charset=curves.charset()
    )
    write_lines([f"  {line}" for line in lines], "quiet")


def verdict(title: str, kind: str, detail: str, hint: str, width: int) -> None:
    """One judged line. The verdict `kind` is in the mark and in the colour; what is inconclusive says so in words, too.
    `width`: of the column of titles."""
    mark, tone = VERDICTS[kind]
    lead = f"{mark_column(mark)}{pad(localize(title), width)}  "
    text = tr("inconclusive: {detail}", detail=detail) if kind == "inconclusive" else detail
    say(text, tone, lead=lead)
    if hint:
        say(tr("next: {hint}", hint=hint), lead=" " * display_width(lead))


def _check(check: CheckLine, width: int) -> None:
    """One check, with the end of the log of a probe that crashed."""
    verdict(check.title or check.name, check.verdict, check.detail, check.hint, width)
    for line in filter(None, check.log):
        say(line, "quiet", lead=" " * DETAIL + "| ", hang=DETAIL + 4)


def findings(result: Result) -> None:
    """Each part of the machine and the project; below what is missing, what does not work without it."""
    from atftctl.operations.report.doctor import DoctorData

    data = result.data
    assert isinstance(data, DoctorData)
    say(result.headline, tone_of(result.exit_code))
    width = max(display_width(localize(finding.name)) for finding in data.findings)
    for finding in data.findings:
        mark, tone = _finding_mark(missing=bool(finding.costs), needed=finding.needed)
        say(finding.message, tone, lead=f"{mark_column(mark)}{pad(localize(finding.name), width)}  ")
        if finding.costs:
            say(finding.costs, "quiet", lead="        ")
    contacts(result.contacts)


def _finding_mark(*, missing: bool, needed: bool) -> tuple[str, Tone]:
    if not missing:
        return OK, ""
    return (FAIL, "bad") if needed else (WARN, "warn")


def effects(result: Result) -> None:
    """For each improvement its verdict and whether it is on; below it what was measured with and without it."""
    from atftctl.operations.verification.flag_effects import EffectsData

    data = result.data
    assert isinstance(data, EffectsData)
    say(result.headline, "bad" if data.inert else "good")
    for line in data.effects:
        mark, tone = _effect_mark(line["verdict"], on=bool(line["on"]))
        switch = "on" if line["on"] else "off"
        say(line["verdict"], tone, lead=f"{mark_column(mark)}{line['flag']} ({switch}): ", hang=8)
        measured = line["with"]
        if line["without"]:
            measured = tr("{on}; without: {off}", on=line["with"], off=line["without"])
        say(measured, "quiet", lead="        ")
    timeline(result.parts)
    contacts(result.contacts)


def _effect_mark(verdict: str, *, on: bool) -> tuple[str, Tone]:
    if verdict == "acts":
        return OK, "good"
    return (FAIL, "bad") if on and verdict == "does not act" else (WARN, "warn")
