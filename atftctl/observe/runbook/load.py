"""Read and check a runbook. A wrong one is refused before anything has changed."""

from __future__ import annotations

import os
from dataclasses import replace

from atftctl.domain.errors import Refused
from atftctl.domain.record import record
from atftctl.domain.runbook import Files, Runbook, TrainerRules
from atftctl.host.errors import HostError, YamlError, reason
from atftctl.host.files import trust
from atftctl.host.files.reading import read_bytes
from atftctl.host.process import rights
from atftctl.host.yaml_text.read import MAX_BYTES, Document, read
from atftctl.observe.runbook.binder import Binder, Problem, refuse
from atftctl.observe.runbook.defaults import with_defaults
from atftctl.observe.runbook.validate import check
from atftctl.protocol import OUTPUT
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

VERSION = 1


@record
class Examined:
    """A runbook as far as it can be read, with every problem in it. `layout` has the folders that it allows."""

    layout: Layout
    runbook: Runbook
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def load(layout: Layout) -> Examined:
    """The runbook. Raises Refused with file, line, key and the nearest valid name."""
    examined = examine(layout)
    refuse(list(examined.problems))
    return examined


def examine(layout: Layout) -> Examined:
    """The runbook as far as it can be read, with every problem in it."""
    name = str(layout.runbook.relative_to(layout.root))
    try:
        warnings = _check_owner(layout, name)
        data = read_bytes(layout.runbook.resolve(), MAX_BYTES + 1)
    except Refused as error:
        return Examined(layout, bare(), (Problem(name, error.message, error.hint),))
    except (OSError, HostError) as error:
        return Examined(layout, bare(), (Problem(name, tr("can't be read: {reason}", reason=reason(error))),))
    return replace(parse(layout, data), warnings=warnings)


def parse(layout: Layout, data: bytes) -> Examined:
    """As `examine`, for the bytes of a runbook."""
    name = str(layout.runbook.relative_to(layout.root))
    try:
        document: Document = read(data)
    except YamlError as error:
        where = f"{name}:{error.line or 1}"
        hint = tr("correct the file; until then undo, recover and restore still work")
        return Examined(layout, bare(), (Problem(where, error.reason, hint),))
    binder = Binder(document, name)
    if isinstance(document.value, dict) and document.value.get("version", VERSION) != VERSION:
        binder.problem(("version",), tr("this atftctl reads version {version}", version=VERSION))
    runbook = with_defaults(binder.bind(Runbook, bare()), layout.root.name)
    check(runbook, binder, layout)
    problems = sorted(binder.problems, key=lambda problem: problem.line)
    # Where root works for a user, that user's runbook allows no folder outside: root could write what the user can't.
    outside = runbook.files.allow_outside if rights.user_of(layout.root) is None else ()
    return Examined(
        replace(layout, outside=outside, metrics=runbook.metrics.source), _with_output(runbook), tuple(problems)
    )


def _with_output(runbook: Runbook) -> Runbook:
    """The runbook, with the file of the trainer's output among its logs: where it is another one than usual, it takes
    the place of that in the list."""
    output, files = runbook.trainer.output, runbook.logs.files
    if output == OUTPUT or output in files:
        return runbook
    others = tuple(name for name in files if name != OUTPUT)
    return replace(runbook, logs=replace(runbook.logs, files=(*others, output)))


def bare() -> Runbook:
    """An empty runbook: the values that are used where a broken one has none."""
    return Runbook(Files(), TrainerRules(command=(), ready_s=0.0), service="?")


def _check_owner(layout: Layout, name: str) -> tuple[str, ...]:
    """Refuse a runbook that somebody else could have written: it holds commands to run. Returns warnings. Raises
    Refused, OSError."""
    path, project = layout.runbook, layout.root.stat()
    for place in (path.parent, path):
        facts = place.stat()
        if facts.st_mode & 0o002:
            text = tr("{path} is writable by everyone; its commands are not run", path=place)
            raise Refused(text, hint=tr("chmod o-w {path}", path=place))
        if trust.is_foreign(facts, project):
            raise Refused(
                tr("{file} belongs to another user; its commands are not run", file=trust.describe(place, facts)),
                hint=tr(
                    "check its content, then run: chown {uid} {path}; or {advice}",
                    uid=os.geteuid(),
                    path=place,
                    advice=trust.advice(facts, ""),
                ),
            )
    return (tr("{name} is writable by its group", name=name),) if path.stat().st_mode & 0o020 else ()
