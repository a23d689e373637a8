"""What every verb starts from: the project, its runbook, the language."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile, Facts, OpenOperation
from atftctl.domain.runbook import Checks, Files, Immediate, Runbook, TrainerRules
from atftctl.host import records
from atftctl.host.files import inside, sha256_file
from atftctl.host.layout import Layout
from atftctl.observe import process, runbook, snapshots
from atftctl.observe.configs import read_configs

if TYPE_CHECKING:
    from atftctl.apply.process import StartOrder


@dataclass(frozen=True)
class Project:
    layout: Layout
    runbook: Runbook
    language: str = "en"
    warnings: tuple[str, ...] = ()

    @property
    def contacts(self) -> tuple[str, ...]:
        say = self.language
        return tuple(f"{one.when.say(say)}: {one.how.say(say)}" for one in self.runbook.contacts)

    def start_order(self, resume: str) -> StartOrder:
        """The runbook's command, as words, ready to run."""
        from atftctl.apply.process import StartOrder, command

        rules = self.runbook.trainer
        words = rules.command if rules.processes == 1 else (*rules.launcher, *_after_interpreter(rules.command))
        filled = command(words, python=sys.executable, resume=resume, processes=str(rules.processes))
        return StartOrder(filled, resume, rules.memory_limit_mb, rules.processes)


def _after_interpreter(words: tuple[str, ...]) -> tuple[str, ...]:
    """What a launcher is given: it starts the interpreter itself."""
    return words[1:] if words[0] == "{python}" else words


def open_project(start: Path, language: str = "en") -> Project:
    layout = runbook.find_project(start)
    loaded, warnings = runbook.load(layout)
    return Project(layout, loaded, language, warnings)


def open_for_rescue(start: Path, language: str = "en") -> Project:
    """For undo, recover and restore: a broken runbook is no obstacle, the trainer is left alone then."""
    layout = runbook.find_project(start, rescue=True)
    try:
        loaded, warnings = runbook.load(layout)
    except Refused as error:
        return Project(layout, _bare_runbook(layout), language, (f"{error.what}; the trainer is left alone",))
    return Project(layout, loaded, language, warnings)


def _bare_runbook(layout: Layout) -> Runbook:
    """A runbook that knows no more than the snapshots do: which files there are."""
    known = {file.path: None for snapshot in snapshots.list_snapshots(layout) for file in snapshot.files}
    configs = tuple(path for path in known if path.endswith((".yaml", ".yml")))
    return Runbook(
        version=runbook.VERSION,
        service="?",
        files=Files(configs=configs, models=tuple(path for path in known if path not in configs)),
        features={},
        immediate=Immediate(minutes=0, resume="last", settings={}),
        symptoms={},
        plans={},
        reenable_plan="",
        trainer=TrainerRules(command=(), probe=(), grace_s=30.0, ready_s=0.0),
        checks=Checks(),
        contacts=(),
    )


def observe(project: Project, digests_of: Iterable[str] = ()) -> Facts:
    """All that decisions are made from. `digests_of`: further files whose hash the decision needs."""
    layout = project.layout
    configs = read_configs(layout.root, project.runbook.files.configs)
    digests = {path: config.sha256 for path, config in configs.items()}
    for path in digests_of:
        if path not in digests:
            digests[path] = sha256_file(inside(layout.root, path))
    return Facts(
        configs=configs,
        process=process.observe(layout, project.runbook.trainer.command),
        snapshots=snapshots.list_snapshots(layout),
        open_operation=open_operation(layout),
        digests=digests,
        warnings=project.warnings,
    )


def open_operation(layout: Layout) -> OpenOperation | None:
    """What a crash left open, without touching it. Raises nothing: recovery judges the records."""
    for operation, states in records.states(layout.journal).items():
        if "done" in states:
            continue
        state = "commit" if "commit" in states else "begin" if "begin" in states else "intent"
        try:
            intent = records.read(layout.journal, operation, "intent") or {}
        except records.BadRecordError as error:
            intent = {"command": f"an operation whose record can't be read ({error})"}
        return OpenOperation(operation, state, str(intent.get("command", "?")), str(intent.get("reason", "")))  # type: ignore[arg-type]
    return None


def now() -> datetime:
    return datetime.now().astimezone()


def unreadable(configs: Iterable[ConfigFile]) -> list[str]:
    return [f"{config.path}: {config.error}" for config in configs if config.error]
