"""What is wrong with the service: the one judgement that `status`, `doctor` and `runbook lint` show. Each fault has a
message, and where possible a command that helps."""

from __future__ import annotations

from atftctl.decide.verdicts.crash_cause import cause, remedy
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts, Process
from atftctl.host import locks
from atftctl.host.files.obstacles import mount_points
from atftctl.observe.configs import digest
from atftctl.observe.snapshots import catalog as observed
from atftctl.operations.change import settings_check
from atftctl.operations.change.preview import replaceable
from atftctl.operations.project import Project
from atftctl.operations.report import confirmation
from atftctl.operations.report.fault import Fault
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import checked_copies, generation, quarantine


def faults(project: Project, facts: Facts) -> list[Fault]:
    """Return everything that is wrong, the most urgent first."""
    return [
        *_open_operation(project, facts),
        *confirmation.faults(project),
        *runbook_faults(project),
        *_configs(project, facts),
        *_protected(project),
        *trainer_faults(project, facts),
        *_generation(project),
        *_snapshots(project),
    ]


def runbook_faults(project: Project) -> list[Fault]:
    """Return everything that is wrong in the runbook, in the order of its lines."""
    edit = tr("edit the runbook, then run: atftctl runbook lint")
    problems = [Fault("runbook", problem.text, problem.hint or edit, blocks=True) for problem in project.problems]
    return problems + [Fault("runbook", warning) for warning in project.warnings]


def _open_operation(project: Project, facts: Facts) -> list[Fault]:
    """Return a fault for an interrupted operation. While a process holds the lock, it is at work, or recovers one."""
    opened = facts.open_operation
    if opened and locks.holder(project.layout.lock) is not None:
        return []
    return [Fault("operations", opened.summary, "atftctl recover", blocks=True)] if opened else []


def _configs(project: Project, facts: Facts) -> list[Fault]:
    problems = [
        Fault(config.path, joined(": ", (config.path, config.error)), config.way_back, blocks=True)
        for config in facts.configs.values()
        if config.error
    ]
    if not problems and (problem := settings_check.problem_now(project)):
        hint = settings_check.way_out(project, problem)
        message = tr("the trainer can't train with the current settings: {problem}", problem=problem)
        problems.append(Fault("settings", message, hint, blocks=True))
    if why := quarantine.reason(project.layout, digest(facts.configs)):
        message = tr("this config is quarantined: atftctl guard starts no trainer with it ({why})", why=why)
        problems.append(Fault("quarantine", message))
    return problems


def _protected(project: Project) -> list[Fault]:
    """Return a fault for each config that a rollback could not replace."""
    problems, mounted = [], mount_points()
    for name in project.runbook.files.configs:
        try:
            replaceable(project.layout, name, mounted)
        except Refused as error:
            problems.append(Fault(name, error.message, error.hint, blocks=True))
    return problems


def trainer_faults(project: Project, facts: Facts) -> list[Fault]:
    """Return what is wrong with the recorded trainer, and a fault for each trainer that was started by hand."""
    process = facts.process
    problems = []
    if process.where:
        message = tr("the trainer was started on {host}; its state can't be seen from here", host=process.where)
        problems.append(Fault("trainer", message))
    if process.leftovers:
        pids = ", ".join(map(str, process.leftovers))
        message = tr("processes of the last run are still running: pid {pids}", pids=pids)
        problems.append(Fault("trainer", message, "atftctl trainer stop"))
    problems += _unsure(process)
    if process.silent_s is not None:
        problems.append(Fault("trainer", silence(process), "atftctl trainer restart"))
    if process.state == "died":
        problems.append(Fault("trainer", cause(process.last_event or {}), remedy(project.runbook, facts)))
    for trainer in process.unmanaged:
        message = tr("manually started trainer: {process}, user {user}", process=trainer.name, user=trainer.user)
        problems.append(Fault("trainer", message, "atftctl trainer status"))
    return problems


def _unsure(process: Process) -> list[Fault]:
    """Return a fault for each thing about the trainer that nobody can show now, or that signs contradict."""
    problems = []
    if process.unknown:
        message = tr(
            "the state of the trainer ({process}) is not known: {reason}", process=process.name, reason=process.unknown
        )
        problems.append(Fault("trainer", message, "atftctl trainer status"))
    if process.unproven:
        message = tr("nobody can show yet that the trainer has ended: {known}", known=process.unproven)
        problems.append(Fault("trainer", message, "atftctl trainer stop"))
    if process.remark:
        problems.append(Fault("trainer", process.remark))
    return problems


def silence(process: Process) -> Message:
    """Say that a living trainer hangs, and for how long. `process.silent_s` must not be None."""
    if process.section:
        return tr(
            "the trainer hangs: no sign of life for {seconds:.0f} s in section {section}; see: atftctl logs",
            seconds=process.silent_s,
            section=process.section,
        )
    return tr(
        "the trainer hangs: no sign of life for {seconds:.0f} s; see: atftctl logs",
        seconds=process.silent_s,
    )


def _generation(project: Project) -> list[Fault]:
    """Return a fault for a counter of starts that can't be used."""
    layout = project.layout
    if not (why := generation.damage(layout)):
        return []
    message = tr(
        "the number of the trainer's last start is lost: {why}; the next start gets number {number}",
        why=why,
        number=generation.newest(layout) + 1,
    )
    return [Fault("generation", message)]


def _snapshots(project: Project) -> list[Fault]:
    return [
        Fault(
            "snapshots",
            tr("snapshot {id} is damaged: {why}", id=name, why=why),
            tr("to remove it: atftctl backup rm {id}", id=name),
        )
        for name, why in damaged_snapshots(project).items()
    ]


def damaged_snapshots(project: Project) -> dict[str, str]:
    """Return what is wrong with each damaged snapshot, by name, as far as it is known without reading its copies."""
    layout = project.layout
    snapshots, broken = observed.scan(layout)
    checked = checked_copies.checked(layout)
    damage = {snapshot.id: why for snapshot in snapshots if (why := observed.known_damage(layout, snapshot, checked))}
    return broken | damage
