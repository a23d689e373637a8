"""`baseline record`: the level that `verify` compares with."""

from __future__ import annotations

from atftctl.decide.plans.setting_changes import changes
from atftctl.domain.errors import Refused
from atftctl.domain.result import Result
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.reading import read_bytes
from atftctl.host.git import facts as git
from atftctl.host.yaml_text.read import MAX_BYTES
from atftctl.observe import configs
from atftctl.observe.trainer_run import probes
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, refuse_open, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.state import baseline as stored
from atftctl.state.baseline import BASELINE_VERSION


def record_baseline(project: Project, request: Request, *, force: bool = False) -> Result:
    """Measure the level that later verifies compare with. Recorded while all is well, at the baseline's settings."""
    layout, runbook = project.layout, project.runbook
    watch = Stopwatch(request.report)
    found = configs.read_configs(layout.root, runbook.files.configs)
    require_readable(project, found)
    refuse_open(project)
    on = changes(runbook, found, runbook.immediate.settings)
    if on and not force:
        names = ", ".join(change.feature for change in on)
        raise Refused(
            f"improvements are on ({names}); a baseline is the level without them",
            state="the old baseline, if any, stands",
            hint="atftctl rollback --immediate first, or --force to record it all the same",
        )
    with watch.part("probes"):
        measured = probes.probe(layout, runbook, "verify")
    for name in ("dataset", "training", "cost", "model", "rankic"):
        if measured[name].get("error"):
            raise Refused(
                f"no baseline was recorded: {name}: {measured[name]['error']}",
                state="the old baseline, if any, stands",
            )
    with locked(project, "baseline record", request):
        stored.write(
            layout,
            {
                "version": BASELINE_VERSION,
                "recorded": now().isoformat(timespec="seconds"),
                "commit": git.head(layout.root)[0],
                "config_digest": configs.digest(found),
                "configs": {
                    name: read_bytes(resolve_inside(layout.root, name), MAX_BYTES).decode()
                    for name in runbook.files.configs
                },
                "rankic": measured["rankic"],
                "cost": measured["cost"],
                "model": measured["model"],
            },
        )
    rankic, cost = measured["rankic"], measured["cost"]
    return Result(
        "baseline record",
        Exit.DONE,
        f"baseline recorded: RankIC@{rankic['horizon']}d {rankic['mean']:.4f} over {len(rankic['by_date'])} dates, "
        f"{cost['memory_mb']:.0f} MB, {cost['step_s'] * 1000:.0f} ms a step",
        data={
            "rankic": rankic["mean"],
            "dates": len(rankic["by_date"]),
            "cost": cost,
            "model": measured["model"],
        },
        parts=tuple(watch.parts),
    )
