"""`atftctl init`."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atftctl.domain.result import Result

Words = Annotated[
    list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="Command that starts the trainer, word by word.")
]
Service = Annotated[str, typer.Option("--service", metavar="NAME", help="Name of the service (default: the folder's).")]
Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config", metavar="FILE", help="Config file that the trainer reads (repeatable).", show_default=False
    ),
]
Model = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="FILE", help="Checkpoint that the trainer writes (repeatable).", show_default=False
    ),
]
Command = Annotated[
    str, typer.Option("--command", metavar="JSON", help='The command as one text: \'["python", "train.py"]\'.')
]
Log = Annotated[
    list[str] | None,
    typer.Option("--log", metavar="FILE", help="Log of the trainer (repeatable).", show_default=False),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metrics", metavar="FILE", help="Metrics of the trainer (repeatable).", show_default=False),
]


@command(
    "init",
    "dry_run",
    "yes",
    examples=(
        "atftctl init",
        "atftctl init --yes -- python train.py --config config.yaml",
        "atftctl init --dry-run --config conf/config.yaml --model out/last.pt",
    ),
)
def init(
    session: Session,
    words: Words = None,
    service: Service = "",
    config: Config = None,
    model: Model = None,
    command: Command = "",
    log: Log = None,
    metrics: Metrics = None,
) -> "Result":
    """Write the first runbook of a project that has none.

    Looks for config files, checkpoints, logs, metrics and the command that starts the trainer; writes
    runbooks/NAME.yaml, and lines into .gitignore. With --yes it asks nothing: it takes the likeliest of several, and
    says which others there are. No program of the project is run.
    """
    from atftctl.operations.adoption.choices import Wishes
    from atftctl.operations.adoption.init import init as operation
    from atftctl.operations.request import yes as confirmed

    lists = (tuple(values or ()) for values in (config, model, log, metrics))
    configs, models, logs, metric_files = lists
    wishes = Wishes(service, configs, models, logs, metric_files, command, tuple(words or ()))
    ask = None if session.yes or session.dry_run or session.json or not sys.stdin.isatty() else _ask
    request = session.request()
    if session.yes:  # the result says it all, and is what stays on the screen
        request = replace(request, confirm=confirmed)
    return operation(session.project, wishes, request, ask)


def _ask(question: str, answers: "Sequence[str]") -> int:
    """Ask which of these it is; an empty answer is the first."""
    from atftctl.cli.render.console import ask, say
    from atftctl.domain.errors import Refused
    from atftctl.protocol.messages import tr

    for number, answer in enumerate(answers, 1):
        say(answer, lead=f"  {number}. ")
    try:
        text = ask(tr("{question} [1] ", question=question)).strip() or "1"
    except EOFError:
        text = ""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= len(answers)):
        raise Refused(tr("aborted: {answer!r} is none of the numbers", answer=text), hint=tr("atftctl init -- COMMAND"))
    return int(text) - 1
