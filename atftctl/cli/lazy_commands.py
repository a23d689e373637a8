"""The list of commands. A command's module is imported when the command is called: an incident has no time to import
the others, and `atftctl --help` imports none."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from typer.core import TyperCommand, TyperGroup

from atftctl.cli.help import Formatter, write_parameters

# By purpose, in the order of `--help`: each command and its summary. A test compares the summaries with the help pages.
SECTIONS = {
    "During an incident": {
        "status": "Show the state of the service and what is wrong",
        "watch": "Watch the trainer, and say what is wrong as soon as it shows",
        "diagnose": "Find the cause of a fault, and the command that helps",
        "rollback": "Roll back improvements, or return to a verified snapshot",
        "logs": "Show the trainer's logs and the errors in them",
        "verify": "Check that the service is back at its normal level",
        "metrics": "Show training metrics: curves, branches, discarded steps",
        "undo": "Undo one operation",
        "confirm": "Keep a change that was made with --confirm-within",
        "restore": "Restore files from a snapshot or from git",
        "recover": "Finish or reverse an operation that a crash interrupted",
        "resume": "Continue an interrupted operation or a staged rollback",
    },
    "Prevention, and after an incident": {
        "reenable": "Turn improvements on again, one phase at a time",
        "backup": "Create, list, check and remove snapshots",
        "checkpoint": "List, show and grade the trainer's checkpoints",
        "baseline": "Record and choose the normal level that verify compares with",
        "replay": "Show what the detectors would have said on past runs",
        "drill": "Rehearse an incident in a scratch copy of the project",
        "alert": "Receive and list alerts, and test how people are told",
        "history": "List past operations",
        "show": "Show one past operation in full",
        "incident": "Write the page of an incident: HTML or Markdown",
    },
    "Settings and the trainer process": {
        "config": "Read and change single settings",
        "plan": "Save a plan to a file and carry it out later",
        "trainer": "Start, stop, restart or reload the trainer",
        "guard": "Run a command only if the project is safe to train",
    },
    "Setup": {
        "init": "Write the first runbook of a project that has none",
        "doctor": "Check this machine and project for missing parts",
        "runbook": "Show and check the runbook",
        "completion": "Print the script for shell completion",
    },
}
COMMANDS = {name: summary for section in SECTIONS.values() for name, summary in section.items()}


class LazyCommands(TyperGroup):
    """The root command."""

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:
        """Import and build a command. For an unknown name build all: the parser suggests the nearest one."""
        del ctx
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                from atftctl.cli import command

                module = import_module(f"atftctl.cli.commands.{name}")
                self.commands[name] = command.build(module, name)
        return cast("TyperCommand | TyperGroup | None", self.commands.get(cmd_name))

    def list_commands(self, ctx: object) -> list[str]:
        """All names, in the order of `--help`."""
        del ctx
        return list(COMMANDS)

    def format_options(self, ctx: object, formatter: Formatter) -> None:
        """The commands by purpose, then the options."""
        width = max(map(len, COMMANDS))
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in commands.items()])
        write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: object, formatter: Formatter) -> None:
        """Where to read on."""
        del ctx
        formatter.write(f"\n{self.epilog}\n")
