"""Recorded baselines."""

from __future__ import annotations

import sys

from atftctl.cli.render import curves
from atftctl.cli.render.ages import age
from atftctl.cli.render.console import FAIL, say, say_marked, screen, write_lines
from atftctl.cli.render.tables import show_fields, show_table
from atftctl.domain.baseline_text import level
from atftctl.domain.curve import Curve
from atftctl.domain.pairing import KEYS, counted
from atftctl.domain.result import Result
from atftctl.domain.text import moment
from atftctl.operations.verification.baselines import BaselineListData, BaselineShowData, BaselineSummary
from atftctl.protocol.messages import tr

ROWS = 6  # of the loss curve


def table(result: Result) -> None:
    """One row a baseline; then what is wrong with those that can't be used."""
    data = result.data
    assert isinstance(data, BaselineListData)
    if not data.baselines:
        say(tr("no baseline yet; record one while the service is healthy: atftctl baseline record"))
        return
    head = (tr("baseline"), tr("recorded"), tr("quality"), tr("over"), tr("memory"), tr("step"), tr("state"))
    show_table(head, [_row(row) for row in data.baselines])
    for row in data.baselines:
        if row.problem:
            say_marked(FAIL, tr("{name} can't be used: {reason}", name=row.name, reason=row.problem), "bad")
    for line in result.lines:
        say_marked(FAIL, line, "bad")
    if not data.in_use:
        say(tr("no baseline is in use; choose one: atftctl baseline set NAME"), "warn")


def _row(row: BaselineSummary) -> tuple[str, ...]:
    return (
        row.name,
        age(row.recorded),
        "" if row.quality is None else level(row.quality, row.unit),
        _pairs(row),
        "" if row.memory_mb is None else f"{row.memory_mb:,.0f} MB",
        "" if row.step_s is None else f"{row.step_s * 1000:,.0f} ms",
        tr("in use") if row.in_use else "",
    )


def details(result: Result) -> None:
    """What was measured, and on what."""
    data = result.data
    assert isinstance(data, BaselineShowData)
    row = data.baseline
    say(result.headline, "strong")
    model = row.model or {}
    show_fields(
        [
            (tr("state"), tr("in use") if row.in_use else tr("not in use")),
            (tr("recorded"), tr("{time} ({age})", time=moment(row.recorded), age=age(row.recorded))),
            (tr("quality"), _quality(row)),
            (tr("memory"), "" if row.memory_mb is None else f"{row.memory_mb:,.1f} MB"),
            (tr("step"), "" if row.step_s is None else f"{row.step_s * 1000:,.1f} ms"),
            *((title, f"{value:,.10g}") for title, value in row.facts.items()),
            (tr("measured on"), ", ".join(f"{key} {_short(value)}" for key, value in data.identity.items())),
            (tr("model"), f"{model.get('path', '')} {str(model.get('sha256', ''))[:12]}".strip()),
            (tr("config"), row.config_digest[:12]),
            (tr("code"), row.commit[:12]),
            (tr("loss curve"), _span(data)),
        ]
    )
    if data.curve and sys.stdout.isatty():
        steps = data.curve["steps"]
        ends = tr("step {step}", step=steps[0]), tr("step {step}", step=steps[-1])
        shown = Curve(data.curve["column"], steps, data.curve["values"], ends=ends)
        width = screen()[0] - 2
        write_lines(f"  {line}" for line in curves.plot([shown], width=width, height=ROWS, charset=curves.charset()))


def _span(data: BaselineShowData) -> str:
    """What the loss curve covers, or that there is none."""
    if data.curve is None:
        return tr("none; add one: atftctl baseline record --name {name}", name=data.baseline.name)
    steps = data.curve["steps"]
    return tr("{metric} of the steps {first:,} to {last:,}, from {rows:,} rows", metric=data.curve["column"],
              first=steps[0], last=steps[-1], rows=data.curve["rows"])  # fmt: skip


def _pairs(row: BaselineSummary) -> str:
    return counted(row.pair_by, row.pairs) if row.pair_by in KEYS and row.pairs else ""


def _quality(row: BaselineSummary) -> str:
    if row.quality is None:
        return ""
    value = level(row.quality, row.unit)
    if row.first and row.pair_by == "date":
        return tr("{quality} over {pairs}, {first} to {last}", quality=value, pairs=_pairs(row), first=row.first,
                  last=row.last)  # fmt: skip
    return tr("{level} over {pairs}", level=value, pairs=_pairs(row)) if row.pairs else value


def _short(value: object) -> str:
    """A value of the identity; of a hash its beginning."""
    if isinstance(value, list):
        return "/".join(map(str, value))
    return str(value)[:12]
