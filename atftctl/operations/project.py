"""Open the project that a command works on, and observe it: the runbook, the configs, the trainer, the snapshots."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile, Facts, OpenOperation
from atftctl.domain.record import record
from atftctl.domain.runbook import Files, Runbook
from atftctl.domain.snapshot import Snapshot
from atftctl.host.errors import reason
from atftctl.host.files.fingerprint import digest_of
from atftctl.observe.configs import read_configs
from atftctl.observe.runbook import load as runbook
from atftctl.observe.runbook import locate
from atftctl.observe.runbook.binder import Problem
from atftctl.observe.snapshots import catalog
from atftctl.observe.trainer_run import process
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

if TYPE_CHECKING:
    from atftctl.domain.launch import LaunchSpec


@record
class Project:
    """A project and its runbook.

    `language`: of texts of the runbook. `warnings`: what the runbook's reader warned of. `problems`: what is wrong in
    the runbook; empty unless it was opened to look or for rescue.
    """

    layout: Layout
    runbook: Runbook
    language: str = "en"
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def contacts(self) -> tuple[str, ...]:
        """Who can help, a line each."""
        language = self.language
        return tuple(f"{contact.when.say(language)}: {contact.how.say(language)}" for contact in self.runbook.contacts)

    def launch(self, resume: str) -> LaunchSpec | None:
        """Return the runbook's command, ready to run; None where the runbook names none or can't be read. `resume`: the
        checkpoint to continue from."""
        from atftctl.apply.trainer_process import command
        from atftctl.domain.launch import LaunchSpec

        rules = self.runbook.trainer
        if not rules.command:
            return None
        template = rules.command
        if rules.processes != 1:
            template = (*rules.launcher, *_without_interpreter(template))
        argv = command(template, python=sys.executable, resume=resume, processes=str(rules.processes))
        env = {name: str(value) for name, value in rules.env.items()}
        ready = rules.ready.kind if rules.ready else ""
        return LaunchSpec(
            argv,
            resume,
            rules.memory_limit_mb,
            rules.processes,
            env,
            rules.output,
            ready,
            rules.engine,
            rules.placement,
        )


def _without_interpreter(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments of a launcher, which starts the interpreter itself."""
    return arguments[1:] if arguments[0] == "{python}" else arguments


def open_project(start: Path, language: str = "en") -> Project:
    """Open the project that `start` lies in. Raises Refused for a runbook that has problems."""
    book = runbook.load(locate.find_project(start))
    return Project(book.layout, book.runbook, language, book.warnings)


def open_to_look(start: Path, language: str = "en") -> Project:
    """Open the project for a command that changes nothing: problems of the runbook are kept, not raised."""
    book = runbook.examine(locate.find_project(start))
    return Project(book.layout, book.runbook, language, book.warnings, book.problems)


def open_for_rescue(start: Path, language: str = "en") -> Project:
    """Open the project for undo, recover and restore: with a broken runbook, the trainer is neither stopped nor
    started."""
    book = runbook.examine(locate.find_project(start, rescue=True))
    if not book.problems:
        return Project(book.layout, book.runbook, language, book.warnings)
    warning = tr("{problem}; the trainer is neither stopped nor started", problem=book.problems[0].text)
    known = book.runbook  # as far as it can be read: people are told also where it has problems
    bare = replace(_bare_runbook(book.layout), service=known.service, routes=known.routes, contacts=known.contacts)
    return Project(book.layout, bare, language, (warning,), book.problems)


def _bare_runbook(layout: Layout) -> Runbook:
    """Return a runbook that only names the files that are in the snapshots."""
    known = {file.path: None for snapshot in catalog.list_snapshots(layout) for file in snapshot.files}
    configs = tuple(path for path in known if path.endswith((".yaml", ".yml")))
    models = tuple(path for path in known if path not in configs)
    return replace(runbook.bare(), files=Files(configs=configs, models=models))


def observe(project: Project, digests_of: Iterable[str] = ()) -> Facts:
    """Return all facts that decisions are made from. `digests_of`: further files whose hash the decision needs."""
    layout = project.layout
    known = catalog.list_snapshots(layout)
    configs = _with_restore_commands(layout, known, read_configs(layout.root, project.runbook.files))
    digests = {path: config.sha256 for path, config in configs.items()}
    for path in digests_of:
        if path not in digests:
            digests[path] = _digest(layout.place(path))
    return Facts(
        configs=configs,
        process=process.observe(layout, project.runbook.trainer),
        snapshots=known,
        open_operation=open_operation(layout),
        digests=digests,
        warnings=project.warnings,
    )


def _digest(path: Path) -> str | None:
    """Return the hash of a file; None where there is none. A folder has none, though a file may take its place."""
    return None if path.is_dir() and not path.is_symlink() else digest_of(path)


def open_operation(layout: Layout) -> OpenOperation | None:
    """Return the operation that a crash interrupted, None where there is none. Changes nothing, and raises nothing for
    damaged records: recovery judges them."""
    for operation, states in sealed_records.states(layout.journal).items():
        if "done" in states:
            continue
        state = "commit" if "commit" in states else "begin" if "begin" in states else "intent"
        try:
            intent = sealed_records.read(layout.journal, operation, "intent") or {}
            command = str(intent.get("command", "?"))
        except sealed_records.BadRecordError as error:
            intent, command = {}, tr("an operation whose record can't be read ({reason})", reason=reason(error))
        return OpenOperation(operation, state, command, str(intent.get("reason", "")))  # type: ignore[arg-type]
    return None


def now() -> datetime:
    """Return the time with its zone."""
    return datetime.now().astimezone()


def _with_restore_commands(
    layout: Layout, known: tuple[Snapshot, ...], configs: Mapping[str, ConfigFile]
) -> dict[str, ConfigFile]:
    """Return the configs; each that can't be read with the command that restores it."""
    if not any(config.error for config in configs.values()):
        return dict(configs)
    from atftctl.operations.restore_command import restore_command

    return {
        path: replace(config, way_back=restore_command(layout, known, path)) if config.error else config
        for path, config in configs.items()
    }


def require_readable(project: Project, configs: Mapping[str, ConfigFile], state: str = "") -> None:
    """Raises Refused for a config that can't be read, with the command that restores it. `state`: what is true now."""
    unreadable = next((config for config in configs.values() if config.error), None)
    if unreadable is None:
        return
    if not unreadable.way_back:
        known = catalog.list_snapshots(project.layout)
        unreadable = _with_restore_commands(project.layout, known, {unreadable.path: unreadable})[unreadable.path]
    raise Refused(
        tr("{path}: {reason}", path=unreadable.path, reason=unreadable.error), state=state, hint=unreadable.way_back
    )


def refuse_open(project: Project) -> None:
    """Raises Refused while an interrupted operation is open: its files may be half changed, and nothing measured now
    would mean anything."""
    opened = open_operation(project.layout)
    if opened:
        raise Refused(opened.summary, hint=tr("run: atftctl recover, then this command again"))
