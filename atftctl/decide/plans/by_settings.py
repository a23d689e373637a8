"""Plans that change settings: rollback by symptom, preset or feature, `config set`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide.plans.added_settings import Added, about_added, add_to_changes
from atftctl.decide.plans.builder import RestartPolicy, assemble
from atftctl.decide.plans.setting_changes import changes, same, settings_of, targets_of
from atftctl.decide.returning import fault_of
from atftctl.domain.errors import NothingLeft, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.resuming import Resuming
from atftctl.domain.runbook import ResumeFrom, Runbook, Settings, Stage
from atftctl.domain.steps import SettingChange
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import joined, tr, trn

NONE: Added = {}


def rollback_symptom(
    runbook: Runbook,
    facts: Facts,
    name: str,
    policy: RestartPolicy,
    language: str,
    resuming: Resuming | None = None,
    *,
    added: Added = NONE,
    returned: tuple[str, ...] = (),
    tried: int = 0,
) -> Plan:
    """Return the plan for a symptom: its settings, or the first alternative where these are set already. `resuming`:
    the checkpoint that was chosen; None for what the symptom says. `added`: further settings, by key; they win.
    `returned`: notes where the fault has returned; then the last alternative is to turn off all improvements. `tried`:
    so many remedies were tried for it: none of them is taken again, though a later one has changed its settings.

    Raises Refused where nothing is left to change.
    """
    symptom = runbook.symptoms[name]
    remedies = [symptom.settings, *symptom.alternatives]
    if returned and symptom.again == "settings":
        remedies = [*remedies, runbook.immediate.settings][tried:] or [{}]
    remedy = next((settings for settings in remedies if changes(runbook, facts.configs, settings)), remedies[0])
    notes = returned
    if remedy is not symptom.settings:
        notes += (tr("the first remedy is in place already; this plan applies the alternative"),)
    plan = settings_plan(
        runbook, facts, remedy, policy,
        command="rollback",
        title=tr("{symptom}: {cause}", symptom=symptom.title.say(language), cause=symptom.cause.say(language)),
        resume=symptom.resume,
        minutes=symptom.minutes,
        notes=notes,
        about={"symptom": name, **fault_of(facts)},
        resuming=resuming,
        added=added,
    )  # fmt: skip
    if plan.empty:
        rest = tr("turn off all improvements with: atftctl rollback --immediate")
        raise NothingLeft(
            tr("nothing is left to roll back for {symptom}: all of its settings are in place already", symptom=name),
            hint=symptom.advice.say(language) if symptom.advice else rest,
        )
    if not plan.targets:
        restarted = tr("all settings are in place already; the trainer is only started again")
        return replace(plan, title=joined("; ", [plan.title, restarted]))
    return plan


def rollback_immediate(
    runbook: Runbook, facts: Facts, policy: RestartPolicy, resuming: Resuming | None = None, *, added: Added = NONE
) -> Plan:
    """Return the plan of `rollback --immediate`: every improvement off, key by key. Raises Refused where all are."""
    plan = settings_plan(
        runbook, facts, runbook.immediate.settings, policy,
        command="rollback",
        title=tr("immediate: turn off all improvements, restore the training settings"),
        resume=runbook.immediate.resume,
        minutes=runbook.immediate.minutes,
        about={"preset": "immediate"},
        resuming=resuming,
        added=added,
    )  # fmt: skip
    if plan.empty:
        raise Refused(
            tr("nothing is left to roll back: all improvements are off already"),
            hint=tr("to restore a snapshot instead: atftctl backup list, then atftctl restore ID"),
        )
    return plan


def rollback_features(
    runbook: Runbook,
    facts: Facts,
    names: Sequence[str],
    policy: RestartPolicy,
    resuming: Resuming | None = None,
    *,
    added: Added = NONE,
) -> Plan:
    """Return the plan that turns off these features and no others, the guide's partial rollback. Raises Refused."""
    listed = ", ".join(names)
    plan = settings_plan(
        runbook, facts, {name: runbook.feature(name).baseline for name in names}, policy,
        command="rollback",
        title=tr("back to the baseline: {features}", features=listed),
        resume="last",
        about={"features": listed},
        resuming=resuming,
        added=added,
    )  # fmt: skip
    if not plan.targets:
        raise Refused(tr("{features}: already at the baseline", features=listed))
    return plan


def stage(
    runbook: Runbook,
    facts: Facts,
    symptom_name: str,
    stage_name: Stage,
    policy: RestartPolicy,
    language: str,
    resuming: Resuming | None = None,
) -> Plan:
    """Return the plan for one stage of a staged rollback: the symptom's table row, its block, or everything.
    `resuming`: the checkpoint that was chosen; None for what the symptom says."""
    symptom = runbook.symptoms[symptom_name]
    return settings_plan(
        runbook, facts, settings_of(runbook, symptom_name, stage_name), policy,
        command="rollback",
        title=tr("{symptom}, stage {stage}", symptom=symptom.title.say(language), stage=stage_name),
        resume=symptom.resume,
        about={"symptom": symptom_name, "stage": stage_name},
        resuming=resuming,
    )  # fmt: skip


def set_values(runbook: Runbook, facts: Facts, wanted: Sequence[SettingChange], policy: RestartPolicy) -> Plan:
    """Return the plan of `config set`, for settings that the runbook names and others. Raises Refused."""
    changed = [change for change in wanted if not same(change.old, change.new)]
    names = ", ".join(key_text(change.key) for change in wanted)
    plan = assemble(
        command="config set",
        title=names,
        runbook=runbook,
        facts=facts,
        targets=targets_of(changed, facts.configs, runbook.files.configs),
        resume="last",
        policy=policy,
        about={"settings": names},
    )
    if not plan.targets:
        raise Refused(
            trn(
                "{settings}: already has this value",
                "{settings}: already have these values",
                len(wanted),
                settings=names,
            )
        )
    return plan


def settings_plan(
    runbook: Runbook,
    facts: Facts,
    wanted: Settings,
    policy: RestartPolicy,
    *,
    command: str,
    title: str,
    resume: ResumeFrom,
    minutes: int | None = None,
    notes: tuple[str, ...] = (),
    about: dict[str, str],
    resuming: Resuming | None = None,
    added: Added = NONE,
) -> Plan:
    """Return the plan that gives features their wanted values, for all commands that do so. `resuming`: the checkpoint
    that was chosen, in place of `resume`; without one, the models stay as they are. `added`: further settings, by key;
    they win."""
    resuming = resuming or Resuming("last" if resume == "snapshot" else resume)
    with_added = add_to_changes(runbook, facts.configs, wanted, changes(runbook, facts.configs, wanted), added)
    settings = targets_of(with_added.changes, facts.configs, runbook.files.configs)
    return assemble(
        command=command,
        title=title,
        runbook=runbook,
        facts=facts,
        targets=(*settings, *resuming.targets),
        resume=resuming.resume,
        policy=policy,
        minutes=minutes,
        notes=(*notes, *with_added.notes, *resuming.notes),
        about={**about, **about_added(added), **resuming.about},
        units=resuming.units,
    )
