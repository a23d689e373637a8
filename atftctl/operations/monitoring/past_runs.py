"""The rows of past runs, and the rules that detectors judge them by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from atftctl.decide.detectors import bank
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.result import Reporter
from atftctl.domain.run_rows import Row
from atftctl.domain.text import listed
from atftctl.host.errors import HostError, reason
from atftctl.host.files.reading import size_of
from atftctl.observe.metrics.past import past_rows
from atftctl.operations.monitoring.baseline_curve import baseline_curve
from atftctl.operations.project import Project
from atftctl.protocol.messages import Message, tr
from atftctl.state.layout import Layout

PER = 10_000  # steps that rates are given for


def rules_for(project: Project, paths: Sequence[Path]) -> tuple[bank.Rules, Message | None]:
    """(the rules, why there is no curve of a baseline to compare with, or None). Raises Refused where the runbook names
    no column, UsageError for a file that is given twice."""
    curve, uncompared = baseline_curve(project, None)
    rules = bank.rules_of(project.runbook, curve)
    if not rules.columns:
        text = tr("the runbook names no column for a detector")
        raise Refused(text, hint=tr("name them in the section metrics of the runbook, such as metrics.loss"))
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError(tr("the same file is given twice"))
    return rules, uncompared


def feed_all(
    layout: Layout,
    paths: Sequence[Path],
    columns: Sequence[str],
    take: Callable[[str, Iterable[Row]], None],
    report: Reporter,
) -> int:
    """Feed the rows of each file, with these columns; the number of lines that are no rows. Raises Refused where a file
    can't be read, or holds no rows."""
    report.part("replay")
    report.expect(sum(map(size_of, paths)))
    return sum(_feed(layout, path, columns, take, report) for path in paths)


def _feed(
    layout: Layout, path: Path, columns: Sequence[str], take: Callable[[str, Iterable[Row]], None], report: Reporter
) -> int:
    try:
        rows = past_rows(layout, path.absolute(), columns, report.progress)
        take(str(path), rows)
    except (OSError, HostError) as error:
        raise Refused(tr("{path} can't be read: {reason}", path=path, reason=reason(error))) from None
    if not rows.count:
        raise Refused(
            tr("{path} holds no rows of metrics", path=path),
            hint=tr("look at its first lines: head -3 {path}", path=path),
        )
    return rows.torn


def nothing_to_judge(rules: bank.Rules, paths: Sequence[Path]) -> Refused:
    """The error where no detector has a value to judge."""
    return Refused(
        tr("no detector has a value to judge in these files: {columns}", columns=listed(rules.columns, 6)),
        hint=tr("compare the section metrics of the runbook with the columns of the file: head -1 {path}",
                path=paths[0]),
    )  # fmt: skip
