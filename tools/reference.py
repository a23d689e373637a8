"""Writes the reference of the commands from the command tree: `docs/reference/commands.md`, or man pages.

python tools/reference.py markdown [FILE]    the page; without FILE to standard output
python tools/reference.py man FOLDER         one page a command, such as atftctl-backup-list.1
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from typer.core import TyperCommand, TyperGroup  # noqa: E402
from typer.main import get_command  # noqa: E402

from atftctl import __version__  # noqa: E402
from atftctl.cli.command import HELP_OPTIONS  # noqa: E402
from atftctl.cli.help import sections  # noqa: E402
from atftctl.cli.lazy_commands import SECTIONS  # noqa: E402
from atftctl.cli.options import COMMON  # noqa: E402
from atftctl.cli.root import app  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "commands.md"
COLUMNS = 100
INTRODUCTION = """\
<!-- Written by tools/reference.py from the command tree: edit the help texts,
     then run `make reference`. -->

# Commands

`atftctl help COMMAND`, `atftctl COMMAND -h` and `atftctl COMMAND --help` show these pages in the
terminal. [Exit codes](exit-codes.md) and the [JSON output](json.md) have pages of their own.
"""


@dataclass(frozen=True)
class Page:
    """What is known of one command."""

    name: str  # as typed after `atftctl`
    usage: str
    summary: str
    paragraphs: tuple[str, ...]
    options: dict[str, list[tuple[str, str]]]  # by heading
    examples: tuple[str, ...]


def pages(names: list[str] | None = None) -> Iterator[Page]:
    """Every command in the order of `--help`; the commands of a group after the group."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    for name in names or [name for section in SECTIONS.values() for name in section]:
        command = root.get_command(None, name)  # type: ignore[arg-type] # our root does not look at the context
        assert isinstance(command, TyperCommand | TyperGroup)
        yield _page(name, command)
        for inner, child in command.commands.items() if isinstance(command, TyperGroup) else ():
            assert isinstance(child, TyperCommand)
            yield _page(f"{name} {inner}", child)


def _page(name: str, command: TyperCommand | TyperGroup) -> Page:
    context = command.context_class(command, info_name=f"atftctl {name}", help_option_names=HELP_OPTIONS)
    pieces = " ".join(command.collect_usage_pieces(context))
    summary, *paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    examples = tuple((command.epilog or "").splitlines())
    return Page(name, f"atftctl {name} {pieces}", summary, tuple(paragraphs), sections(command, context), examples)


def markdown() -> str:
    """The whole page, with lines of at most 100 columns."""
    parts = [INTRODUCTION]
    common = next(page for page in pages(["status"])).options[COMMON]
    parts.append(
        f"Every command takes these options; all but the last may also stand before the command:\n\n{_list(common)}"
    )
    for heading, names in SECTIONS.items():
        parts.append(f"## {heading}\n")
        parts += [_section(page) for page in pages(list(names))]
    return "\n".join(parts)


def _section(page: Page) -> str:
    lines = [f"### atftctl {page.name}\n", f"    {page.usage}\n"]
    lines += [f"{textwrap.fill(text, COLUMNS, break_on_hyphens=False)}\n" for text in (page.summary, *page.paragraphs)]
    for heading, rows in page.options.items():
        if heading != COMMON:
            lines.append(f"{heading}:\n\n{_list(rows)}")
    lines.append("Examples:\n")
    lines.append("\n".join(f"    {example}" for example in page.examples) + "\n")
    return "\n".join(lines)


def _list(rows: list[tuple[str, str]]) -> str:
    items = [
        textwrap.fill(
            f"`{name}` {text}",
            COLUMNS,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, text in rows
    ]
    return "\n".join(items) + "\n"


def man(page: Page) -> str:
    """One man page."""
    title = f"atftctl-{page.name.replace(' ', '-')}"
    lines = [f'.TH "{title.upper()}" "1" "" "atftctl {__version__}" "atftctl manual"']
    lines += [".SH NAME", f"{_roff(title)} \\- {_roff(page.summary.rstrip('.'))}"]
    lines += [".SH SYNOPSIS", f".B {_roff(page.usage)}"]
    if page.paragraphs:
        lines += [".SH DESCRIPTION", *("\n.PP\n".join(map(_roff, page.paragraphs))).splitlines()]
    for heading, rows in page.options.items():
        lines.append(f'.SH "{_roff(heading.upper())}"')
        for name, text in rows:
            lines += [".TP", f".B {_roff(name)}", _roff(text)]
    lines += [".SH EXAMPLES", ".nf", *map(_roff, page.examples), ".fi"]
    lines += [".SH SEE ALSO", ".BR atftctl (1)"]
    return "\n".join(lines) + "\n"


def man_root() -> str:
    """The man page of `atftctl` itself."""
    lines = [f'.TH "ATFTCTL" "1" "" "atftctl {__version__}" "atftctl manual"']
    lines += [".SH NAME", f"atftctl \\- {_roff(str(app.info.help).rstrip('.'))}"]
    lines += [".SH SYNOPSIS", ".B atftctl COMMAND [OPTIONS] [ARGUMENTS]"]
    for heading, commands in SECTIONS.items():
        lines.append(f'.SH "{_roff(heading.upper())}"')
        for name, summary in commands.items():
            lines += [".TP", f".BR atftctl\\-{_roff(name)} (1)", _roff(summary)]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    """Text as roff takes it: no escapes, no hyphens that it may turn into dashes, no requests."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main(arguments: list[str]) -> int:
    """The program; its exit code."""
    if arguments[:1] == ["markdown"]:
        if arguments[1:]:
            Path(arguments[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(arguments[1]).write_text(markdown(), encoding="utf-8")
        else:
            sys.stdout.write(markdown())
        return 0
    if arguments[:1] == ["man"] and len(arguments) == 2:
        folder = Path(arguments[1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "atftctl.1").write_text(man_root(), encoding="utf-8")
        for page in pages():
            (folder / f"atftctl-{page.name.replace(' ', '-')}.1").write_text(man(page), encoding="utf-8")
        return 0
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
