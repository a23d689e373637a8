"""Finding the project and reading its runbook. A wrong one is refused before anything has changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from atftctl.domain.errors import Refused, WrongUsage
from atftctl.domain.runbook import Checks, Files, Immediate, Runbook, Symptom, TrainerRules
from atftctl.domain.text import nearest
from atftctl.host.errors import HostError, UntrustedError, YamlError, reason
from atftctl.host.files import trust
from atftctl.host.files.durable import read_bytes
from atftctl.host.process import inherited_state, rights
from atftctl.host.yaml_text.read import MAX_BYTES, Document, read
from atftctl.observe.runbook.binder import Binder, Problem, refuse
from atftctl.observe.runbook.validate import check
from atftctl.state.layout import Layout

VERSION = 1
STATE_FOLDERS = (".atftctl", "backups")


@dataclass(frozen=True)
class Examined:
    """A runbook as far as it can be read, with all that is wrong in it. `layout` knows the places that it allows."""

    layout: Layout
    runbook: Runbook
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def find_project(start: Path, *, rescue: bool = False) -> Layout:
    """The nearest folder from `start` upwards that holds `runbooks/*.yaml`, by its real path.

    For a rescue any number of runbooks will do, and none at all where our own folder is there. Raises WrongUsage;
    Refused where our own folder there is not to be obeyed.
    """
    if not start.is_absolute() and inherited_state.lost_folder():
        raise WrongUsage(
            f"the working folder ({inherited_state.lost_folder()}) is not there any more",
            then="cd into the project, or name it by its full path: --project DIR",
        )
    start = start.resolve()
    if not start.is_dir():
        raise WrongUsage(f"{start} is not a folder")
    for folder in (start, *start.parents):
        found = sorted(path for path in (folder / "runbooks").glob("*.yaml") if not path.name.startswith("."))
        if not found and rescue and (folder / ".atftctl").is_dir():
            return _trusted(Layout(root=folder, runbook=folder / "runbooks" / "none.yaml"))
        if len(found) > 1 and not rescue:
            names = ", ".join(path.name for path in found)
            raise WrongUsage(
                f"{folder / 'runbooks'} holds {len(found)} runbooks: {names}", then="keep one of them there"
            )
        if found:
            return _trusted(Layout(root=folder, runbook=found[0]))
    raise WrongUsage(
        f"no project at {start} or above: no runbooks/*.yaml",
        then="cd into the project, or name it: --project DIR",
    )


def _trusted(layout: Layout) -> Layout:
    """Whoever could have written our own files could have them do anything. Raises Refused."""
    rights.user_of(layout.root)  # decided before anything of the project is read
    project = layout.root.stat()
    try:
        for folder in STATE_FOLDERS:
            trust.refuse(layout.root / folder, project)
        for parent in (layout.state, layout.journal):
            for name in _names(parent):
                trust.refuse(parent / name, project)
    except UntrustedError as error:
        raise Refused(str(error), then=error.hint) from None
    return layout


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as error:
        raise UntrustedError(
            f"{trust.describe(folder, folder.stat())} can't be looked into: {reason(error)}",
            hint=trust.advice(folder.stat(), str(folder)),
        ) from None


def load(layout: Layout) -> Examined:
    """The runbook. Raises Refused with file, line, key and the nearest valid name."""
    found = examine(layout)
    refuse(list(found.problems))
    return found


def examine(layout: Layout) -> Examined:
    """The runbook as far as it goes, with every problem that it has."""
    name = str(layout.runbook.relative_to(layout.root))
    try:
        warnings = _check_owner(layout, name)
        data = read_bytes(layout.runbook.resolve(), MAX_BYTES + 1)
    except Refused as error:
        return Examined(layout, bare(), (Problem(name, error.what, error.then),))
    except (OSError, HostError) as error:
        return Examined(layout, bare(), (Problem(name, f"can't be read: {reason(error)}"),))
    return replace(parse(layout, data), warnings=warnings)


def parse(layout: Layout, data: bytes) -> Examined:
    """A runbook's text."""
    name = str(layout.runbook.relative_to(layout.root))
    try:
        document: Document = read(data)
    except YamlError as error:
        where = f"{name}:{error.line or 1}"
        return Examined(layout, bare(), (Problem(where, error.reason, "undo, recover and restore work even so"),))
    binder = Binder(document, name)
    if isinstance(document.value, dict) and document.value.get("version") != VERSION:
        binder.problem(("version",), f"this atftctl reads version {VERSION}")
    runbook = binder.bind(Runbook, bare())
    check(runbook, binder, layout)
    problems = sorted(binder.problems, key=lambda problem: problem.line)
    # where root acts for a user, that user's runbook opens no place outside: root could write there, the user could not
    outside = runbook.files.allow_outside if rights.user_of(layout.root) is None else ()
    return Examined(replace(layout, outside=outside), runbook, tuple(problems))


def bare() -> Runbook:
    """A runbook that knows nothing: what a broken one does not say."""
    return Runbook(
        version=VERSION,
        service="?",
        files=Files(configs=(), models=()),
        features={},
        immediate=Immediate(minutes=0, resume="last", settings={}),
        symptoms={},
        plans={},
        reenable_plan="",
        trainer=TrainerRules(command=(), probe=(), grace_s=30.0, ready_s=0.0),
        checks=Checks(),
        contacts=(),
    )


def _check_owner(layout: Layout, name: str) -> tuple[str, ...]:
    """A runbook names commands; one that somebody else could have written is not executed. Raises Refused, OSError."""
    path, project = layout.runbook, layout.root.stat()
    for place in (path.parent, path):
        facts = place.stat()
        if facts.st_mode & 0o002:
            raise Refused(f"{place} is writable by everyone; its commands are not run", then=f"chmod o-w {place}")
        if trust.is_foreign(facts, project):
            raise Refused(
                f"{trust.describe(place, facts)} belongs to another user; its commands are not run",
                then=f"look at it, then: chown {os.geteuid()} {place}; or {trust.advice(facts, '')}",
            )
    return (f"{name} is writable by its group",) if path.stat().st_mode & 0o020 else ()


def find_symptom(runbook: Runbook, word: str) -> tuple[str, Symptom]:
    """By name, alias, or title in either language."""
    wanted = word.strip().casefold()
    names: list[str] = []
    for name, symptom in runbook.symptoms.items():
        words = (name, *symptom.aliases, symptom.title.en, symptom.title.ja)
        if wanted in (one.casefold() for one in words):
            return name, symptom
        names += words
    close = nearest(word, names)
    then = close if close.startswith("did") else f"known: {', '.join(runbook.symptoms)}"
    raise WrongUsage(f"unknown symptom {word!r}", then=then)
