"""What every verb starts from: the project, its runbook, the language."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile, Facts, OpenOperation
from atftctl.domain.runbook import Files, Runbook
from atftctl.domain.snapshot import Snapshot
from atftctl.host.files.fingerprint import digest_of
from atftctl.observe.configs import read_configs
from atftctl.observe.runbook import load as runbook
from atftctl.observe.runbook import locate
from atftctl.observe.runbook.binder import Problem
from atftctl.observe.snapshots import catalog
from atftctl.observe.trainer_run import process
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

if TYPE_CHECKING:
    from atftctl.apply.launch import LaunchSpec


@dataclass(frozen=True)
class Project:
    layout: Layout
    runbook: Runbook
    language: str = "en"
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()  # of the runbook

    @property
    def contacts(self) -> tuple[str, ...]:
        say = self.language
        return tuple(f"{one.when.say(say)}: {one.how.say(say)}" for one in self.runbook.contacts)

    def launch(self, resume: str) -> LaunchSpec | None:
        """The runbook's command, as words, ready to run; None where the runbook names none, or can't be read."""
        from atftctl.apply.launch import LaunchSpec
        from atftctl.apply.trainer_process import command

        rules = self.runbook.trainer
        if not rules.command:
            return None
        words = rules.command if rules.processes == 1 else (*rules.launcher, *_after_interpreter(rules.command))
        filled = command(words, python=sys.executable, resume=resume, processes=str(rules.processes))
        return LaunchSpec(filled, resume, rules.memory_limit_mb, rules.processes)


def _after_interpreter(words: tuple[str, ...]) -> tuple[str, ...]:
    """What a launcher is given: it starts the interpreter itself."""
    return words[1:] if words[0] == "{python}" else words


def open_project(start: Path, language: str = "en") -> Project:
    """For whatever needs a runbook that is whole. Raises Refused for another one."""
    found = runbook.load(locate.find_project(start))
    return Project(found.layout, found.runbook, language, found.warnings)


def open_to_look(start: Path, language: str = "en") -> Project:
    """For what changes nothing: a broken runbook is told of, and serves as far as it goes."""
    found = runbook.examine(locate.find_project(start))
    return Project(found.layout, found.runbook, language, found.warnings, found.problems)


def open_for_rescue(start: Path, language: str = "en") -> Project:
    """For undo, recover and restore: a broken runbook is no obstacle, the trainer is left alone then."""
    found = runbook.examine(locate.find_project(start, rescue=True))
    if not found.problems:
        return Project(found.layout, found.runbook, language, found.warnings)
    warning = f"{found.problems[0].text}; the trainer is left alone"
    return Project(found.layout, _bare_runbook(found.layout), language, (warning,), found.problems)


def _bare_runbook(layout: Layout) -> Runbook:
    """A runbook that knows no more than the snapshots do: which files there are."""
    known = {file.path: None for snapshot in catalog.list_snapshots(layout) for file in snapshot.files}
    configs = tuple(path for path in known if path.endswith((".yaml", ".yml")))
    models = tuple(path for path in known if path not in configs)
    return replace(runbook.bare(), files=Files(configs=configs, models=models))


def observe(project: Project, digests_of: Iterable[str] = ()) -> Facts:
    """All that decisions are made from. `digests_of`: further files whose hash the decision needs."""
    layout = project.layout
    known = catalog.list_snapshots(layout)
    configs = with_ways_back(layout, known, read_configs(layout.root, project.runbook.files.configs))
    digests = {path: config.sha256 for path, config in configs.items()}
    for path in digests_of:
        if path not in digests:
            digests[path] = _digest(layout.place(path))
    return Facts(
        configs=configs,
        process=process.observe(layout, project.runbook.trainer.command),
        snapshots=known,
        open_operation=open_operation(layout),
        digests=digests,
        warnings=project.warnings,
    )


def _digest(path: Path) -> str | None:
    """Of what stands there; a folder is no file, though its name may become one."""
    return None if path.is_dir() and not path.is_symlink() else digest_of(path)


def open_operation(layout: Layout) -> OpenOperation | None:
    """What a crash left open, without touching it. Raises nothing: recovery judges the records."""
    for operation, states in sealed_records.states(layout.journal).items():
        if "done" in states:
            continue
        state = "commit" if "commit" in states else "begin" if "begin" in states else "intent"
        try:
            intent = sealed_records.read(layout.journal, operation, "intent") or {}
        except sealed_records.BadRecordError as error:
            intent = {"command": f"an operation whose record can't be read ({error})"}
        return OpenOperation(operation, state, str(intent.get("command", "?")), str(intent.get("reason", "")))  # type: ignore[arg-type]
    return None


def now() -> datetime:
    return datetime.now().astimezone()


def with_ways_back(
    layout: Layout, known: tuple[Snapshot, ...], configs: Mapping[str, ConfigFile]
) -> dict[str, ConfigFile]:
    """Each config that can't be read, with the command that brings a copy of it back."""
    if not any(config.error for config in configs.values()):
        return dict(configs)
    from atftctl.operations.way_back import of_config

    return {
        path: replace(config, way_back=of_config(layout, known, path)) if config.error else config
        for path, config in configs.items()
    }


def require_readable(project: Project, configs: Mapping[str, ConfigFile], state: str = "") -> None:
    """Raises Refused for a config that can't be read, with the command that brings a copy of it back."""
    wrong = next((config for config in configs.values() if config.error), None)
    if wrong is None:
        return
    if not wrong.way_back:
        known = catalog.list_snapshots(project.layout)
        wrong = with_ways_back(project.layout, known, {wrong.path: wrong})[wrong.path]
    raise Refused(f"{wrong.path}: {wrong.error}", state=state, hint=wrong.way_back)


def refuse_open(project: Project) -> None:
    """What a crash left open may be half in place: nothing measured now would mean anything."""
    opened = open_operation(project.layout)
    if opened:
        raise Refused(opened.summary, hint="atftctl recover, then this again")
