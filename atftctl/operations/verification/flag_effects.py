"""`verify --effects`: check that each setting of an improvement has an effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.observe import configs
from atftctl.observe.trainer_run import probes
from atftctl.operations.project import Project, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

ACTS, INERT = "acts", "does not act"  # verdicts of the trainer's probe


@record
class EffectsData(Data):
    """Data of `verify --effects`.

    effects: for each setting `flag`, `on`, `verdict`, and what was measured `with` and `without` it. inert: the
    settings that are on and have no effect.
    """

    effects: tuple[Mapping[str, Any], ...]
    inert: tuple[str, ...]


def effects(project: Project, request: Request) -> Result:
    """Measure with each setting on and off. A setting that is on and has no effect fails: to roll it back would change
    nothing. Raises Refused for an unreadable config, Inconclusive where the probe could not be run."""
    require_readable(project, configs.read_configs(project.layout.root, project.runbook.files))
    watch = Stopwatch(request.report)
    with watch.part("probes"):
        lines = probes.probe(project.layout, project.runbook, "effects")["effects"]
    inert = tuple(line["flag"] for line in lines if line["on"] and line["verdict"] == INERT)
    acting = sum(line["verdict"] == ACTS for line in lines)
    headline = tr("{acting} of {count} settings have an effect", acting=acting, count=len(lines))
    if inert:
        headline = tr("these settings are on, but have no effect: {flags}", flags="; ".join(inert))
    return Result(
        "verify --effects",
        Exit.CHECK_FAILED if inert else Exit.DONE,
        headline,
        data=EffectsData(tuple(lines), inert),
        parts=tuple(watch.parts),
        contacts=project.contacts if inert else (),
    )
