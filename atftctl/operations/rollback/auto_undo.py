"""`--or-undo`: a change that did not make the trainer healthy is put back, by an undo of its own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import AtftError
from atftctl.domain.result import Result
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.change.change import Change
from atftctl.operations.project import Project, now, observe
from atftctl.operations.request import Request, yes
from atftctl.protocol import Exit


def carry_out_or_undo(project: Project, change: Change, wish: RestartPolicy, request: Request) -> Result:
    """Carry the change out; undo it (exit 4) where the trainer is not healthy after it and `--or-undo` was given, or
    where the running trainer did not take the settings up."""
    may_put_back = request.or_undo or wish.live
    known = _quarantined(project) if may_put_back else ""
    done = carry_out(project, change, request)
    unhealthy = done.exit_code is Exit.CHECK_FAILED and done.plan is not None and bool(done.plan.targets)
    if not unhealthy or not may_put_back:
        return done
    from atftctl.operations.undo import undo

    request.report.note(f"{done.headline}: putting it back")
    again = RestartPolicy(restart=wish.restart and not wish.live, adopt=wish.adopt)
    quiet = replace(request, confirm=yes, seen=yes, or_undo=False, reason=f"put back: {done.headline}")
    try:
        back = undo(project, done.change.operation, again, quiet)
    except AtftError as error:
        return replace(done, lines=(*done.lines, f"putting it back failed too: {error.message}"))
    words = "" if back.exit_code is Exit.DONE else f"; {back.headline}"
    words += _as_before(project, quiet, known)
    return replace(
        done,
        exit_code=Exit.RESTORED,
        headline=f"put back: {done.headline}{words}",
        lines=back.lines,
        parts=(*done.parts, *back.parts),
        data=replace(done.change, undone_by=back.change.operation),
    )


def _quarantined(project: Project) -> str:
    """What stands against the config of before, from an earlier rollback: that stays."""
    if not project.layout.quarantine.exists():
        return ""
    from atftctl.observe.configs import digest, read_configs
    from atftctl.state import quarantine

    return quarantine.reason(project.layout, digest(read_configs(project.layout.root, project.runbook.files.configs)))


def _as_before(project: Project, request: Request, known: str) -> str:
    """What stands again is no culprit, and a trainer that had taken the new settings up takes up the old ones."""
    from atftctl.observe.configs import digest
    from atftctl.state import quarantine

    facts = observe(project)
    stands = digest(facts.configs)
    if stands and not known and quarantine.reason(project.layout, stands):
        with suppress(OSError):
            quarantine.lift(project.layout, stands, "put back", now())
    if not facts.process.alive or not facts.process.digest or facts.process.digest == stands:
        return ""
    from atftctl.operations.trainer_process.reload import reload

    try:
        reload(project, "last", request)
    except AtftError as error:
        return f"; the trainer runs with other settings ({error.message}): atftctl trainer restart"
    return ""
