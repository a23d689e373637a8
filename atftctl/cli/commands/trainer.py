"""The commands that have verbs of their own: baseline, runbook, trainer."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from atftctl.cli import options as o
from atftctl.cli import run

trainer_app = typer.Typer(help="The trainer's process by itself.", no_args_is_help=True, rich_markup_mode=None)


Resume = Annotated[str, typer.Option("--resume", metavar="last|best|scratch", help="From which checkpoint.")]


@trainer_app.command("start")
def trainer_start(
    resume: Resume = "last",
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Start the trainer and wait for its first step."""
    _trainer("start", resume, None, o.Change(dry_run, True, reason, json), project)


@trainer_app.command("stop")
def trainer_stop(
    adopt: o.Adopt = None,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Ask it to save and leave; kill it if it does not; prove that nobody is left."""
    _trainer("stop", "", adopt, o.Change(dry_run, True, reason, json), project)


@trainer_app.command("restart")
def trainer_restart(
    resume: Resume = "last",
    adopt: o.Adopt = None,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Stop it, then start it."""
    _trainer("restart", resume, adopt, o.Change(dry_run, True, reason, json), project)


@trainer_app.command("reload")
def trainer_reload(
    resume: Resume = "last",
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Have it take up the config as it stands, without a restart, and prove by its echo that it did."""
    _trainer("reload", resume, None, o.Change(dry_run, True, reason, json), project)


@trainer_app.command("status")
def trainer_status(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """The recorded trainer, and those that were started by hand."""
    _trainer("status", "", None, o.Change(False, True, "", json), project)


def _trainer(verb_name: str, resume: str, adopt: list[int] | None, change: o.Change, project: Path) -> NoReturn:
    from atftctl.domain.errors import UsageError

    def verb() -> Any:
        from atftctl.operations.trainer_process import lifecycle as operation

        if resume not in ("", "last", "best", "scratch"):
            raise UsageError(f"--resume {resume!r} is none of last, best, scratch")
        opened = run.open_project(project, "", look=verb_name == "status", rescue=verb_name == "stop")
        with run.request(change) as request:
            if verb_name == "status":
                from atftctl.operations.trainer_process.status import status

                return status(opened)
            if verb_name == "stop":
                return operation.stop(opened, tuple(adopt or ()), request)
            if verb_name == "reload":
                from atftctl.operations.trainer_process.reload import reload

                return reload(opened, resume, request)
            if verb_name == "start":
                return operation.start(opened, resume, request)
            return operation.restart(opened, resume, tuple(adopt or ()), request)

    run.command(f"trainer {verb_name}", verb, change.json)
