"""`atftctl verify`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Effects = Annotated[
    bool, typer.Option("--effects", help="Check instead that each improvement that is on has an effect.")
]
BaselineOnly = Annotated[
    bool,
    typer.Option(
        "--baseline-only", help="Make only the checks that compare with the baseline: quality, memory, step time."
    ),
]
Quick = Annotated[
    bool,
    typer.Option("--quick", help="Measure on less data, with fewer steps, and leave out the step time: 15 s at most."),
]
Check = Annotated[
    list[str] | None,
    typer.Option("--check", metavar="CHECK", help="Make only this check (repeatable).", show_default=False),
]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write the result as JUnit XML, for CI.", show_default=False),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw the values of quality, with the baseline, as an SVG file.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class VerifyOptions:
    """The options of `verify`."""

    baseline_only: BaselineOnly = False
    quick: Quick = False
    check: Check = None
    junit: Junit = None
    plot: Plot = None
    effects: Effects = False

    @property
    def only(self) -> tuple[str, ...]:
        """The names of the checks to make; all for none."""
        from atftctl.domain.checks import CHECKS

        if self.baseline_only:
            return tuple(name for name, kind in CHECKS.items() if kind.compares)
        return tuple(self.check or ())

    def refuse_contradictions(self) -> None:
        """Raises UsageError for options that can't be used together."""
        from atftctl.domain.errors import UsageError
        from atftctl.protocol.messages import tr

        if self.baseline_only and self.check:
            raise UsageError(tr("--baseline-only and --check can't be used together"))
        if self.effects and (self.only or self.quick or self.junit or self.plot):
            raise UsageError(tr("--effects can't be used together with options of the checklist"))

    def check_files(self) -> None:
        """Raises UsageError for files that can't be written: before anything is measured."""
        from atftctl.cli.render import svg_file
        from atftctl.operations.verification import reports

        if self.plot:
            svg_file.check(self.plot)
        for path in (self.junit, self.plot):
            if path:
                reports.check_writable(path)

    def write_files(self, result: "Result", service: str) -> None:
        """Write the files that were asked for. Raises Refused where one can't be written."""
        from atftctl.cli.render import junit, svg, svg_file
        from atftctl.operations.verification import checklist, reports

        data = result.data
        assert isinstance(data, checklist.VerifyData)
        if self.junit:
            seconds = sum(part.seconds for part in result.parts)
            reports.write_report(self.junit, junit.document(data, seconds, service))
        if self.plot:
            title = next((check.title for check in data.checks if check.name == "quality"), "")
            svg_file.write(self.plot, svg.quality(service, title, data.quality, data.baseline_quality, data.pair_by))


@command(
    "verify",
    examples=(
        "atftctl verify",
        "atftctl verify --quick",
        "atftctl verify --check quality --check service",
    ),
)
def verify(session: Session, options: VerifyOptions) -> "Result":
    """Check that the service is back at its normal level.

    Checks model, data, training, quality, errors, memory, service and step time; compares with the baseline. Takes
    about half a minute, and changes nothing. If all checks pass, a snapshot of exactly these files is marked as
    verified-good; a part of the checks marks nothing.
    """
    from atftctl.cli.render import checks as render

    options.refuse_contradictions()
    opened = session.open()
    if options.effects:
        from atftctl.operations.verification import flag_effects

        session.command, session.render = "verify --effects", render.effects
        return flag_effects.effects(opened, session.request())
    from atftctl.domain.errors import Refused
    from atftctl.operations.verification import checklist

    session.render = render.checklist
    options.check_files()
    result = checklist.verify(opened, session.request(), only=options.only, quick=options.quick)
    try:
        options.write_files(result, opened.runbook.service)
    except Refused as error:  # what took a minute to measure is not to be lost with its file
        assert isinstance(result.data, checklist.VerifyData)
        error.lines = (result.headline, *checklist.lines_of(result.data))
        raise
    return result
