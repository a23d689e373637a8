"""Candidates for shell completion. A shell's script calls `atftctl __complete -- ARGUMENTS`, whose last is being typed.

Answers one candidate a line, with its description after a tab; `:files` asks the shell for file names. Whatever goes
wrong, the answer is empty: completion must never disturb the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from atftctl.cli.render.console import emit_raw

if TYPE_CHECKING:
    from atftctl.domain.runbook import Runbook
    from atftctl.state.layout import Layout

HIDDEN_COMMAND = "__complete"
FILES = ":files"
Candidates = Iterator[tuple[str, str]]  # (candidate, description)


def main(arguments: Sequence[str]) -> None:
    """Print the candidates for the last argument."""
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    lines = []
    with suppress(Exception):
        lines = [f"{name}\t{text}".rstrip("\t") for name, text in candidates(list(arguments))]
    with suppress(OSError):
        emit_raw("".join(f"{line}\n" for line in lines))


def candidates(arguments: list[str]) -> list[tuple[str, str]]:
    """The candidates for the last argument, with descriptions."""
    *before, current = _joined(arguments) or [""]
    option, equals, value = current.partition("=")
    if equals and option.startswith("--"):
        before, current = [*before, option], value
    return [(name, text) for name, text in _possible(before, current) if name.startswith(current) or name == FILES]


def _joined(arguments: list[str]) -> list[str]:
    """bash gives `--symptom=oom` as three arguments: one again."""
    joined: list[str] = []
    for argument in arguments:
        after_equals = bool(joined) and joined[-1].startswith("--") and joined[-1].endswith("=")
        if (argument == "=" and joined and joined[-1].startswith("--")) or after_equals:
            joined[-1] += argument
        else:
            joined.append(argument)
    return joined


def _possible(before: list[str], current: str) -> Candidates:
    """What may follow these arguments; options only for a word that begins with a dash."""
    from atftctl.cli.lazy_commands import COMMANDS

    place = _Place()
    for argument in before:
        place.enter(argument)
    if place.option is not None:
        return _values(place.option, place.project)
    if current.startswith("-"):
        return _options(place.command)
    if isinstance(place.command, TyperGroup):
        return iter(COMMANDS.items()) if place.command.name == "atftctl" else _summaries(place.command)
    return _argument_values(place.command, place.arguments, place.project)


class _Place:
    """Where on the command line we are: in which command, after which option, after how many arguments."""

    def __init__(self) -> None:
        from typer.main import get_command

        from atftctl.cli.root import app

        self.command: object = get_command(app)
        self.option: TyperOption | None = None  # the one that waits for its value
        self.project = Path()
        self.arguments = 0

    def enter(self, argument: str) -> None:
        """Go past one argument."""
        if self.option is not None:
            self.project = Path(argument) if self.option.name == "project" else self.project
            self.option = None
        elif argument.startswith("-"):
            self.option = _option(self.command, argument)
        elif isinstance(self.command, TyperGroup) and argument in _commands(self.command):
            self.command = _child(self.command, argument)
        elif argument != "help":
            self.arguments += 1


def _commands(group: TyperGroup) -> list[str]:
    return group.list_commands(None)  # type: ignore[arg-type] # neither of our groups looks at the context


def _child(group: TyperGroup, name: str) -> object:
    return group.get_command(None, name)  # type: ignore[arg-type]


def _summaries(group: TyperGroup) -> Candidates:
    for name, command in group.commands.items():
        yield name, command.get_short_help_str(80).rstrip(".")


def _options(command: object) -> Candidates:
    for parameter in command.params if isinstance(command, TyperCommand | TyperGroup) else ():
        if isinstance(parameter, TyperOption) and not parameter.hidden:
            yield parameter.opts[0], (parameter.help or "").rstrip(".")
    yield "--help", "Show this help and exit"


def _option(command: object, argument: str) -> TyperOption | None:
    """The option that is waiting for its value."""
    name, equals, _ = argument.partition("=")
    for parameter in command.params if isinstance(command, TyperCommand | TyperGroup) else ():
        if isinstance(parameter, TyperOption) and name in parameter.opts and not equals and not parameter.is_flag:
            return parameter
    return TyperOption(param_decls=["--project"]) if name == "--project" and not equals else None


def _argument_values(command: object, number: int, project: Path) -> Candidates:
    """Values for an argument; the last one that is declared may be repeated."""
    declared = [parameter for parameter in getattr(command, "params", ()) if isinstance(parameter, TyperArgument)]
    if not declared:
        return
    argument = declared[min(number, len(declared) - 1)]
    if number < len(declared) or argument.nargs == -1:
        yield from _values(argument, project)


def _values(parameter: TyperOption | TyperArgument, project: Path) -> Candidates:
    """Values for an option or argument: by its name, else by its metavar."""
    metavar = (parameter.metavar or "").strip("[].")
    if "|" in metavar and metavar.replace("|", "").islower():
        yield from ((word, "") for word in metavar.split("|"))
        return
    for name in (parameter.name or "", metavar):
        if name in VALUES:
            yield from VALUES[name](project)
            return


def _runbook(project: Path) -> tuple[Layout, Runbook]:
    """Raises what there is to raise for a project or a runbook that can't be read."""
    from atftctl.observe.runbook import load, locate

    layout = locate.find_project(project)
    return layout, load.load(layout).runbook


def _symptoms(project: Path) -> Candidates:
    from atftctl.cli.options import language

    for name, symptom in _runbook(project)[1].symptoms.items():
        yield name, symptom.title.say(language(""))


def _features(project: Path) -> Candidates:
    from atftctl.cli.options import language

    for name, feature in _runbook(project)[1].features.items():
        yield name, feature.title.say(language(""))


def _plans(project: Path) -> Candidates:
    for name in _runbook(project)[1].plans:
        yield name, ""


def _snapshots(project: Path) -> Candidates:
    from atftctl.observe.runbook.locate import find_project
    from atftctl.observe.snapshots.catalog import list_snapshots

    yield "last-good", "the newest verified snapshot"
    yield "latest", "the newest snapshot"
    for snapshot in reversed(list_snapshots(find_project(project, rescue=True))):
        yield snapshot.id, snapshot.label or snapshot.reason
        if snapshot.label:
            yield snapshot.label, snapshot.id


def _operations(project: Path) -> Candidates:
    from atftctl.observe.runbook.locate import find_project
    from atftctl.state.history import read

    for entry in reversed(read(find_project(project, rescue=True))[-50:]):
        yield str(entry["operation"]), f"{entry.get('command', '')}: {entry.get('title', '')}"


def _pending(project: Path) -> Candidates:
    from atftctl.observe.runbook.locate import find_project
    from atftctl.state.pending import read

    if change := read(find_project(project, rescue=True)):
        yield change.operation, f"{change.command}: {change.title}"


def _durations(project: Path) -> Candidates:
    del project
    yield from ((text, "") for text in ("30s", "5m", "10m", "30m", "2h"))


def _checks(project: Path) -> Candidates:
    from atftctl.domain.checks import CHECKS

    del project
    for name, kind in CHECKS.items():
        yield name, kind.title


def _baselines(project: Path) -> Candidates:
    from atftctl.observe.runbook.locate import find_project
    from atftctl.state.baseline import names

    for name in names(find_project(project, rescue=True)):
        yield name, ""


def _files(project: Path) -> Candidates:
    del project
    yield FILES, ""


VALUES: dict[str, Callable[[Path], Candidates]] = {
    "symptom": _symptoms,
    "feature": _features,
    "names": _features,
    "key": _features,
    "settings": _features,
    "plan": _plans,
    "SNAPSHOT": _snapshots,
    "NEW": _snapshots,
    "OPERATION": _operations,
    "PENDING": _pending,
    "TIME": _durations,
    "CHECK": _checks,
    "BASELINE": _baselines,
    "DIR": _files,
    "FILE": _files,
    "PATH": _files,
    "project": _files,
}
