"""Plans that go back to an earlier checkpoint."""

from __future__ import annotations

from atftctl.decide.plans.added_settings import Added, about_added, add_to_changes
from atftctl.decide.plans.builder import RestartPolicy, assemble
from atftctl.decide.plans.setting_changes import targets_of as targets_for
from atftctl.domain.checkpoint import Checkpoint, Content, is_pattern
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.resuming import Resuming
from atftctl.domain.runbook import Runbook
from atftctl.domain.steps import Target
from atftctl.protocol.messages import tr


def back(runbook: Runbook, facts: Facts, resuming: Resuming, policy: RestartPolicy, added: Added | None = None) -> Plan:
    """Return the plan of `rollback --back K` alone: only the checkpoint changes, and the settings that are `added`, by
    key. Raises Refused."""
    settings = add_to_changes(runbook, facts.configs, {}, (), added or {})
    return assemble(
        command="rollback",
        title=tr("back to the checkpoint {path}", path=resuming.path),
        runbook=runbook,
        facts=facts,
        targets=(*targets_for(settings.changes, facts.configs, runbook.files.configs), *resuming.targets),
        resume=resuming.resume,
        policy=policy,
        notes=(*settings.notes, *resuming.notes),
        about={**about_added(added or {}), **resuming.about},
        units=resuming.units,
    )


def targets_of(last: str, chosen: Checkpoint, content: Content, present: Content | None) -> tuple[Target, ...]:
    """Return the files that put a checkpoint in place of the last one. `last`: its path. `content`: of the chosen one;
    `present`: of the last one, None where there is none. Raises Refused where one is a file and the other a folder, and
    where what lies in the place of the last one is neither."""
    if present is not None and present.unreadable:
        raise Refused(
            tr("{last} can't be replaced: {reason}", last=last, reason=present.damage),
            hint=tr("move it away, then run this command again: mv {path} {path}.old", path=last),
        )
    if present is not None and present.folder != content.folder:
        raise Refused(
            tr("{path} and {last}: one is a file, the other a folder", path=chosen.path, last=last),
            hint=tr("set checkpoints.last in the runbook to what the trainer resumes from"),
        )
    new = [
        Target(
            path=_below(last, name),
            old=None,
            snapshot=chosen.path,
            copy=_below(chosen.path, name),
            new=digest,
            volatile=True,
        )
        for name, digest in content.files.items()
    ]
    gone = [name for name in (present.files if present else {}) if name not in content.files]
    return (*new, *(Target(path=_below(last, name), old=None, volatile=True) for name in gone))


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if name else path


def refuse_folder(facts: Facts, chosen: Checkpoint, last: str) -> None:
    """Raises Refused for a checkpoint that is a folder while a trainer may save: what it writes into the folder when it
    stops would be left between the files of the chosen one."""
    if chosen.folder and facts.process.may_save:
        raise Refused(
            tr(
                "{last} is a folder: what the trainer saves when it stops would mix with the files of {path}",
                path=chosen.path,
                last=last,
            ),
            hint=facts.process.how_to_stop,
        )


def refuse_pattern(last: str, chosen: Checkpoint) -> None:
    """Raises Refused where the runbook names the last checkpoint by a pattern: the trainer resumes from the newest
    match, and the one that it saves when it stops would be newer than any that is put in place."""
    if is_pattern(last):
        raise Refused(
            tr(
                "{path} can't be put in place: checkpoints.last is the pattern {last}, and what the trainer saves when "
                "it stops would be newer",
                path=chosen.path,
                last=last,
            ),
            state=tr("nothing was changed"),
            hint=tr("stop the trainer, move the newer checkpoints away, and start it; or name one file in the runbook"),
        )


def refuse_running(facts: Facts, policy: RestartPolicy, last: str) -> None:
    """Raises Refused where the trainer goes on, and would write the last checkpoint again."""
    if facts.process.may_save and not policy.restart:
        raise Refused(
            tr("the running trainer would overwrite {path}", path=last),
            hint=facts.process.how_to_stop,
        )
