"""`atftctl rollback`: one route says what is rolled back; the other options say how."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from atftctl.cli import options as o
from atftctl.cli import rehearsal
from atftctl.cli.command import command
from atftctl.cli.rollback_arguments import RouteArguments
from atftctl.cli.session import Session
from atftctl.domain.record import record

if TYPE_CHECKING:
    from atftctl.decide.plans.builder import RestartPolicy
    from atftctl.domain.result import Result
    from atftctl.operations.project import Project
    from atftctl.operations.request import Request


@command(
    "rollback",
    *o.CHANGE_FILES,
    *o.RESTART,
    *o.CONFIRM,
    *o.REHEARSE,
    examples=(
        "atftctl rollback --symptom oom",
        "atftctl rollback --immediate --dry-run",
        "atftctl rollback --to last-good --with optimizer.lr=5e-4 --rehearse",
    ),
)
def rollback(session: Session, arguments: RouteArguments) -> "Result":
    """Roll back improvements, or return to a verified snapshot.

    Shows the plan and the diff and asks. Then: save the evidence, stop the trainer, take a snapshot, change the files,
    start the trainer, wait for its first step. `atftctl undo` undoes it.
    """
    route = choose(
        arguments, no_restart=session.no_restart, confirmed=bool(session.confirm_within), rehearse=session.rehearse
    )
    return route.run(session, session.open(), arguments)


def _by_symptom(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import routes

    return routes.by_symptom(
        project, arguments.symptom, *_how(session, arguments), arguments.extra, back=arguments.back or 0
    )


def _immediate(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import routes

    return routes.immediate(project, *_how(session, arguments), arguments.extra, back=arguments.back or 0)


def _to_snapshot(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import routes

    return routes.to_snapshot(project, arguments.to or "last-good", *_how(session, arguments), arguments.extra)


def _by_feature(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import routes

    return routes.by_feature(
        project, arguments.all_names, *_how(session, arguments), arguments.extra, back=arguments.back or 0
    )


def _back(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import rungs

    return rungs.back(project, arguments.back or 0, *_how(session, arguments), arguments.extra)


def _staged(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import staged

    return staged.staged(project, arguments.symptom, *_how(session, arguments))


def _bisect(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import bisect

    return bisect.bisect(project, arguments.symptom, session.request())


def _git(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import commits
    from atftctl.operations.rollback.commit_selection import CommitSelection

    session.leave_tree(project)
    selection = CommitSelection(arguments.all_names, arguments.since, arguments.grep, arguments.push)
    return commits.revert(project, selection, *_how(session, arguments))


def _full(session: Session, project: "Project", arguments: RouteArguments) -> "Result":
    from atftctl.operations.rollback import manual

    session.leave_tree(project)
    return manual.full(project, arguments.ref, *_how(session, arguments))


def _how(session: Session, arguments: RouteArguments) -> "tuple[RestartPolicy, Request]":
    """How the change is to be made."""
    policy = session.restart_policy(live=arguments.live)
    return policy, session.request(or_undo=arguments.or_undo, policy=policy)


@record
class Route:
    """One way back.

    named: does the command line name it? settings: it changes settings only, so --live is possible.
    """

    option: str
    named: Callable[[RouteArguments], bool]
    run: "Callable[[Session, Project, RouteArguments], Result]"
    settings: bool = False


def _has_settings(arguments: RouteArguments) -> bool:
    """Is there a route by settings, which --back goes together with?"""
    return bool(arguments.symptom or arguments.feature) or arguments.immediate


# The first is the default. With --staged and --bisect the symptom is what they look for, and no route of its own.
ROUTES = (
    Route("--to", lambda a: bool(a.to), _to_snapshot),
    Route("--symptom", lambda a: bool(a.symptom) and not (a.staged or a.bisect), _by_symptom, settings=True),
    Route("--immediate", lambda a: a.immediate, _immediate, settings=True),
    Route("--feature", lambda a: bool(a.feature), _by_feature, settings=True),
    Route("--staged", lambda a: a.staged, _staged),
    Route("--bisect", lambda a: a.bisect, _bisect),
    Route("--git", lambda a: a.git, _git),
    Route("--full", lambda a: a.full, _full),
    Route("--back", lambda a: a.back is not None and not _has_settings(a), _back),
)


def choose(arguments: RouteArguments, *, no_restart: bool, confirmed: bool = False, rehearse: str = "") -> Route:
    """The route that the command line names. Raises UsageError for options that do not go together."""
    from atftctl.domain.errors import UsageError
    from atftctl.protocol.messages import tr

    named = [route for route in ROUTES if route.named(arguments)]
    route = named[0] if named else ROUTES[0]
    option = route.option
    nameless = bool(arguments.names) and option not in ("--feature", "--git")
    git_options = bool(arguments.since or arguments.grep or arguments.push)
    options = ", ".join(route.option for route in ROUTES)
    mistakes = [
        (len(named) > 1, tr("{options} can't be used together", options=options)),
        (nameless and bool(rehearse), rehearsal.not_a_number(arguments.names or ())),
        (nameless, tr("names of improvements need --feature, commits need --git")),
        (git_options and option != "--git", tr("--since, --grep and --push need --git")),
        (bool(arguments.ref) and option != "--full", tr("--ref needs --full")),
        (arguments.back is not None and arguments.back < 1, tr("--back takes the number of checkpoints, 1 or more")),
        (
            arguments.back is not None and option != "--back" and not route.settings,
            tr("--back can't be used with {option}", option=option),
        ),
        (
            arguments.back is not None and arguments.live,
            tr("--back can't be used with --live: another checkpoint needs a restart"),
        ),
        (arguments.live and not route.settings, tr("--live is for settings, not for {option}", option=option)),
        (
            no_restart and option == "--staged",
            tr("--staged can't be used with --no-restart: each stage restarts the trainer"),
        ),
        (
            confirmed and option == "--staged",
            tr("--confirm-within can't be used with --staged: it watches the trainer, and judges by itself"),
        ),
        (
            confirmed and option == "--bisect",
            tr("--confirm-within can't be used with --bisect: it changes nothing"),
        ),
        (
            confirmed and arguments.push,
            tr("--confirm-within can't be used with --push: what was pushed can't be undone"),
        ),
        *rehearsal.mistakes(option, rehearse, arguments.extra),
    ]
    for wrong, message in mistakes:
        if wrong:
            raise UsageError(message, state=tr("nothing was changed"), hint="atftctl rollback --help")
    return route
