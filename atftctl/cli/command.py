"""The `@command` decorator: a function that takes a Session and returns a Result becomes a command of `atftctl`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from atftctl.cli import options
from atftctl.cli.help import CommandHelp, GroupHelp
from atftctl.cli.session import Session
from atftctl.domain.record import record

if TYPE_CHECKING:
    from types import ModuleType

    from atftctl.domain.result import Result

HELP_OPTIONS = ["-h", "--help"]


@record
class Command:
    """A command before it is built.

    name: as typed, such as `backup list`. shared: the shared options that it takes. settings: further settings of the
    parser.
    """

    name: str
    function: Callable[..., Result]
    shared: tuple[options.Shared, ...]
    examples: tuple[str, ...]
    settings: dict[str, bool]

    def callback(self) -> Callable[..., None]:
        """The function that the parser calls: with the command's own options and the shared ones."""
        parameters = [*self._own(), *(options.parameter(name) for name in self.shared)]

        def call(**values: object) -> None:
            self.run(values)

        call.__doc__ = self.function.__doc__
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return call

    def _own(self) -> list[inspect.Parameter]:
        """The command's own parameters; the fields of a dataclass, where the function takes one in their place."""
        own = list(inspect.signature(self.function).parameters.values())[1:]
        if self.bundle:
            own = list(inspect.signature(self.bundle).parameters.values())
        return [value.replace(kind=inspect.Parameter.KEYWORD_ONLY) for value in own]

    @property
    def bundle(self) -> Callable[..., object] | None:
        """The dataclass that holds all arguments of the command, where the function takes one."""
        own = list(inspect.signature(self.function).parameters.values())[1:]
        only = own[0].annotation if len(own) == 1 else None
        return only if isinstance(only, type) and is_dataclass(only) else None

    def run(self, values: dict[str, object]) -> None:
        """Run the command inside the error boundary."""
        from atftctl.cli import error_boundary

        make: Callable[..., Session] = Session
        session = make(self.name, **{name: values.pop(name) for name in self.shared})
        bundle = self.bundle
        act = (lambda: self.function(session, bundle(**values))) if bundle else lambda: self.function(session, **values)
        error_boundary.run(session, act)

    def build(self) -> TyperCommand:
        """The command as the parser knows it."""
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        settings = {"help_option_names": HELP_OPTIONS, **self.settings}
        app.command(self.name.split()[-1], cls=CommandHelp, epilog="\n".join(self.examples), context_settings=settings)(
            self.callback()
        )
        made = get_command(app)
        assert isinstance(made, TyperCommand)
        return made


def command(
    name: str, *shared: options.Shared, examples: tuple[str, ...], **settings: bool
) -> Callable[[Callable[..., Result]], Command]:
    """Make a command of a function.

    name: as typed, such as `backup list`. shared: shared options beside --json, --project and --lang. examples: command
    lines for the end of the help. settings: further settings of the parser. The function takes a Session, then the
    command's own parameters; it returns a Result.
    """

    def decorate(function: Callable[..., Result]) -> Command:
        return Command(name, function, (*shared, *options.ALWAYS), examples, dict(settings))

    return decorate


def build(module: ModuleType, name: str) -> TyperCommand | TyperGroup:
    """The command of a module of `cli/commands`; a group of commands where the module has several."""
    commands = [value for value in vars(module).values() if isinstance(value, Command)]
    alone = next((command for command in commands if command.name == name), None)
    if alone and len(commands) == 1:
        return alone.build()
    inner = [command for command in commands if command is not alone]
    group = _group(module, name, alone, [command.examples[0] for command in inner][:3])
    for made in inner:
        group.add_command(made.build())
    return group


def _group(module: ModuleType, name: str, alone: Command | None, examples: list[str]) -> TyperGroup:
    """A group of commands. alone: what the group's name does when no command of the group follows it."""
    app = typer.Typer(
        name=name, cls=GroupHelp, rich_markup_mode=None, context_settings={"help_option_names": HELP_OPTIONS}
    )
    if alone:
        app.callback(invoke_without_command=True, epilog="\n".join(alone.examples))(_unless_command(alone))
    else:
        app.callback(help=module.__doc__, no_args_is_help=True, epilog="\n".join(examples))(lambda: None)
    return get_group(app)


def _unless_command(alone: Command) -> Callable[..., None]:
    """The group's own function does nothing where a command of the group follows."""
    callback = alone.callback()

    def call(context: typer.Context, **values: object) -> None:
        if not context.invoked_subcommand:
            callback(**values)
        elif misplaced := [name for name, value in values.items() if value not in ("", False, None, Path())]:
            name = misplaced[0].replace("_", "-")
            raise typer.BadParameter(f"put --{name} after {context.invoked_subcommand}", ctx=context)

    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    call.__doc__ = callback.__doc__
    call.__annotations__ = {"context": typer.Context, **callback.__annotations__}
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [first, *inspect.signature(callback).parameters.values()]
    )
    return call
