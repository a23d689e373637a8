"""`atftctl doctor`."""

from __future__ import annotations

from typing import Any

from atftctl.cli import options as o
from atftctl.cli import run


def doctor(lang: o.Lang = "", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """What is missing on this machine, and what that costs. Changes nothing."""

    from atftctl.cli.render import checks as render_checks

    def verb() -> Any:
        from atftctl.operations.report import doctor as operation

        return operation.doctor(run.open_project(project, lang, look=True))

    run.command("doctor", verb, json, render_checks.findings)
