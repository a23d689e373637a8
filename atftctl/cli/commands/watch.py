"""`atftctl watch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Generator

    from atftctl.domain.result import Reporter, Result
    from atftctl.operations.monitoring.watch import Seen

Once = Annotated[
    bool, typer.Option("--once", help="Look once, for cron: everything that is new since the last look of a watcher.")
]
Interval = Annotated[
    float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=3600, help="Time between two looks.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Plain lines, also on a terminal.")]
MetricsFile = Annotated[
    Path | None,
    typer.Option(
        "--metrics-file",
        metavar="FILE",
        help="Also keep the state in FILE as Prometheus text, as `status --metrics-file` does: at each look that says "
        "something, and every five seconds.",
        show_default=False,
    ),
]
ACTING = "Acting (default: propose the command)"
Shadow = Annotated[
    bool,
    typer.Option(
        "--shadow",
        help="Do nothing, and write down what --auto would have done; healthy steps count as proof for --auto.",
        rich_help_panel=ACTING,
    ),
]
Auto = Annotated[
    bool,
    typer.Option(
        "--auto",
        help="Roll back by itself, within the limits of the runbook; refused until replay or --shadow has shown that "
        "it is right.",
        rich_help_panel=ACTING,
    ),
]
TrustDefaults = Annotated[
    bool, typer.Option("--trust-defaults", help="With --auto: without that proof.", rich_help_panel=ACTING)
]
ActAgain = Annotated[
    bool,
    typer.Option(
        "--act-again",
        help="With --auto: a person has looked; begin with a new budget after the watcher has called for one.",
        rich_help_panel=ACTING,
    ),
]


@command(
    "watch",
    examples=(
        "atftctl watch",
        "atftctl watch --once",
        "atftctl watch --auto --metrics-file /var/lib/prometheus/node-exporter/atftctl.prom",
    ),
)
def watch(
    session: Session,
    once: Once = False,
    interval: Interval = 0.5,
    plain: Plain = False,
    metrics_file: MetricsFile = None,
    shadow: Shadow = False,
    auto: Auto = False,
    trust_defaults: TrustDefaults = False,
    act_again: ActAgain = False,
) -> "Result":
    """Watch the trainer, and say what is wrong as soon as it shows.

    Reads what the trainer writes as it is written: on a terminal a live screen; else a line for each change, and one a
    minute. With --json each line is one JSON object. Ends with Ctrl-C. The exit code is 0 if the trainer was healthy at
    the last look, 1 if it was not, and 6 if that could not be told. Only one watcher runs in a project; --once also
    runs beside it. Changes nothing of the project, except with --auto.
    """
    from atftctl.cli.acting_mode import mode_of
    from atftctl.operations.monitoring import watch as operation
    from atftctl.operations.monitoring.watch_metrics import MetricsWriter
    from atftctl.operations.report.metrics_file import check

    mode = mode_of(shadow=shadow, auto=auto, trust_defaults=trust_defaults, act_again=act_again)
    if metrics_file is not None:
        check(metrics_file)
    project = session.open(look=mode == "propose")
    metrics = MetricsWriter(project, metrics_file) if metrics_file else None
    if mode == "auto":
        from atftctl.operations.monitoring import earned

        earned.begin(project, session.reporter, trusted=trust_defaults, again=act_again)
    if once:
        from atftctl.cli.render.diagnosis import watched

        session.render = watched
        return operation.once(project, session.reporter, mode, again=act_again, metrics=metrics)
    from atftctl.cli.watch_stream import stream

    def looks(report: "Reporter") -> "Generator[Seen, None, None]":
        return operation.watch(project, report, interval, mode, again=act_again, metrics=metrics)

    return stream(session, project, looks, plain=plain)
