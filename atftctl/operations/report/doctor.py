"""`doctor`: check this machine and project for missing parts. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.text import size_text
from atftctl.host import locks
from atftctl.host.errors import HostError
from atftctl.host.files.reading import free_bytes, size_of
from atftctl.host.git import facts as git
from atftctl.host.process.command import run
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.trainer_run import probes
from atftctl.operations.alerting import listing, outbox
from atftctl.operations.project import Project, observe, open_operation
from atftctl.operations.report import confirmation, health
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr, trn
from atftctl.state.baseline import name_in_use
from atftctl.state.engines.choice import named
from atftctl.state.layout import Layout
from atftctl.state.reserve import RESERVE

IMPORT_LIMIT_S = 60.0
PYTHON = (3, 11)
PACKAGES = ("torch", "numpy", "pandas", "pyarrow")  # the first takes as long as all others together
OURS = "atftctl.trainer"  # a module: what another trainer needs is not known
IMPORTS = """
import importlib, os, sys
names, child = sys.argv[1:], os.fork()
for name in names[1:] if child else names[:1]:
    try:
        module = importlib.import_module(name)
        print(name, getattr(module, "__version__", "available"), sep="\\t")
    except BaseException as error:
        print(name, f"!{type(error).__name__}: {error}".splitlines()[0], sep="\\t")
sys.stdout.flush()
if child:
    os.waitpid(child, 0)
"""


@record
class Finding(Data):
    """One part of the machine or the project.

    name: its name. message: its state. costs: what does not work because of it; empty where nothing is missing. needed:
    whether a rollback needs it.
    """

    name: str
    message: str
    costs: str = ""
    needed: bool = False


@record
class DoctorData(Data):
    """Data of `doctor`.

    findings: the parts of the machine and the project.
    """

    findings: tuple[Finding, ...]


def doctor(project: Project) -> Result:
    """Check all parts; exit code 1 where a part is missing that a rollback needs."""
    findings = tuple(finding for look in LOOKS for finding in _checked(look, project))
    missing = [finding for finding in findings if finding.costs]
    bad = [finding for finding in missing if finding.needed]
    headline = tr("everything that a rollback needs is in order")
    if bad:
        headline = trn(
            "{count} part that a rollback needs is missing or broken",
            "{count} parts that a rollback needs are missing or broken",
            len(bad),
        )
    elif missing:
        headline = trn(
            "everything that a rollback needs is in order; {count} other part is missing",
            "everything that a rollback needs is in order; {count} other parts are missing",
            len(missing),
        )
    return Result(
        "doctor",
        Exit.CHECK_FAILED if bad else Exit.DONE,
        headline,
        data=DoctorData(findings),
        contacts=project.contacts if bad else (),
    )


def _checked(look: Callable[[Project], Iterator[Finding]], project: Project) -> list[Finding]:
    """Run one check; its failure is a finding, too."""
    try:
        return list(look(project))
    except (AtftError, HostError, OSError) as error:
        message = error.message if isinstance(error, AtftError) else str(error)
        return [Finding(look.__name__.strip("_"), message, tr("this part could not be checked"))]


def _machine(project: Project) -> Iterator[Finding]:
    del project
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < PYTHON
    yield Finding("python", version, tr("Python 3.11 or newer is needed") if old else "", needed=True)
    message, costs = str(tr("available")), ""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        message, costs = str(error), tr("no process can be stopped safely: Linux 5.3 or newer is needed")
    yield Finding("pidfd", message, costs, needed=True)
    readable = Path("/proc/self/stat").exists()
    message = tr("available") if readable else tr("missing")
    yield Finding("/proc", message, "" if readable else tr("no process can be observed"), needed=True)
    git_path = shutil.which("git")
    costs = "" if git_path else tr("snapshots do not record the commit, and rollback --git does not work")
    yield Finding("git", git_path or tr("missing"), costs)


def _health(project: Project) -> Iterator[Finding]:
    """Yield what `status` and every refusal say, too; then the configs that are in order."""
    faults = health.faults(project, observe(project))
    for fault in faults:
        yield Finding(
            fault.name, fault.message, fault.hint or tr("this must be inspected manually"), needed=fault.blocks
        )
    if not any(fault.name == "runbook" for fault in faults):
        yield Finding("runbook", str(project.layout.runbook.relative_to(project.layout.root)))
    wrong = {fault.name for fault in faults}
    for name in project.runbook.files.configs:
        if name not in wrong:
            yield Finding(name, tr("atftctl can replace it"))


def _space(project: Project) -> Iterator[Finding]:
    layout = project.layout
    files = project.runbook.files
    size = sum(size_of(layout.root / name) for name in (*files.configs, *files.models))
    free, needed = free_bytes(layout.root), 2 * size + RESERVE
    message = tr("{free} free; a restore needs up to {needed}", free=size_text(free), needed=size_text(needed))
    costs = tr("the disk may be too full for a snapshot or a restore of the models")
    yield Finding(tr("disk space"), message, costs if free < needed else "")
    exists = layout.reserve.exists()
    yield Finding(
        tr("reserve"),
        size_text(RESERVE) if exists else tr("missing"),
        "" if exists or not layout.state.exists() else tr("on a full disk the first rollback would fail"),
    )


def _trainer(project: Project) -> Iterator[Finding]:
    """Yield what only `verify`, the baseline and the trainer itself need."""
    rules = project.runbook.trainer
    program = rules.command[0].replace("{python}", sys.executable) if rules.command else ""
    path = shutil.which(program) if program else None
    problem = tr("not found: {program}", program=program) if program else tr("the runbook has no trainer.command")
    yield Finding(tr("trainer program"), path or problem, "" if path else tr("atftctl can't start the trainer"))
    if obstacle := named(rules.engine).problem(project.layout.root, rules.placement):
        costs = obstacle.hint or tr("atftctl can't start the trainer")
        yield Finding("trainer.engine", joined(": ", (rules.engine, obstacle.text)), costs, needed=True)
    if not rules.validate:
        costs = tr("atftctl can't check settings before a start: with wrong settings the trainer fails when it starts")
        yield Finding("trainer.validate", tr("not set in the runbook"), costs)
    for command in dict.fromkeys((rules.command, rules.probe)):
        python = shutil.which(command[0].replace("{python}", sys.executable)) if command else None
        if python and OURS in command:
            yield from _packages(project, python)
            return


def _packages(project: Project, python: str) -> Iterator[Finding]:
    """Yield what the interpreter of the trainer in this package, or of its probes, can import. It imports the largest
    package beside the others."""
    root = project.layout.root
    costs = tr("verify, baseline record and the trainer do not work with this Python; rollback and restore work")
    done = run([python, "-c", IMPORTS, *PACKAGES], cwd=root, env=probes.environment(root), limit_s=IMPORT_LIMIT_S)
    lines = [line.partition("\t") for line in done.output.splitlines() if "\t" in line]
    answers = {name: answer for name, _, answer in lines if name in PACKAGES}
    for name in PACKAGES:
        answer = answers.get(name)
        if answer is None:
            yield Finding(name, tr("could not be checked: {output}", output=done.output[-100:]), costs)
        else:
            yield Finding(name, answer.removeprefix("!"), costs if answer.startswith("!") else "")


def _state(project: Project) -> Iterator[Finding]:
    layout = project.layout
    holder = locks.holder(layout.lock)
    if not open_operation(layout):
        yield Finding("operations", tr("no unfinished operation"))
    if holder is not None:
        by, pid = holder.get("operator", "?"), holder.get("pid", "?")
        yield Finding("lock", tr("held by {operator} (pid {pid})", operator=by, pid=pid))
    yield from (Finding("confirmation", line) for line in confirmation.lines(project))
    snapshots, damaged = observed.list_snapshots(layout), health.damaged_snapshots(project)
    good = observed.last_good(layout, snapshots)
    yield Finding(
        "snapshots",
        tr(
            "{count:,}, {damaged} damaged; last verified-good: {good}",
            count=len(snapshots),
            damaged=len(damaged),
            good=good.id if good else tr("none"),
        ),
        "" if good else tr("rollback --to last-good does not work; next: atftctl backup, then atftctl verify"),
    )
    exists = _has_baseline(layout)
    yield Finding(
        "baseline",
        tr("recorded") if exists else tr("none"),
        ""
        if exists
        else tr("verify stays inconclusive; next: atftctl rollback --immediate, train, then atftctl baseline record"),
    )
    yield _repository(project)


def _has_baseline(layout: Layout) -> bool:
    """Is there a baseline to compare with? Whether it can be used is said by the command that uses it."""
    try:
        return bool(name_in_use(layout))
    except Refused:
        return False


def _repository(project: Project) -> Finding:
    commit, dirty = git.head(project.layout.root)
    if not commit:
        costs = tr("rollback --git does not work, and snapshots do not record the code")
        return Finding("repository", tr("no git repository"), costs)
    if dirty:
        return Finding("repository", tr("{commit}, with uncommitted changes", commit=commit[:12]))
    return Finding("repository", commit[:12])


def route_findings(project: Project) -> Iterator[Finding]:
    """Yield on which routes people are told of an incident, and what is in the way."""
    routes = listing.routes_of(project)
    if not routes:
        yield Finding("routes", tr("none in the runbook: contacts are printed, and nobody is told"))
        return
    if find_spec("apprise") is None:
        costs = tr("nobody is told of an incident; next: pip install 'atftctl[alerts]'")
        yield Finding("apprise", tr("missing"), costs)
    if problem := outbox.obstacle(project):
        yield Finding(
            "routes", problem, tr("nobody is told of what root does; install atftctl where every user can read it")
        )
    for route in routes:
        name = f"route {route.name}"
        if route.problem:
            yield Finding(
                name, route.problem, tr("people could not be told; next: atftctl alert test {name}", name=route.name)
            )
        elif not route.set:
            message = tr("the environment variable {name} is not set here", name=route.variable)
            yield Finding(name, message, tr("commands that run here tell nobody on this route"))
        else:
            yield Finding(name, tr("set, from severity {severity} on", severity=route.severity))


LOOKS = (_machine, _health, _space, _trainer, _state, route_findings)
