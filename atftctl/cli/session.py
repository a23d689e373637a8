"""What one command works with: the shared options, the project, the request, the renderer of the result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.cli import options
from atftctl.cli.render.translation import use_language

if TYPE_CHECKING:
    from atftctl.cli.progress import ProgressReporter
    from atftctl.decide.plans.builder import RestartPolicy
    from atftctl.domain.plan import Plan
    from atftctl.domain.result import Result
    from atftctl.operations.project import Project
    from atftctl.operations.request import Confirm, ConfirmWithin, Request


@dataclass
class Session:
    """One run of one command. The fields `json` to `force` are its shared options.

    A command without `--yes` does not ask for confirmation, hence the default of `yes`.
    """

    command: str
    json: bool = False
    project: Path = field(default_factory=Path)
    lang: str = ""
    dry_run: bool = False
    diff: bool = False
    yes: bool = True
    reason: str = ""
    no_restart: bool = False
    adopt: list[int] | None = None
    fence: bool = False
    confirm_within: str = ""
    confirm_by_verify: bool = False
    rehearse: str = ""
    force: str = ""
    render: Callable[[Result], None] | None = None  # how the result is shown; None: headline, lines and times
    contacts: tuple[str, ...] = ()  # the runbook's; an error shows them
    _opened: tuple[Project, object] | None = None  # where the runbook has routes, and what its records were like then

    def __post_init__(self) -> None:
        self.language = options.language(self.lang)
        use_language(self.language)

    def open(self, *, rescue: bool = False, look: bool = False) -> Project:
        """Open the project.

        rescue: whatever state the runbook is in. look: as far as the runbook can be read.
        Raises Refused where there is no project, or its runbook is broken.
        """
        from atftctl.operations import project as projects

        how = projects.open_for_rescue if rescue else projects.open_to_look if look else projects.open_project
        opened = how(self.project, self.language)
        self.contacts = opened.contacts
        if opened.runbook.routes:
            from atftctl.operations.alerting.gather import signature

            self._opened = opened, signature(opened.layout)
        return opened

    def tell_people(self, *, stopped: bool = False) -> None:
        """Where something happened since the project was opened, tell people on the routes of the runbook: in a process
        that nobody waits for. stopped: an operation stopped halfway, which leaves no line in the history."""
        if self._opened is None:
            return
        with suppress(Exception):  # whatever is broken here, the operation is done, and has its exit code
            from atftctl.operations.alerting import gather, outbox
            from atftctl.protocol.messages import tr

            project, before = self._opened
            if (stopped or gather.signature(project.layout) != before) and (problem := outbox.poke(project)):
                self.reporter.note(tr("people can't be told: {problem}; see: atftctl doctor", problem=problem))

    def request(self, *, or_undo: bool = False, policy: RestartPolicy | None = None) -> Request:
        """How the operator asks for this change. policy: what it may do with the trainer, where it may have to be
        confirmed. Raises UsageError for a wrong --confirm-within and --rehearse."""
        from atftctl.cli.rehearsal import rehearse_first
        from atftctl.operations.request import Request, yes

        reason = self.reason.encode("utf-8", "replace").decode()  # bytes of another encoding are surrogates here
        within = self._confirm_within(policy) if policy else None
        rehearse, seen = rehearse_first(self.rehearse, self.force), _observer.seen or yes
        return Request(reason, self.dry_run, or_undo, self._confirm, seen, self.reporter, within, rehearse, _before)

    def _confirm_within(self, policy: RestartPolicy) -> ConfirmWithin | None:
        from atftctl.domain.duration import seconds_of
        from atftctl.domain.errors import UsageError
        from atftctl.operations.request import ConfirmWithin
        from atftctl.protocol.messages import tr

        if self.confirm_within:
            seconds = seconds_of(self.confirm_within, "--confirm-within")
            return ConfirmWithin(seconds, self.confirm_by_verify, policy)
        if self.confirm_by_verify:
            raise UsageError(
                tr("--confirm-by-verify needs --confirm-within"),
                hint=tr("example: {option} 10m", option="--confirm-within"),
            )
        return None

    def restart_policy(self, *, live: bool = False, restart: bool = True) -> RestartPolicy:
        """What may be done with the trainer."""
        from atftctl.decide.plans.builder import RestartPolicy

        return RestartPolicy(
            restart=restart and not self.no_restart, live=live, adopt=tuple(self.adopt or ()), fence=self.fence
        )

    def rescue_policy(self, project: Project) -> RestartPolicy:
        """As `restart_policy`; a runbook that does not say how to start the trainer leaves the trainer alone."""
        return self.restart_policy(restart=bool(project.runbook.trainer.command))

    def leave_tree(self, project: Project) -> None:
        """Continue from a private copy of atftctl where atftctl lies in the project: its code may change now."""
        from atftctl.host.self_copy.private_copy import go_private

        if not self.dry_run:
            go_private(project.layout.root, project.layout.tools)

    @cached_property
    def reporter(self) -> ProgressReporter:
        """Shows progress on standard error."""
        from atftctl.cli.progress import ProgressReporter

        return ProgressReporter(quiet=self.json)

    @staticmethod
    def end() -> None:
        """The command is done, and its result not yet shown. Raises AtftError where another reader of its plans refuses
        it."""
        if _observer.at_end:
            _observer.at_end()

    def close(self) -> None:
        """Remove the progress line."""
        if "reporter" in self.__dict__:
            self.reporter.stop()

    def _confirm(self, plan: Plan, diff: tuple[str, ...]) -> bool:
        """Show the plan; ask unless --yes was given."""
        from atftctl.cli import prompt
        from atftctl.cli.render import plan as render_plan

        self.reporter.stop()
        if not (self.yes or _observer.confirmed):
            return prompt.confirm(plan, diff, whole_diff=self.diff)
        if not self.json:
            with suppress(OSError):  # a plan that can't be printed must not stop a rescue
                render_plan.show(plan, diff, whole=self.diff)
        return True


def _before(project: Project, request: Request, undoes: str) -> None:
    """Before a change: carry out the overdue undo of an unconfirmed one, and refuse the change while one waits."""
    if project.layout.pending.exists():
        from atftctl.operations import overdue

        overdue.attend(project, request, undoes=undoes)


class _PlanObserver:
    """Another reader of every plan of this process: `plan save` keeps the plan, `plan apply` compares it."""

    seen: Confirm | None = None
    confirmed = False
    at_end: Callable[[], None] | None = None


_observer = _PlanObserver()


def observe_plans(seen: Confirm, *, confirmed: bool, at_end: Callable[[], None] | None = None) -> None:
    """Call `seen` with every plan from now on. confirmed: ask no question, though the command has a --yes. at_end: is
    called before the command's result is shown; may raise AtftError in its place."""
    _observer.seen, _observer.confirmed, _observer.at_end = seen, confirmed, at_end
