"""Save a plan to a file and carry it out later."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session, observe_plans

SavedPlan = Annotated[Path, typer.Argument(metavar="FILE", help="File of the plan.")]
NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="New file for the plan.")]
Arguments = Annotated[
    list[str], typer.Argument(metavar="COMMAND...", help="The command, such as: rollback --symptom oom")
]


@command(
    "plan save",
    examples=("atftctl plan save oom.plan rollback --symptom oom",),
    ignore_unknown_options=True,
    allow_interspersed_args=False,
)
def save(session: Session, file: NewFile, arguments: Arguments) -> NoReturn:
    """Show the plan of a command, as --dry-run does, and save it to a file."""
    from atftctl.cli import error_boundary
    from atftctl.cli.render.console import say
    from atftctl.operations import saved_plan
    from atftctl.protocol.messages import tr

    error_boundary.report_as("plan save")
    wanted = [argument for argument in arguments if argument != "--json"]
    session.json = session.json or "--json" in arguments

    def prepare() -> None:
        saved_plan.refuse_arguments(wanted)
        saved_plan.refuse_file(file)
        observe_plans(
            lambda plan, diff: saved_plan.save(file, wanted, session.project, plan, diff),
            confirmed=False,
            at_end=lambda: None if file.exists() else saved_plan.refuse_unseen(wanted),
        )

    code = _in_place(session, prepare, wanted, ["--dry-run"])
    if code == 0 and not session.json:
        say(tr("saved the plan; carry it out with: atftctl plan apply {file}", file=file))
    raise typer.Exit(code)


@command("plan apply", "dry_run", "yes", examples=("atftctl plan apply oom.plan",))
def apply(session: Session, file: SavedPlan) -> NoReturn:
    """Carry out a saved plan.

    Refused if the files or the trainer have changed since, so that the plan would be different now.
    """
    from atftctl.cli import error_boundary

    error_boundary.report_as("plan apply")
    arguments: list[str] = []

    def prepare() -> None:
        from atftctl.operations import saved_plan

        saved = saved_plan.read(file)
        saved.check_place(session.project)
        arguments.extend(saved.arguments)
        observe_plans(saved.compare, confirmed=session.yes)

    options = ["--dry-run"] if session.dry_run else []
    raise typer.Exit(_in_place(session, prepare, arguments, options))


def _in_place(session: Session, prepare: Callable[[], None], arguments: list[str], options: list[str]) -> int:
    """Prepare, then run the command of these arguments in this process; its exit code is ours."""
    from atftctl.cli import error_boundary
    from atftctl.cli.root import app

    error_boundary.guarded(session, prepare)
    if session.json:
        options.append("--json")
    if session.project != Path():
        options += ["--project", str(session.project)]
    return int(
        app(args=[*arguments, *options, "--lang", session.language], prog_name="atftctl", standalone_mode=False) or 0
    )
