"""The commands that measure: `verify` and `drill`."""

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


def verify(
    effects: Annotated[
        bool, typer.Option("--effects", help="Instead: does each flag do what it is there for?")
    ] = False,
    lang: o.Lang = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """The checklist: is the service back at its level?

    Model, data, training, RankIC, errors, memory, service, training time.
    """

    from atftctl.cli.render import checks as render_checks

    def effects_verb() -> Any:
        from atftctl.operations.verification import flag_effects as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.effects(run.open_project(project, lang), request)

    def verb() -> Any:
        from atftctl.operations.verification import checklist as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.verify(run.open_project(project, lang), request)

    if effects:
        run.command("verify --effects", effects_verb, json, render_checks.effects)
    run.command("verify", verb, json, render_checks.checklist)
