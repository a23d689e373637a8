"""`doctor`: what is missing on this machine, and what that costs. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from atftctl.domain.errors import AtftError
from atftctl.domain.result import Result
from atftctl.domain.text import counted, size_text
from atftctl.host import locks
from atftctl.host.errors import HostError
from atftctl.host.files.reading import free_bytes, size_of
from atftctl.host.git import facts as git
from atftctl.host.process.command import run
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.trainer_run import probes
from atftctl.operations.project import Project, observe, open_operation
from atftctl.operations.report import health
from atftctl.protocol import Exit
from atftctl.state.reserve import RESERVE

IMPORT_LIMIT_S = 60.0
PYTHON = (3, 11)
PACKAGES = ("torch", "numpy", "pandas", "pyarrow", "arch")  # the first takes as long as all others together
IMPORTS = """
import importlib, os, sys
names, child = sys.argv[1:], os.fork()
for name in names[1:] if child else names[:1]:
    try:
        found = importlib.import_module(name)
        print(name, getattr(found, "__version__", "there"), sep="\\t")
    except BaseException as error:
        print(name, f"!{type(error).__name__}: {error}".splitlines()[0], sep="\\t")
sys.stdout.flush()
if child:
    os.waitpid(child, 0)
"""


@dataclass(frozen=True)
class Finding:
    """`costs`: what can't be done as things stand, "" where nothing is missing. `needed`: a rescue can't do without."""

    name: str
    words: str
    costs: str = ""
    needed: bool = False


def doctor(project: Project) -> Result:
    """Exit 1 where something is missing that a rescue needs."""
    found = [finding for look in LOOKS for finding in _tried(look, project)]
    missing = [one for one in found if one.costs]
    bad = [one for one in missing if one.needed]
    headline = "all that a rescue needs is there"
    if bad:
        headline = f"{counted(len(bad), 'thing')} that a rescue needs {_are(bad)} missing"
    elif missing:
        headline += f"; {counted(len(missing), 'thing')} {_are(missing)} missing beside that"
    return Result(
        "doctor",
        Exit.CHECK_FAILED if bad else Exit.DONE,
        headline,
        data={"findings": [vars(one) for one in found]},
        contacts=project.contacts if bad else (),
    )


def _are(findings: Sequence[Finding]) -> str:
    return "is" if len(findings) == 1 else "are"


def _tried(look: Callable[[Project], Iterator[Finding]], project: Project) -> list[Finding]:
    """A look that fails is a finding."""
    try:
        return list(look(project))
    except (AtftError, HostError, OSError) as error:
        return [Finding(look.__name__.strip("_"), str(error), "it could not be looked at")]


def _machine(project: Project) -> Iterator[Finding]:
    del project
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < PYTHON
    yield Finding("python", version, "Python 3.11 or newer is needed" if old else "", needed=True)
    try:
        os.close(os.pidfd_open(os.getpid()))
        words, costs = "there", ""
    except (AttributeError, OSError) as error:
        words, costs = str(error), "no process can be stopped safely (Linux 5.3 or newer)"
    yield Finding("pidfd", words, costs, needed=True)
    readable = Path("/proc/self/stat").exists()
    yield Finding(
        "/proc", "there" if readable else "missing", "" if readable else "no process can be seen", needed=True
    )
    git_there = shutil.which("git")
    yield Finding("git", git_there or "missing", "" if git_there else "no commit in snapshots; no rollback --git")


def _health(project: Project) -> Iterator[Finding]:
    """What `status` and every refusal say, too; then the configs that nothing stands against."""
    found = health.faults(project, observe(project))
    for fault in found:
        yield Finding(fault.name, fault.message, fault.hint or "look at it", needed=fault.blocks)
    if not any(fault.name == "runbook" for fault in found):
        yield Finding("runbook", str(project.layout.runbook.relative_to(project.layout.root)))
    wrong = {fault.name for fault in found}
    yield from (Finding(name, "can be replaced") for name in project.runbook.files.configs if name not in wrong)


def _space(project: Project) -> Iterator[Finding]:
    layout = project.layout
    files = project.runbook.files
    one = sum(size_of(layout.root / name) for name in (*files.configs, *files.models))
    free, wanted = free_bytes(layout.root), 2 * one + RESERVE
    short = free < wanted
    words = f"{size_text(free)} free; a restore takes up to {size_text(wanted)}"
    yield Finding("room", words, "a snapshot or a restore of the models may find no room" if short else "")
    there = layout.reserve.exists()
    yield Finding(
        "reserve",
        size_text(RESERVE) if there else "not there",
        "" if there or not layout.state.exists() else "a full disk would stop the first rollback",
    )


def _trainer(project: Project) -> Iterator[Finding]:
    """Only `verify`, the baseline and the trainer itself need these."""
    rules = project.runbook.trainer
    program = rules.command[0].replace("{python}", sys.executable) if rules.command else ""
    found = shutil.which(program) if program else None
    yield Finding("trainer's program", found or f"{program or 'none'}: not found", "" if found else "no trainer starts")
    if not rules.validate:
        yield Finding(
            "trainer.validate", "not named", "settings out of their range are found out when the trainer dies"
        )
    if found and Path(found).name.startswith("python"):
        yield from _packages(project, found)


def _packages(project: Project, python: str) -> Iterator[Finding]:
    """What the trainer's own interpreter can import; it takes the heaviest one in a process beside the others."""
    root = project.layout.root
    missing = "no verify, no baseline, no trainer from here; rollback and restore work"
    done = run([python, "-c", IMPORTS, *PACKAGES], cwd=root, env=probes.environment(root), limit_s=IMPORT_LIMIT_S)
    lines = [line.partition("\t") for line in done.output.splitlines() if "\t" in line]
    told = {name: words for name, _, words in lines if name in PACKAGES}
    for name in PACKAGES:
        words = told.get(name, f"!not asked: {done.output[-100:]}")
        yield Finding(name, words.removeprefix("!"), missing if words.startswith("!") else "")


def _state(project: Project) -> Iterator[Finding]:
    layout = project.layout
    holder = locks.holder(layout.lock)
    if not open_operation(layout):
        yield Finding("operations", "none is open")
    if holder is not None:
        yield Finding("lock", f"held by {holder.get('operator', '?')} (pid {holder.get('pid', '?')})")
    known, damaged = observed.list_snapshots(layout), health.damaged_snapshots(project)
    good = observed.last_good(layout, known)
    yield Finding(
        "snapshots",
        f"{len(known)}, {len(damaged)} damaged; last verified-good: {good.id if good else 'none'}",
        "" if good else "rollback has nowhere to go by itself: atftctl backup, then atftctl verify",
    )
    there = layout.baseline.exists()
    yield Finding(
        "baseline",
        "recorded" if there else "none",
        "" if there else "verify stays inconclusive: atftctl rollback --immediate, train, atftctl baseline record",
    )
    commit, dirty = git.head(layout.root)
    words = f"{commit[:12]}{', with changes' if dirty else ''}" if commit else "no repository"
    yield Finding("repository", words, "" if commit else "no rollback --git, no code in snapshots")


LOOKS = (_machine, _health, _space, _trainer, _state)
