"""The state of the service."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from atftctl.cli.render.ages import age
from atftctl.cli.render.console import WARN, Tone, say, say_marked
from atftctl.cli.render.layout import display_width, pad
from atftctl.cli.render.result import contacts
from atftctl.cli.render.translation import localize
from atftctl.domain.printable import printable
from atftctl.domain.result import Result
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.operations.report.metrics_data import CurveData
    from atftctl.operations.report.status import FeatureState

SPARK = 24  # columns of a curve
STATE_TONES: dict[str, Tone] = {"on": "good", "off": "quiet"}


def status(result: Result) -> None:
    """What is wrong first; then the improvements, the snapshots and the last operation."""
    from atftctl.operations.report.status import StatusData
    from atftctl.operations.report.watcher import summary

    data = result.data
    assert isinstance(data, StatusData)
    say(result.headline, "strong")
    for line in result.lines:
        say_marked(WARN, line, "warn")
    _features(data.features)
    _recent(data.recent)
    say(
        tr(
            "snapshots: {count}, latest {latest}, last verified-good {good}",
            count=data.snapshots,
            latest=data.latest_snapshot or tr("none"),
            good=data.last_good or tr("none"),
        ),
        lead="  ",
        hang=4,
    )
    if data.reenabling:
        say(data.reenabling, lead="  ", hang=4)
    if data.watcher:
        blind = data.watcher.running and not data.watcher.sees
        say(summary(data.watcher), "warn" if blind else "", lead="  ", hang=4)
    if last := data.last_operation:
        ago = age(str(last.get("ended", "")))
        when = f", {localize(ago)}" if ago else ""
        say(
            tr(
                "last operation: {operation} {command}: {title} ({outcome}{age})",
                operation=last["operation"],
                command=last["command"],
                title=last["title"],
                outcome=last["outcome"],
                age=when,
            ),
            lead="  ",
            hang=4,
        )
    contacts(result.contacts)


def _features(features: Mapping[str, FeatureState]) -> None:
    width = max(map(display_width, features), default=0)
    for name, feature in features.items():
        state = feature.state
        title = "" if feature.title == name else feature.title
        say(title, STATE_TONES.get(state, "warn"), lead=f"  {pad(name, width)}  {pad(state, 8)}  ")


def _recent(curves: Mapping[str, CurveData]) -> None:
    """The newest metrics, a line each: on a terminal the curve, then its last, least and greatest value."""
    if not curves:
        return
    from atftctl.cli.render.curves import charset, described, spark, values_text

    if not sys.stdout.isatty():
        for each in curves.values():
            say(described(each.curve), lead="  ")
        return
    shown = charset()
    titles = [printable(localize(each.title)) for each in curves.values()]
    width = max(map(display_width, titles))
    for title, each in zip(titles, curves.values(), strict=True):
        say(values_text(each.curve), lead=f"  {pad(title, width)}  {spark(each.curve, width=SPARK, charset=shown)}  ")
