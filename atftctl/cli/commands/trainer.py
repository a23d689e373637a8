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


@command("trainer stop", "dry_run", "reason", "adopt", examples=("atftctl trainer stop",))
def stop(session: Session) -> "Result":
    """Stop the trainer.

    Asks the trainer to save and exit, kills it if it does not, and checks that none of its processes is left.
    """
    from atftctl.operations.trainer_process import lifecycle

    return lifecycle.stop(session.open(rescue=True), tuple(session.adopt or ()), session.request())


@command("trainer restart", "dry_run", "reason", "adopt", examples=("atftctl trainer restart --resume best",))
def restart(session: Session, resume: Resume = "last") -> "Result":
    """Stop the trainer, start it, and wait for its first step."""
    from atftctl.operations.trainer_process import lifecycle

    _refuse_unknown(resume)
    return lifecycle.restart(session.open(), resume, tuple(session.adopt or ()), session.request())


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


def _refuse_unknown(resume: str) -> None:
    """Raises UsageError for an unknown checkpoint."""
    from atftctl.domain.errors import UsageError
    from atftctl.protocol.messages import tr

    if resume not in CHECKPOINTS:
        raise UsageError(
            tr("unknown checkpoint {name!r}", name=resume), hint=tr("known: {names}", names=", ".join(CHECKPOINTS))
        )
