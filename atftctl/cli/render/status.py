"""The state of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from atftctl.cli.render.ages import age
from atftctl.cli.render.console import WARN, Tone, say, say_marked
from atftctl.cli.render.layout import display_width, pad
from atftctl.cli.render.translation import localize
from atftctl.domain.result import Result
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.operations.report.status import FeatureState

STATE_TONES: dict[str, Tone] = {"on": "good", "off": "quiet"}


def status(result: Result) -> None:
    """What is wrong first; then the improvements, the snapshots and the last operation."""
    from atftctl.operations.report.status import StatusData

    data = result.data
    assert isinstance(data, StatusData)
    say(result.headline, "strong")
    for line in result.lines:
        say_marked(WARN, line, "warn")
    _features(data.features)
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


def _features(features: Mapping[str, FeatureState]) -> None:
    width = max(map(display_width, features), default=0)
    for name, feature in features.items():
        state = feature.state
        say(feature.title, STATE_TONES.get(state, "warn"), lead=f"  {pad(name, width)}  {pad(state, 8)}  ")
