"""Write every help text and every message of atftctl into one file, for reading from top to bottom: `make messages`.

A test holds the file up to date, so that a review of a change sees each sentence that people will read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "golden" / "messages.txt"
sys.path.insert(0, str(ROOT))


def help_texts() -> Iterator[str]:
    """Each command with its help and its options."""
    import typer

    from atftctl.cli.root import app

    root = typer.main.get_command(app)

    def walk(name: str, command: Any) -> Iterator[str]:
        yield f"## {name}"
        yield from (command.help or "").strip().splitlines()
        for parameter in command.params:
            if text := getattr(parameter, "help", None):
                label = (
                    ", ".join(parameter.opts) if parameter.param_type_name == "option" else parameter.make_metavar(None)
                )
                yield f"  {label}: {text}"
        yield ""
        for inner in command.list_commands(None) if hasattr(command, "list_commands") else ():
            yield from walk(f"{name} {inner}", command.get_command(None, inner))

    yield from walk("atftctl", root)


def messages() -> Iterator[str]:
    """Each template, under the file that uses it."""
    sys.path.insert(0, str(ROOT / "tools"))
    from messages import collect

    by_file: dict[str, list[str]] = {}
    for message in collect():
        if not message.id:
            continue
        forms = message.id if isinstance(message.id, list | tuple) else (message.id,)
        by_file.setdefault(message.locations[0][0], []).append("\n    | ".join(forms))
    for file in sorted(by_file):
        yield f"## {file}"
        yield from (f"  {text}" for text in sorted(by_file[file]))
        yield ""


def text() -> str:
    lines = ["# Help texts", "", *help_texts(), "# Messages", "", *messages()]
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


if __name__ == "__main__":
    LIST.parent.mkdir(exist_ok=True)
    LIST.write_text(text(), encoding="utf-8")
    print(f"{LIST.relative_to(ROOT)}: {len(LIST.read_text(encoding='utf-8').splitlines())} lines")
