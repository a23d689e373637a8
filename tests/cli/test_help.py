"""The help pages: every command has one, each has examples that parse, and the root lists the commands by purpose."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from atftctl.cli.lazy_commands import COMMANDS, SECTIONS
from atftctl.cli.root import app
from tests.support.projects import Project

ROOT_COMMAND = typer.main.get_command(app)


def all_commands() -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    for name in COMMANDS:
        command = ROOT_COMMAND.get_command(None, name)  # type: ignore[attr-defined]
        yield name, command
        for inner, child in getattr(command, "commands", {}).items():
            yield f"{name} {inner}", child


PAGES = dict(all_commands())


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_a_sentence_and_examples(name: str) -> None:
    command = PAGES[name]
    first = (command.help or "").splitlines()[0]
    assert first.endswith(".") and first[0].isupper(), name
    examples = (command.epilog or "").splitlines()
    assert 1 <= len(examples) <= 3, name
    for option in command.params:
        text = getattr(option, "help", "") or ""
        assert (text.endswith((".", ")", "oom")) and text[0].isupper()) or text.startswith("--"), (
            name,
            option.name,
            text,
        )


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_are_command_lines_that_parse(name: str) -> None:
    for example in (PAGES[name].epilog or "").splitlines():
        line = example.removeprefix("source <(").rstrip(")") if example.startswith("source") else example
        arguments = shlex.split(line.split(" > ")[0])
        assert arguments[0] == "atftctl", example
        command: TyperCommand | TyperGroup = ROOT_COMMAND  # type: ignore[assignment]
        rest = arguments[1:]
        while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
            command, rest = command.get_command(None, rest[0]), rest[1:]  # type: ignore[arg-type,assignment]
            assert command is not None, example
        command.make_context("atftctl", rest, resilient_parsing=False)  # type: ignore[union-attr]


def test_the_summaries_of_the_root_are_the_first_sentences_of_the_pages() -> None:
    for name, summary in COMMANDS.items():
        assert (PAGES[name].help or "").splitlines()[0] == f"{summary}.", name


def test_help_is_asked_for_in_four_ways(project: Project) -> None:
    pages = {
        project.run(*arguments).out
        for arguments in (("history", "-h"), ("history", "--help"), ("help", "history"), ("--json", "help", "history"))
    }
    assert len(pages) == 1 and "Examples:" in pages.pop()
    nested = {project.run(*arguments).out for arguments in (("help", "backup", "list"), ("backup", "list", "-h"))}
    assert len(nested) == 1 and "atftctl backup list" in nested.pop()


def test_help_without_a_command_is_the_list(project: Project) -> None:
    page = project.run("help")
    assert page.code == 0 and page.out == project.run("--help").out
    assert all(f"{heading}:" in page.out for heading in SECTIONS)
    assert max(map(len, page.out.splitlines())) <= 80


def test_an_option_before_a_command_of_a_group_is_never_ignored(project: Project) -> None:
    refused = project.run("backup", "--label", "x", "list")
    assert refused.code == 2 and "put --label after list" in refused.err


def test_a_typing_error_names_the_nearest_command(project: Project) -> None:
    assert "rollback" in project.run("rolback").err
