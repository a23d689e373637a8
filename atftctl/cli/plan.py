"""`atftctl plan save|apply`: what a dry run shows, kept in a file, and later done: exactly that, or nothing."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from atftctl.cli import options as o

app = typer.Typer(help="Plans kept in files.", no_args_is_help=True, rich_markup_mode=None)
File = Annotated[Path, typer.Argument(metavar="FILE", help="Of the plan.")]


@app.command("save", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def save(
    file: File,
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="As it would be typed: rollback --symptom oom")
    ],
) -> None:
    """Look at a change as --dry-run does, and keep its plan."""
    from atftctl.cli.request import tell

    def verb() -> Any:
        from atftctl.operations import plans

        if file.exists():
            raise plans.there_already(file)
        tell(lambda plan, diff: plans.save(file, words, plan, diff))
        return None

    _in_place(verb, [*words, "--dry-run"])


@app.command("apply")
def apply(
    file: File,
    yes: o.Yes = False,
    dry_run: o.DryRun = False,
    json: o.Json = False,
) -> None:
    """Do what a saved plan says; refused where the world has moved since."""
    from atftctl.cli.request import tell

    words: list[str] = []

    def verb() -> Any:
        from atftctl.operations import plans

        saved = plans.read(file)
        words.extend(saved.words)
        tell(saved.compare)
        return None

    options = [name for name, there in (("--yes", yes), ("--dry-run", dry_run), ("--json", json)) if there]
    _in_place(verb, words, options)


def _in_place(prepare: Any, words: list[str], options: list[str] | None = None) -> NoReturn:
    """Prepare, then run the command of these words in this process; its exit code is ours."""
    from atftctl.cli import boundary
    from atftctl.cli.main import app as root

    boundary.guarded("plan", prepare, as_json="--json" in (options or ()))
    raise typer.Exit(int(root(args=[*words, *(options or ())], standalone_mode=False) or 0))
