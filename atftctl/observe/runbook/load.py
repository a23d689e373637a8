"""Finding the project and reading its runbook. A wrong one is refused before anything has changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from atftctl.domain.errors import Refused
from atftctl.domain.runbook import Checks, Files, Immediate, Runbook, TrainerRules
from atftctl.host.errors import HostError, YamlError, reason
from atftctl.host.files import trust
from atftctl.host.files.reading import read_bytes
from atftctl.host.process import rights
from atftctl.host.yaml_text.read import MAX_BYTES, Document, read
from atftctl.observe.runbook.binder import Binder, Problem, refuse
from atftctl.observe.runbook.validate import check
from atftctl.state.layout import Layout

VERSION = 1


@dataclass(frozen=True)
class Examined:
    """A runbook as far as it can be read, with all that is wrong in it. `layout` knows the places that it allows."""

    layout: Layout
    runbook: Runbook
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


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
        return Examined(layout, bare(), (Problem(name, error.message, error.hint),))
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
            raise Refused(f"{place} is writable by everyone; its commands are not run", hint=f"chmod o-w {place}")
        if trust.is_foreign(facts, project):
            raise Refused(
                f"{trust.describe(place, facts)} belongs to another user; its commands are not run",
                hint=f"look at it, then: chown {os.geteuid()} {place}; or {trust.advice(facts, '')}",
            )
    return (f"{name} is writable by its group",) if path.stat().st_mode & 0o020 else ()
