"""`atftctl rollback`: every way back. One of the routes is named; the rest says how."""

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run

Words = list[str] | None
ROUTES = "--symptom NAME, --immediate, --to ID, --feature NAME, --staged, --bisect, --git and --full"


def rollback(
    words: Annotated[Words, typer.Argument(metavar="[NAME|COMMIT]...", help="More for --feature or --git.")] = None,
    symptom: Annotated[
        str,
        typer.Option(
            "--symptom",
            metavar="NAME",
            help="oom, divergence, degradation, slow-convergence, memory-leak; or its title.",
        ),
    ] = "",
    immediate: Annotated[
        bool, typer.Option("--immediate", help="The guide's improvements off, training settings back.")
    ] = False,
    to: Annotated[str, typer.Option("--to", metavar="ID", help="All files of a snapshot; last-good by default.")] = "",
    feature: Annotated[Words, typer.Option("--feature", metavar="NAME", help="These improvements, no others.")] = None,
    staged: Annotated[
        bool, typer.Option("--staged", help="Stage after stage, watched, until healthy; with --symptom, or as it died.")
    ] = False,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Find the guilty improvements in short runs; changes nothing.")
    ] = False,
    git: Annotated[
        bool, typer.Option("--git", help="Take commits back: COMMIT..., or --since, --grep; alone it shows candidates.")
    ] = False,
    since: Annotated[str, typer.Option("--since", metavar="REF", help="With --git: all commits after it.")] = "",
    grep: Annotated[str, typer.Option("--grep", metavar="RE", help="With --git: those whose subjects match.")] = "",
    push: Annotated[bool, typer.Option("--push", help="With --git: push once verify passes; never forced.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The improvements' files out, code and settings back.")] = False,
    ref: Annotated[str, typer.Option("--ref", metavar="REF", help="With --full: where files come from.")] = "",
    live: Annotated[bool, typer.Option("--live", help="The running trainer takes settings up, no restart.")] = False,
    or_undo: Annotated[bool, typer.Option("--or-undo", help="Put it back where the trainer is not healthy.")] = False,
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
        from atftctl.operations import rollback as operation

        routes = {"symptom": bool(symptom) and not (staged or bisect), "staged": staged, "bisect": bisect}
        routes |= {"immediate": immediate, "to": bool(to), "feature": bool(feature), "git": git, "full": full}
        _one_route(routes, words)
        _fitting(routes, git=bool(since or grep or push), full=bool(ref), live=live, no_restart=no_restart)
        opened = run.open_project(project, lang)
        wish = run.wish(no_restart, adopt, live=live)
        with run.request(o.Change(dry_run, yes, reason, json, or_undo)) as request:
            if git or full:
                return _code(opened, wish, request, git=(words, since, grep, push) if git else None, ref=ref)
            if bisect:
                from atftctl.operations import bisect as search

                return search.bisect(opened, symptom, request)
            if staged:
                from atftctl.operations import staged as stages

                return stages.staged(opened, symptom, wish, request)
            if symptom:
                return operation.by_symptom(opened, symptom, wish, request)
            if immediate:
                return operation.immediate(opened, wish, request)
            if feature:
                return operation.by_feature(opened, [*feature, *(words or ())], wish, request)
            return operation.to_snapshot(opened, to or "last-good", wish, request)

    run.command("rollback", verb, json)


def _code(opened: Any, wish: Any, request: Any, *, git: tuple[Words, str, str, bool] | None, ref: str) -> Any:
    """The tool never runs from the tree that it changes."""
    from atftctl.operations import code

    if not request.dry_run:
        run.go_private(opened)
    if git is None:
        return code.full(opened, ref, wish, request)
    words, since, grep, push = git
    return code.revert(opened, code.Asked(tuple(words or ()), since, grep, push), wish, request)


def _fitting(routes: dict[str, bool], *, git: bool, full: bool, live: bool, no_restart: bool) -> None:
    from atftctl.domain.errors import WrongUsage

    chosen = next((name for name, there in routes.items() if there), "to")
    wrong = [
        (git and chosen != "git", "--since, --grep and --push need --git"),
        (full and chosen != "full", "--ref needs --full"),
        (live and chosen not in ("symptom", "immediate", "feature"), f"--live is for settings, not for --{chosen}"),
        (no_restart and chosen == "staged", "--staged restarts the trainer to watch it"),
    ]
    for there, words in wrong:
        if there:
            raise WrongUsage(words, stands="nothing has changed")


def _one_route(routes: dict[str, bool], words: Words) -> None:
    from atftctl.domain.errors import WrongUsage

    chosen = [name for name, there in routes.items() if there]
    if len(chosen) > 1:
        raise WrongUsage(f"{ROUTES} exclude each other", stands="nothing has changed")
    if words and chosen not in (["feature"], ["git"]):
        raise WrongUsage("names need --feature, commits need --git", stands="nothing has changed")
