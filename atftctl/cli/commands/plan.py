"""`atftctl plan save|apply`: what a dry run shows, kept in a file, and later done: exactly that, or nothing."""

from pathlib import Path
from typing import Annotated, Any

import typer

from atftctl.cli import options as o

app = typer.Typer(help="Plans kept in files.", no_args_is_help=True, rich_markup_mode=None)
File = Annotated[Path, typer.Argument(metavar="FILE", help="Of the plan.")]


@app.command("save", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def save(
    file: File,
    words: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="As typed: rollback --symptom oom")],
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Look at a change as --dry-run does, and keep its plan."""
    from atftctl.cli import error_boundary
    from atftctl.cli.session import tell
    from atftctl.cli.terminal import emit
    from atftctl.operations import saved_plan

    error_boundary.report_as("plan save")
    wanted, as_json = [word for word in words if word != "--json"], json or "--json" in words

    def prepare() -> None:
        saved_plan.refuse_words(wanted)
        saved_plan.refuse_file(file)
        tell(lambda plan, diff: saved_plan.save(file, wanted, project, plan, diff))

    code = _in_place(prepare, wanted, ["--dry-run", *_options(json=as_json, project=project)])
    if code == 0 and not file.exists():
        error_boundary.guarded("plan save", lambda: saved_plan.refuse_unseen(wanted), as_json=as_json)
    if code == 0 and not as_json:
        emit(f"saved: atftctl plan apply {file}")
    raise typer.Exit(code)


@app.command("apply")
def apply(
    file: File,
    yes: o.Yes = False,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Do what a saved plan says; refused where the world has moved since."""
    from atftctl.cli import error_boundary
    from atftctl.cli.session import tell

    error_boundary.report_as("plan apply")
    words: list[str] = []

    def prepare() -> None:
        from atftctl.operations import saved_plan

        saved = saved_plan.read(file)
        saved.check_here(project)
        words.extend(saved.words)
        tell(saved.compare)

    options = [name for name, there in (("--yes", yes), ("--dry-run", dry_run)) if there]
    raise typer.Exit(_in_place(prepare, words, [*options, *_options(json=json, project=project)]))


def _options(*, json: bool, project: Path) -> list[str]:
    return [*(["--json"] if json else []), *(["--project", str(project)] if project != o.HERE else [])]


def _in_place(prepare: Any, words: list[str], options: list[str]) -> int:
    """Prepare, then run the command of these words in this process; its exit code is ours."""
    from atftctl.cli import error_boundary
    from atftctl.cli.main import app as root

    error_boundary.guarded("plan", prepare, as_json="--json" in options)
    return int(root(args=[*words, *options], standalone_mode=False) or 0)
