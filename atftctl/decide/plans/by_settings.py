"""The routes by settings: which of them a request means. Each is a pure function from facts to a plan or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide.plans.builder import RestartPolicy, assemble
from atftctl.decide.plans.setting_changes import changes, same, settings_of, targets
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.runbook import Resume, Runbook, Settings, Stage
from atftctl.domain.steps import SettingChange
from atftctl.protocol.keys import key_text


def rollback_symptom(runbook: Runbook, facts: Facts, name: str, policy: RestartPolicy, language: str) -> Plan:
    """The symptom's block where there is one, else its row of the table; alternatives where the first is in place."""
    symptom = runbook.symptoms[name]
    offered = [symptom.settings, *symptom.alternatives]
    left = next((one for one in offered if changes(runbook, facts.configs, one)), symptom.settings)
    notes: tuple[str, ...] = ()
    if left is not symptom.settings:
        notes = ("the first remedy is in place already; this is the alternative",)
    plan = _settings_plan(
        runbook, facts, left, policy,
        command="rollback",
        title=f"{symptom.title.say(language)}: {symptom.cause.say(language)}",
        resume=symptom.resume,
        minutes=symptom.minutes,
        notes=notes,
        about={"symptom": name},
    )  # fmt: skip
    if plan.empty:
        advice = symptom.advice.say(language) if symptom.advice else "atftctl rollback --immediate takes the rest back"
        raise Refused(f"nothing is left to roll back for {name}: every setting has its value already", hint=advice)
    if not plan.targets:
        return replace(plan, title=f"{plan.title}; every setting has its value already, the trainer is started again")
    return plan


def rollback_immediate(runbook: Runbook, facts: Facts, policy: RestartPolicy) -> Plan:
    """Every improvement off, key by key."""
    plan = _settings_plan(
        runbook, facts, runbook.immediate.settings, policy,
        command="rollback",
        title="immediate: the guide's improvements off, the training settings back",
        resume=runbook.immediate.resume,
        minutes=runbook.immediate.minutes,
        about={"preset": "immediate"},
    )  # fmt: skip
    if plan.empty:
        raise Refused(
            "nothing is left to roll back: the guide's improvements are off",
            hint="a snapshot instead: atftctl backup list, atftctl restore ID",
        )
    return plan


def rollback_features(runbook: Runbook, facts: Facts, names: Sequence[str], policy: RestartPolicy) -> Plan:
    """These improvements off, and no other: the guide's partial rollback."""
    plan = _settings_plan(
        runbook, facts, {name: runbook.feature(name).baseline for name in names}, policy,
        command="rollback",
        title=f"back to the baseline: {', '.join(names)}",
        resume="last",
        about={"features": ", ".join(names)},
    )  # fmt: skip
    if not plan.targets:
        raise Refused(f"{', '.join(names)}: at the baseline already")
    return plan


def stage(runbook: Runbook, facts: Facts, symptom: str, word: Stage, policy: RestartPolicy, language: str) -> Plan:
    """One stage of the staged rollback: the symptom's table row, its block, or everything (DESIGN section 5)."""
    found = runbook.symptoms[symptom]
    return _settings_plan(
        runbook, facts, settings_of(runbook, symptom, word), policy,
        command="rollback",
        title=f"{found.title.say(language)}, stage {word}",
        resume=found.resume,
        about={"symptom": symptom, "stage": word},
    )  # fmt: skip


def set_values(runbook: Runbook, facts: Facts, wanted: Sequence[SettingChange], policy: RestartPolicy) -> Plan:
    """`config set`: single values, whether the runbook knows them or not."""
    left = [change for change in wanted if not same(change.old, change.new)]
    names = ", ".join(key_text(change.key) for change in wanted)
    plan = assemble(
        command="config set",
        title=names,
        runbook=runbook,
        facts=facts,
        targets=targets(left, facts.configs, runbook.files.configs),
        resume="last",
        policy=policy,
        about={"settings": names},
    )
    if not plan.targets:
        raise Refused(f"{names}: has this value already")
    return plan


def reenable(runbook: Runbook, facts: Facts, number: int, plan_name: str, policy: RestartPolicy, language: str) -> Plan:
    """Phase N of a plan; refused where phase N-1 is not in place."""
    phases = runbook.plans[plan_name]
    if not 1 <= number <= len(phases):
        raise Refused(f"plan {plan_name} has phases 1 to {len(phases)}, not {number}")
    later = {name for phase in phases[number - 1 :] for name in phase.settings}
    for before in range(1, number):
        settings = {name: value for name, value in phases[before - 1].settings.items() if name not in later}
        missing = changes(runbook, facts.configs, settings)
        if missing:
            raise Refused(
                f"phase {number} needs phase {before}, which is not in place: {missing[0].describe()}",
                hint=f"atftctl reenable --phase {before}",
            )
    phase = phases[number - 1]
    plan = _settings_plan(
        runbook, facts, phase.settings, policy,
        command="reenable",
        title=f"phase {number} of {plan_name}: {phase.title.say(language)}",
        resume="last",
        about={"phase": str(number), "plan": plan_name},
    )  # fmt: skip
    if not plan.targets:
        then = f"atftctl reenable --phase {number + 1}" if number < len(phases) else "it was the last phase"
        raise Refused(f"phase {number} of {plan_name} is in place already", hint=then)
    return plan


def _settings_plan(
    runbook: Runbook,
    facts: Facts,
    wanted: Settings,
    policy: RestartPolicy,
    *,
    command: str,
    title: str,
    resume: Resume,
    minutes: int | None = None,
    notes: tuple[str, ...] = (),
    about: dict[str, str],
) -> Plan:
    return assemble(
        command=command,
        title=title,
        runbook=runbook,
        facts=facts,
        targets=targets(changes(runbook, facts.configs, wanted), facts.configs, runbook.files.configs),
        resume=resume,
        policy=policy,
        minutes=minutes,
        notes=notes,
        about=about,
    )
