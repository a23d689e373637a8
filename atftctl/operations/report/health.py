"""Is all well, and what is not? One judgement for `status`, `doctor` and `runbook lint`: each finding has words, and a
command that can be pasted."""

from __future__ import annotations

from dataclasses import dataclass

from atftctl.decide.verdicts.crash_cause import cause, remedy
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts, Process
from atftctl.host.files.obstacles import mount_points
from atftctl.observe.configs import digest
from atftctl.observe.snapshots import catalog as observed
from atftctl.operations.change import settings_check
from atftctl.operations.change.preview import replaceable
from atftctl.operations.project import Project
from atftctl.state import checked_copies, quarantine


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be. `blocks`: a rollback or a start is refused for it."""

    name: str
    message: str
    hint: str = ""
    blocks: bool = False

    @property
    def words(self) -> str:
        return f"{self.message} → {self.hint}" if self.hint else self.message


def faults(project: Project, facts: Facts) -> list[Fault]:
    """All of them, the most urgent first."""
    return [
        *_open_operation(facts),
        *runbook_faults(project),
        *_configs(project, facts),
        *_protected(project),
        *trainer_faults(project, facts),
        *_snapshots(project),
    ]


def runbook_faults(project: Project) -> list[Fault]:
    """Everything that is wrong in the runbook, in the order of its lines."""
    known = [
        Fault("runbook", problem.text, problem.hint or "edit it, then: atftctl runbook lint", blocks=True)
        for problem in project.problems
    ]
    return known + [Fault("runbook", warning) for warning in project.warnings]


def _open_operation(facts: Facts) -> list[Fault]:
    opened = facts.open_operation
    if opened is None:
        return []
    return [Fault("operations", opened.summary, "atftctl recover", True)]


def _configs(project: Project, facts: Facts) -> list[Fault]:
    found = [
        Fault(config.path, f"{config.path}: {config.error}", config.way_back, blocks=True)
        for config in facts.configs.values()
        if config.error
    ]
    if not found and (problem := settings_check.problem_now(project)):
        hint = settings_check.way_out(project, problem)
        found.append(Fault("settings", f"the trainer can't train with the settings: {problem}", hint, blocks=True))
    if why := quarantine.reason(project.layout, digest(facts.configs)):
        found.append(Fault("quarantine", f"this config is quarantined, and guard starts no trainer with it: {why}"))
    return found


def _protected(project: Project) -> list[Fault]:
    """Configs that no rollback could replace."""
    found, mounted = [], mount_points()
    for name in project.runbook.files.configs:
        try:
            replaceable(project.layout, name, mounted)
        except Refused as error:
            found.append(Fault(name, error.message, error.hint, blocks=True))
    return found


def trainer_faults(project: Project, facts: Facts) -> list[Fault]:
    process, name = facts.process, "trainer"
    found = []
    if process.where:
        found.append(Fault(name, f"the trainer was started on {process.where}: it can't be seen from here"))
    if process.leftovers:
        pids = ", ".join(map(str, process.leftovers))
        found.append(Fault(name, f"processes of a dead run are left: pid {pids}", "atftctl trainer stop"))
    if process.silent_s is not None:
        found.append(Fault(name, silence(process), "atftctl trainer restart"))
    if process.state == "died":
        found.append(Fault(name, cause(process.last_event or {}), remedy(project.runbook, facts)))
    found += [
        Fault(name, f"a trainer started by hand: pid {stranger.pid}, {stranger.user}", "atftctl trainer status")
        for stranger in process.unmanaged
    ]
    return found


def silence(process: Process) -> str:
    """A trainer that lives and does nothing more."""
    where = f" in section {process.section}" if process.section else ""
    return f"no sign of life for {process.silent_s:.0f} s{where}: it hangs; logs/trainer.out says where"


def _snapshots(project: Project) -> list[Fault]:
    damaged = damaged_snapshots(project)
    return [
        Fault("snapshots", f"snapshot {name} is damaged: {why}", f"atftctl backup rm {name}")
        for name, why in damaged.items()
    ]


def damaged_snapshots(project: Project) -> dict[str, str]:
    """By name, why each is not to be relied on, as far as that is known without reading its copies."""
    layout = project.layout
    found, broken = observed.scan(layout)
    known = checked_copies.checked(layout)
    return broken | {one.id: why for one in found if (why := observed.known_damage(layout, one, known))}
