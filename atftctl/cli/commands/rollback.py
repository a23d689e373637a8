"""`atftctl rollback`: every way back. One of the routes is named; the rest says how."""

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run
from atftctl.domain.record import record

Names = list[str] | None
Words = Annotated[Names, typer.Argument(metavar="[NAME|COMMIT]...", help="More for --feature or --git.")]
Symptom = Annotated[
    str,
    typer.Option("--symptom", metavar="NAME", help="Name, alias or title of a symptom of the runbook."),
]
Immediate = Annotated[bool, typer.Option("--immediate", help="The guide's improvements off, training settings back.")]
To = Annotated[str, typer.Option("--to", metavar="ID", help="All files of a snapshot; last-good by default.")]
Feature = Annotated[Names, typer.Option("--feature", metavar="NAME", help="These improvements, no others.")]
Staged = Annotated[
    bool, typer.Option("--staged", help="Stage after stage, watched, until healthy; with --symptom, or as it died.")
]
Bisect = Annotated[bool, typer.Option("--bisect", help="Find the guilty improvements in short runs; changes nothing.")]
Git = Annotated[
    bool, typer.Option("--git", help="Take commits back: COMMIT..., or --since, --grep; alone it shows candidates.")
]
Since = Annotated[str, typer.Option("--since", metavar="REF", help="With --git: all commits after it.")]
Grep = Annotated[str, typer.Option("--grep", metavar="RE", help="With --git: those whose subjects match.")]
Push = Annotated[bool, typer.Option("--push", help="With --git: push once verify passes; never forced.")]
Full = Annotated[bool, typer.Option("--full", help="The improvements' files out, code and settings back.")]
Ref = Annotated[str, typer.Option("--ref", metavar="REF", help="With --full: where files come from.")]

ROUTES = "--symptom NAME, --immediate, --to ID, --feature NAME, --staged, --bisect, --git and --full"
NOTHING = "nothing has changed"


def rollback(
    words: Words = None,
    symptom: Symptom = "",
    immediate: Immediate = False,
    to: To = "",
    feature: Feature = None,
    staged: Staged = False,
    bisect: Bisect = False,
    git: Git = False,
    since: Since = "",
    grep: Grep = "",
    push: Push = False,
    full: Full = False,
    ref: Ref = "",
    live: o.Live = False,
    or_undo: o.OrUndo = False,
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    reason: o.Reason = "",
    no_restart: o.NoRestart = False,
    adopt: o.Adopt = None,
    lang: o.Lang = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Take improvements back; to the last verified-good snapshot where no other way is named."""

    def verb() -> Any:
        # With --staged and --bisect the symptom is what is looked for, and no route of its own.
        routes = {"symptom": bool(symptom) and not (staged or bisect), "staged": staged, "bisect": bisect}
        routes |= {"immediate": immediate, "to": bool(to), "feature": bool(feature), "git": git, "full": full}
        named = RouteArguments(symptom, to, (*(feature or ()), *(words or ())), since, grep, ref, push)
        route = _route(routes, named, words=bool(words), live=live, no_restart=no_restart)
        opened = run.open_project(project, lang)
        with run.request(o.Change(dry_run, yes, reason, json, or_undo)) as request:
            return _take(route, opened, named, run.wish(no_restart, adopt, live=live), request)

    run.command("rollback", verb, json)


@record
class RouteArguments:
    """What the routes are told by name. `words`: features, or commits."""

    symptom: str
    to: str
    words: tuple[str, ...]
    since: str
    grep: str
    ref: str
    push: bool


def _route(routes: dict[str, bool], named: RouteArguments, *, words: bool, live: bool, no_restart: bool) -> str:
    """The one that is asked for. Raises UsageError for options that do not go together."""
    from atftctl.domain.errors import UsageError

    chosen = [name for name, there in routes.items() if there]
    route = chosen[0] if chosen else "to"
    wrong = [
        (len(chosen) > 1, f"{ROUTES} exclude each other"),
        (words and route not in ("feature", "git"), "names need --feature, commits need --git"),
        (bool(named.since or named.grep or named.push) and route != "git", "--since, --grep and --push need --git"),
        (bool(named.ref) and route != "full", "--ref needs --full"),
        (live and route not in ("symptom", "immediate", "feature"), f"--live is for settings, not for --{route}"),
        (no_restart and route == "staged", "--staged restarts the trainer to watch it"),
    ]
    for there, what in wrong:
        if there:
            raise UsageError(what, state=NOTHING)
    return route


def _take(route: str, opened: Any, named: RouteArguments, wish: Any, request: Any) -> Any:
    from atftctl.operations.rollback import manual

    if route in ("git", "full"):
        from atftctl.operations.rollback import commits

        if not request.dry_run:
            run.go_private(opened)  # the tool never runs from the tree that it changes
        if route == "full":
            return manual.full(opened, named.ref, wish, request)
        return commits.revert(
            opened, commits.CommitSelection(named.words, named.since, named.grep, named.push), wish, request
        )
    if route == "bisect":
        from atftctl.operations.rollback.bisect import bisect

        return bisect(opened, named.symptom, request)
    if route == "staged":
        from atftctl.operations.rollback.staged import staged

        return staged(opened, named.symptom, wish, request)
    return _by_settings_or_snapshot(route, opened, named, wish, request)


def _by_settings_or_snapshot(route: str, opened: Any, named: RouteArguments, wish: Any, request: Any) -> Any:
    from atftctl.operations.rollback import routes as operation

    if route == "symptom":
        return operation.by_symptom(opened, named.symptom, wish, request)
    if route == "immediate":
        return operation.immediate(opened, wish, request)
    if route == "feature":
        return operation.by_feature(opened, named.words, wish, request)
    return operation.to_snapshot(opened, named.to or "last-good", wish, request)
