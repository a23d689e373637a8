"""`--or-undo`: undo a change after which the trainer is not healthy, with an undo operation of its own."""

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
from atftctl.protocol.messages import tr


def carry_out_or_undo(project: Project, change: Change, policy: RestartPolicy, request: Request) -> Result:
    """Carry the change out. Undo it (exit code 4) where the trainer is not healthy after it and `--or-undo` was given,
    or where the running trainer did not load the settings (`--live`)."""
    may_undo = request.or_undo or policy.live
    quarantined_before = _quarantine_reason(project) if may_undo else ""
    result = carry_out(project, change, request)
    unhealthy = result.exit_code is Exit.CHECK_FAILED and result.plan is not None and bool(result.plan.targets)
    if not unhealthy or not may_undo:
        return result
    request.report.note(tr("{problem}: undoing it", problem=result.headline))
    return _undo(project, result, quarantined_before, policy, request)


def _undo(project: Project, result: Result, quarantined_before: str, policy: RestartPolicy, request: Request) -> Result:
    """Undo the change; return its result with the undo. A failed undo is a line of the result."""
    from atftctl.operations.undo import undo

    undo_policy = RestartPolicy(restart=policy.restart and not policy.live, adopt=policy.adopt, fence=policy.fence)
    quiet = replace(
        request,
        confirm=yes,
        seen=yes,
        or_undo=False,
        confirm_within=None,
        rehearse=None,
        reason=f"undone: {result.headline}",
    )
    try:
        undone = undo(project, result.change.operation, undo_policy, quiet)
    except AtftError as error:
        return replace(result, lines=(*result.lines, tr("the undo failed too: {reason}", reason=error.message)))
    headline = tr("undone: {problem}", problem=result.headline)
    if undone.exit_code is not Exit.DONE:
        headline = tr("{headline}; {problem}", headline=headline, problem=undone.headline)
    if problem := _settle(project, quiet, quarantined_before):
        headline = tr("{headline}; {problem}", headline=headline, problem=problem)
    return replace(
        result,
        exit_code=Exit.RESTORED,
        headline=headline,
        lines=undone.lines,
        parts=(*result.parts, *undone.parts),
        data=replace(result.change, undone_by=undone.change.operation),
    )


def _quarantine_reason(project: Project) -> str:
    """Return why an earlier rollback quarantined the present config; "" where none did."""
    if not project.layout.quarantine.exists():
        return ""
    from atftctl.observe.configs import digest, read_configs
    from atftctl.state import quarantine

    return quarantine.reason(project.layout, digest(read_configs(project.layout.root, project.runbook.files)))


def _settle(project: Project, request: Request, quarantined_before: str) -> str:
    """Release the restored config unless it was quarantined before, and have a trainer that had loaded the new settings
    load the old ones. Return what failed, or ""."""
    from atftctl.observe.configs import digest
    from atftctl.state import quarantine

    facts = observe(project)
    config = digest(facts.configs)
    if config and not quarantined_before and quarantine.reason(project.layout, config):
        with suppress(OSError):
            quarantine.lift(project.layout, config, "undone", now())
    return reload_restored(project, request)


def reload_restored(project: Project, request: Request) -> str:
    """Have a trainer that had loaded other settings load those of the config files. Return what failed, or ""."""
    from atftctl.observe.configs import digest

    facts = observe(project)
    if not facts.process.alive or not facts.process.digest or facts.process.digest == digest(facts.configs):
        return ""
    from atftctl.operations.trainer_process.reload import reload

    try:
        reload(project, "last", request)
    except AtftError as error:
        return tr(
            "the trainer still runs with the settings from before the undo ({reason}); apply the "
            "restored settings: atftctl trainer restart",
            reason=error.message,
        )
    return ""
