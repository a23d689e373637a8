"""Help pages: options under headings, then examples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from atftctl.cli.options import COMMON
from atftctl.cli.rehearsal import with_value

ARGUMENTS, PLAIN = "Arguments", "Options"
EXTRA = re.compile(r"\s*\[((?:default: |required|x[<>]=?)[^\]]*)\]$")  # what the parser adds to an option's text


class Formatter(Protocol):
    """What the parser's formatter of help pages offers."""

    @property
    def width(self) -> int: ...

    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None: ...

    def write(self, string: str) -> None: ...


class CommandHelp(TyperCommand):
    """The help page of a command, and its options whose value may be missing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        if any(parameter.name == "rehearse" for parameter in self.params):
            args = with_value(args)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: object) -> list[str]:
        """`[OPTIONS]` and the arguments as their metavars have them."""
        del ctx
        return ["[OPTIONS]", *(name for parameter in self.params if (name := _argument_name(parameter)))]

    def format_options(self, ctx: object, formatter: Formatter) -> None:
        """Arguments, then the options under their headings."""
        write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: object, formatter: Formatter) -> None:
        """The examples."""
        del ctx
        _write_examples(self.epilog or "", formatter)


class GroupHelp(TyperGroup):
    """The help page of a group of commands."""

    def collect_usage_pieces(self, ctx: object) -> list[str]:
        """A group that does something by itself needs no command."""
        del ctx
        return ["[COMMAND]" if self.invoke_without_command else "COMMAND", "[OPTIONS]", "[ARGUMENTS]"]

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
        write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: object, formatter: Formatter) -> None:
        """The examples."""
        del ctx
        _write_examples(self.epilog or "", formatter)


def _argument_name(parameter: object) -> str:
    """What stands for an argument in the usage line; "" for an option."""
    return parameter.metavar or "" if isinstance(parameter, TyperArgument) else ""


def _plain(text: str) -> str:
    """`[default: 20; x>=1]` becomes `(default: 20).`; `[required]` is said by the usage line."""
    match = EXTRA.search(text)
    if not match:
        return text
    default = next((part for part in match[1].split("; ") if part.startswith("default: ")), "")
    text = text[: match.start()].rstrip()
    return f"{text.removesuffix('.')} ({default})." if default else text


def sections(command: TyperCommand | TyperGroup, ctx: object) -> dict[str, list[tuple[str, str]]]:
    """The arguments and options of a command, as (name, text), by heading."""
    context = cast(typer.Context, ctx)
    headings: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        name, text = record[0], _plain(record[1])
        heading = ARGUMENTS if parameter.param_type_name == "argument" else PLAIN
        if parameter.name == "help":
            text = "Show this help and exit."
            heading = COMMON if COMMON in headings else PLAIN
        headings.setdefault(getattr(parameter, "rich_help_panel", None) or heading, []).append((name, text))
    return headings


def write_parameters(command: TyperCommand | TyperGroup, ctx: object, formatter: Formatter) -> None:
    """The arguments and options under their headings."""
    for heading, rows in sections(command, ctx).items():
        with formatter.section(heading):
            formatter.write_dl(rows)


def _write_examples(text: str, formatter: Formatter) -> None:
    """Each line of the text is one example."""
    if not text:
        return
    formatter.write("\nExamples:\n")
    for line in text.splitlines():
        formatter.write(f"  {line}\n")
