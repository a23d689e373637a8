"""What every command does: open the project, say what is wished, run the verb inside the error boundary."""

from pathlib import Path
from typing import Any, NoReturn

from atftctl.cli import options as o


def open_project(project: Path, lang: str, *, rescue: bool = False, look: bool = False) -> Any:
    """`rescue`: whatever state the runbook is in; `look`: as far as it can be read."""
    from atftctl.cli.error_boundary import know_contacts
    from atftctl.operations import project as projects

    how = projects.open_for_rescue if rescue else projects.open_to_look if look else projects.open_project
    opened = how(project, o.language(lang))
    know_contacts(opened.contacts)
    return opened


def go_private(opened: Any) -> None:
    """What may change the code of the project goes on from a copy of ours, where we lie in it."""
    from atftctl.host.self_copy.private_copy import go_private as go

    go(opened.layout.root, opened.layout.tools)


def wish(no_restart: bool, adopt: list[int] | None, *, live: bool = False) -> Any:
    from atftctl.decide.plans.builder import RestartPolicy

    return RestartPolicy(restart=not no_restart, live=live, adopt=tuple(adopt or ()))


def request(change: o.Change) -> Any:
    from atftctl.cli.session import request as make

    return make(change)


def command(name: str, verb: Any, as_json: bool, render: Any = None) -> NoReturn:
    from atftctl.cli import error_boundary
    from atftctl.cli.render import result as render_result

    error_boundary.run(name, verb, as_json=as_json, render=render or render_result.result)
