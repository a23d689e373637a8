"""Start, stop, restart or reload the trainer."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

CHECKPOINTS = ("last", "best", "scratch")
Resume = Annotated[
    str,
    typer.Option(
        "--resume", metavar="last|best|scratch", help="Checkpoint to continue from; scratch starts without one."
    ),
]


@command(
    "trainer start", "dry_run", "reason", examples=("atftctl trainer start", "atftctl trainer start --resume best")
)
def start(session: Session, resume: Resume = "last") -> "Result":
    """Start the trainer and wait for its first step."""
    from atftctl.operations.trainer_process import lifecycle

    _refuse_unknown(resume)
    return lifecycle.start(session.open(), resume, session.request())


@command("trainer stop", "dry_run", "reason", "adopt", "fence", examples=("atftctl trainer stop",))
def stop(session: Session) -> "Result":
    """Stop the trainer.

    Asks the trainer to save and exit, kills it if it does not, and checks that none of its processes is left.
    """
    from atftctl.operations.trainer_process import lifecycle

    return lifecycle.stop(session.open(rescue=True), tuple(session.adopt or ()), session.request(), fence=session.fence)


@command("trainer restart", "dry_run", "reason", "adopt", "fence", examples=("atftctl trainer restart --resume best",))
def restart(session: Session, resume: Resume = "last") -> "Result":
    """Stop the trainer, start it, and wait for its first step."""
    from atftctl.operations.trainer_process import lifecycle

    _refuse_unknown(resume)
    return lifecycle.restart(session.open(), resume, tuple(session.adopt or ()), session.request(), fence=session.fence)


@command("trainer reload", "dry_run", "reason", examples=("atftctl trainer reload",))
def reload(session: Session, resume: Resume = "last") -> "Result":
    """Load the current config into the running trainer without a restart.

    The trainer confirms that it uses the new settings. If it refuses them, the old settings stay in use.
    """
    from atftctl.operations.trainer_process import reload as operation

    _refuse_unknown(resume)
    return operation.reload(session.open(), resume, session.request())


@command("trainer status", examples=("atftctl trainer status",))
def status(session: Session) -> "Result":
    """Show the trainer, and trainers that were started manually."""
    from atftctl.operations.trainer_process import status as operation

    return operation.status(session.open(look=True))


Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- COMMAND...]", help="Command that starts the trainer (default: that of the runbook)."),
]
Steps = Annotated[int, typer.Option("--steps", metavar="N", min=4, max=100_000, help="Steps to train before a stop.")]
LimitS = Annotated[
    float,
    typer.Option("--limit-s", metavar="S", min=1, max=86_400, help="Seconds to wait for each thing, at most."),
]
Link = Annotated[
    list[str] | None,
    typer.Option("--link", metavar="PATH", help="Large file or folder that the trainer only reads (repeatable)."),
]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the scratch copies.")]


@command(
    "trainer check",
    examples=(
        "atftctl trainer check",
        "atftctl trainer check --steps 50 -- python train.py --resume '{resume}'",
        "atftctl trainer check --link data",
    ),
    allow_interspersed_args=False,
)
def check(
    session: Session,
    command: Command = None,
    steps: Steps = 20,
    limit_s: LimitS = 120.0,
    link: Link = None,
    keep: Keep = False,
) -> "Result":
    """Test what the trainer does that atftctl relies on.

    Starts the trainer in scratch copies of the project, stops it in training, evaluation and saving, kills it while it
    saves, and resumes it. Says whether it saves, how many steps are lost, whether it resumes exactly, and what it tells
    of itself. The project itself is not changed. The copies have no large files; those that the trainer reads are named
    with --link, and must not be written by it. The exit code is 0 if every line passes, 1 if one fails, and 6 if one
    is inconclusive.
    """
    from atftctl.cli.render import conformance as render
    from atftctl.operations.conformance import check as operation

    session.render = render.lines
    options = operation.CheckOptions(tuple(command or ()), steps, limit_s, keep, tuple(link or ()))
    return operation.run(session.open(), options, session.request().report)


def _refuse_unknown(resume: str) -> None:
    """Raises UsageError for an unknown checkpoint."""
    from atftctl.domain.errors import UsageError
    from atftctl.protocol.messages import tr

    if resume not in CHECKPOINTS:
        raise UsageError(
            tr("unknown checkpoint {name!r}", name=resume), hint=tr("known: {names}", names=", ".join(CHECKPOINTS))
        )
