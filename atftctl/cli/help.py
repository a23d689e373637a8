"""Help pages: options under headings, then examples."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, cast

import typer
from typer.core import TyperCommand, TyperGroup

from atftctl.cli.options import COMMON

ARGUMENTS, PLAIN = "Arguments", "Options"


class Formatter(Protocol):
    """What the parser's formatter of help pages offers."""

    @property
    def width(self) -> int: ...

    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None: ...

    def write(self, string: str) -> None: ...


class CommandHelp(TyperCommand):
    """The help page of a command."""

    def format_options(self, ctx: object, formatter: Formatter) -> None:
        """Arguments, then the options under their headings."""
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: object, formatter: Formatter) -> None:
        """The examples."""
        del ctx
        _write_examples(self.epilog or "", formatter)


class GroupHelp(TyperGroup):
    """The help page of a group of commands."""

    def format_options(self, ctx: object, formatter: Formatter) -> None:
        """The commands, then the options under their headings."""
        width = max((len(name) for name in self.commands), default=0)
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name.ljust(width), command.get_short_help_str(formatter.width - width - 4))
                    for name, command in self.commands.items()
                ]
            )
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: object, formatter: Formatter) -> None:
        """The examples."""
        del ctx
        _write_examples(self.epilog or "", formatter)


def _write_parameters(command: TyperCommand | TyperGroup, ctx: object, formatter: Formatter) -> None:
    context = cast(typer.Context, ctx)
    headings: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        row = parameter.get_help_record(context)
        if row is None:
            continue
        heading = ARGUMENTS if parameter.param_type_name == "argument" else PLAIN
        if parameter.name == "help":
            row = (row[0], "Show this help and exit.")
            heading = COMMON if COMMON in headings else PLAIN
        headings.setdefault(getattr(parameter, "rich_help_panel", None) or heading, []).append(row)
    for heading, rows in headings.items():
        with formatter.section(heading):
            formatter.write_dl(rows)


def _write_examples(text: str, formatter: Formatter) -> None:
    """Each line of the text is one example."""
    if not text:
        return
    formatter.write("\nExamples:\n")
    for line in text.splitlines():
        formatter.write(f"  {line}\n")
