"""Parts that a runbook may leave out: what is refused without one, what to write to have it, and what works now."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from atftctl.domain.errors import Inconclusive, Refused
from atftctl.domain.runbook import Runbook
from atftctl.protocol.messages import Message, tr

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
WITHOUT_SETTINGS = "atftctl rollback --to ID, atftctl restore ID, atftctl undo, atftctl config set KEY=VALUE"
EDIT = tr("write such lines into the runbook, then run: atftctl runbook lint")


def features(runbook: Runbook) -> Refused:
    """Without features there is no setting to turn off."""
    return Refused(
        tr("the runbook has no features, so there is no improvement to turn off; for example:"),
        state=_works(WITHOUT_SETTINGS),
        hint=EDIT,
        lines=feature_example(runbook),
    )


def symptoms(runbook: Runbook) -> Refused:
    """Without symptoms nothing says which settings a fault calls for."""
    return Refused(
        tr("the runbook has no symptoms, so nothing says which settings help against a fault; for example:"),
        state=_works(WITHOUT_SETTINGS),
        hint=EDIT,
        lines=symptom_example(runbook),
    )


def plans(runbook: Runbook) -> Refused:
    """Without plans nothing says in which order improvements come back."""
    return Refused(
        tr("the runbook has no plans, so nothing says in which order improvements are turned on again; for example:"),
        state=_works("atftctl config set KEY=VALUE, atftctl undo"),
        hint=EDIT,
        lines=plan_example(runbook),
    )


def drills(runbook: Runbook) -> Refused:
    """Without a fault of a symptom there is nothing to rehearse."""
    return Refused(
        tr("the runbook has no drill (drill.faults), so no incident can be rehearsed; for example:"),
        state=_works("atftctl rollback --to ID --dry-run, atftctl trainer stop, atftctl trainer start"),
        hint=EDIT,
        lines=drill_example(runbook),
    )


def probe() -> Inconclusive:
    """Without a probe nothing can be measured."""
    return Inconclusive(
        no_probe(),
        state=_works("atftctl verify --check service --check errors, atftctl diagnose, atftctl backup"),
        hint=NAME_PROBE,
        lines=PROBE_EXAMPLE,
    )


def no_probe() -> Message:
    """Why nothing can be measured."""
    return tr("the runbook names no trainer.probe, the program that measures a model")


NAME_PROBE = tr("name a program that measures your model under trainer.probe of the runbook")
PROBE_EXAMPLE = ("trainer:", '  probe: ["{python}", tools/probe.py]  # beside command, grace_s and ready_s')


def feature_example(runbook: Runbook) -> tuple[str, ...]:
    """Lines of a runbook that describe one feature."""
    file = _quoted(runbook.files.configs[0]) if runbook.files.configs else "config.yaml"
    return (
        "features:", "  ema:", f"    file: {file}", "    key: model.use_ema", "    baseline: false",
        "    improved: true",
    )  # fmt: skip


def symptom_example(runbook: Runbook) -> tuple[str, ...]:
    """Lines of a runbook that describe one symptom; with a feature where there is none."""
    lines = (
        "symptoms:",
        "  diverged:",
        "    detector: anomaly  # not a number, or a gradient that explodes",
        "    resume: best",
        f"    table: {_off(runbook)}",
    )
    return lines if runbook.features else (*feature_example(runbook), *lines)


def plan_example(runbook: Runbook) -> tuple[str, ...]:
    """Lines of a runbook that describe a plan of one phase; with a feature where there is none."""
    name, improved = next(((name, feature.improved) for name, feature in runbook.features.items()), ("ema", True))
    lines = ("plans:", "  back-on:", f"    - settings: {{{_quoted(name)}: {json.dumps(improved)}}}")
    return lines if runbook.features else (*feature_example(runbook), *lines)


def drill_example(runbook: Runbook) -> tuple[str, ...]:
    """Lines of a runbook that say how the fault of a symptom is made; with a symptom where there is none."""
    name = next(iter(runbook.symptoms), "diverged")
    file = _quoted(runbook.files.configs[0]) if runbook.files.configs else "config.yaml"
    lines = (
        "drill:", "  faults:", f"    {_quoted(name)}:", "      how: a learning rate that is far too high",
        "      settings:", f"        {file}: {{training.lr: 1000.0}}",
    )  # fmt: skip
    return lines if runbook.symptoms else (*symptom_example(runbook), *lines)


def _off(runbook: Runbook) -> str:
    """The first feature at its baseline, as a mapping of YAML."""
    name, value = next(((name, feature.baseline) for name, feature in runbook.features.items()), ("ema", False))
    return f"{{{_quoted(name)}: {json.dumps(value)}}}"


def _quoted(text: str) -> str:
    """A text as YAML holds it: quoted where it may mean something else."""
    return text if PLAIN.fullmatch(text.replace("/", "_")) else json.dumps(text)


def _works(commands: str) -> Message:
    return tr("nothing was changed; these work without it: {commands}", commands=commands)


def left_out(runbook: Runbook) -> list[Message]:
    """What the optional parts that a runbook has not would add, a sentence each."""
    return [text for absent, text in _OPTIONAL if absent(runbook)]


_OPTIONAL: tuple[tuple[Callable[[Runbook], bool], Message], ...] = (
    (
        lambda book: not book.features,
        tr("features: rollback --immediate and --feature would have settings to turn off"),
    ),
    (
        lambda book: not book.symptoms,
        tr("symptoms: diagnose could name a rollback, and rollback --symptom carry it out"),
    ),
    (lambda book: not book.plans, tr("plans: reenable could turn improvements on again, phase by phase")),
    (
        lambda book: not book.metrics.loss,
        tr("metrics.loss: diagnose and watch could see a loss that explodes or drifts"),
    ),
    (
        lambda book: not book.trainer.probe,
        tr("trainer.probe: verify and baseline could measure the model, its quality, memory and time"),
    ),
    (
        lambda book: not book.trainer.validate,
        tr("trainer.validate: wrong settings would be refused before a trainer is stopped"),
    ),
    (lambda book: not book.contacts, tr("contacts: an error that needs a person would say whom to ask")),
)
