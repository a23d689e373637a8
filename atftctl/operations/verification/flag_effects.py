"""`verify --effects`: does each flag of the config do what it is there for?"""

from __future__ import annotations

from atftctl.domain.result import Result
from atftctl.observe import configs
from atftctl.observe.trainer_run import probes
from atftctl.operations.project import Project, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit

ACTS, INERT = "acts", "does not act"


def effects(project: Project, request: Request) -> Result:
    """A flag that is on and does not act fails: rolling it back would change nothing."""
    require_readable(project, configs.read_configs(project.layout.root, project.runbook.files.configs))
    watch = Stopwatch(request.report)
    with watch.part("probes"):
        found = probes.probe(project.layout, project.runbook, "effects")["effects"]
    inert = [line["flag"] for line in found if line["on"] and line["verdict"] == INERT]
    acting = sum(line["verdict"] == ACTS for line in found)
    headline = f"{acting} of {len(found)} flags act"
    if inert:
        headline = f"on, and does nothing: {'; '.join(inert)}"
    return Result(
        "verify --effects",
        Exit.CHECK_FAILED if inert else Exit.DONE,
        headline,
        data={"effects": found, "inert": inert},
        parts=tuple(watch.parts),
        contacts=project.contacts if inert else (),
    )
