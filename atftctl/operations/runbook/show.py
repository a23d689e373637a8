"""`runbook show` and `runbook lint`."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.domain import missing_parts
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.runbook import Phase, Settings, Value
from atftctl.operations.project import Project
from atftctl.operations.report.fault import Fault
from atftctl.operations.report.health import runbook_faults
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr, trn
from atftctl.state.engines.choice import named


@record
class LintData(Data):
    """Data of `runbook lint`.

    problems: everything that is wrong in the runbook, in the order of its lines. Warnings have `blocks: false`. notes:
    what the optional parts that it leaves out would add.
    """

    problems: tuple[Fault, ...]
    notes: tuple[str, ...] = ()


@record
class ShownFeature(Data):
    """One improvement.

    title: its title in the operator's language. file: the config that holds its setting. key: the dotted key of the
    setting. baseline: the value before the improvement. improved: the value with the improvement.
    """

    title: str
    file: str
    key: str
    baseline: Value
    improved: Value


@record
class ShownSymptom(Data):
    """One symptom.

    title: its title in the operator's language. cause: the usual cause. settings: the values that a rollback of this
    symptom sets, by feature. resume: the checkpoint from which the trainer resumes. minutes: target time in minutes.
    """

    title: str
    cause: str
    settings: Settings
    resume: str
    minutes: int


@record
class ShownPhase(Data):
    """One phase of a plan for `reenable`.

    title: its title in the operator's language. settings: the values that it sets, by feature. gate: what it must show
    before the next phase. source: where that rule comes from.
    """

    title: str
    settings: Settings
    gate: str
    source: str


@record
class RunbookData(Data):
    """Data of `runbook show`.

    service: the name of the service. features: the improvements, by name. symptoms: the symptoms, by name. plans: the
    phases of each plan for `reenable`, by name. contacts: whom to ask.
    """

    service: str
    features: Mapping[str, ShownFeature]
    symptoms: Mapping[str, ShownSymptom]
    plans: Mapping[str, tuple[ShownPhase, ...]]
    contacts: tuple[str, ...]


def lint(project: Project) -> Result:
    """Show everything that is wrong in the runbook; exit code 1 where there is an error, not only warnings."""
    book, name = project.runbook, project.layout.runbook.relative_to(project.layout.root)
    faults = (*runbook_faults(project), *_engine_faults(project))
    errors = [fault for fault in faults if fault.blocks]
    contents = (
        trn("{count} feature", "{count} features", len(book.features)),
        trn("{count} symptom", "{count} symptoms", len(book.symptoms)),
        trn("{count} plan", "{count} plans", len(book.plans)),
    )
    notes = () if errors else tuple(tr("left out: {part}", part=part) for part in missing_parts.left_out(book))
    headline = tr(
        "{file}: {problems} ({contents})",
        file=str(name),
        problems=trn("{count} problem", "{count} problems", len(errors)) if errors else tr("no problem found"),
        contents=joined(", ", contents),
    )
    return Result(
        "runbook lint",
        Exit.CHECK_FAILED if errors else Exit.DONE,
        headline,
        lines=(*(fault.text for fault in faults), *notes),
        data=LintData(faults, notes),
        contacts=project.contacts if errors else (),
    )


def _engine_faults(project: Project) -> tuple[Fault, ...]:
    """What keeps the engine of the runbook from starting a trainer: an error where that is so on every machine."""
    rules = project.runbook.trainer
    problem = None if project.problems else named(rules.engine).problem(project.layout.root, rules.placement)
    if problem is None:
        return ()
    message = tr("trainer.engine {engine}: {problem}", engine=rules.engine, problem=problem.text)
    return (Fault("runbook", message, problem.hint, blocks=problem.certain),)


def _shown_phase(phase: Phase, language: str) -> ShownPhase:
    source = phase.gate.source.say(language) if phase.gate.source else ""
    return ShownPhase(phase.title.say(language), dict(phase.settings), phase.gate.describe(), source)


def runbook(project: Project) -> Result:
    """Show the runbook, which was checked when the project was opened: a broken one does not get this far."""
    book, language = project.runbook, project.language
    data = RunbookData(
        service=book.service,
        features={
            name: ShownFeature(
                feature.title.say(language), feature.file, feature.key, feature.baseline, feature.improved
            )
            for name, feature in book.features.items()
        },
        symptoms={
            name: ShownSymptom(
                title=symptom.title.say(language),
                cause=symptom.cause.say(language),
                settings=dict(symptom.settings),
                resume=symptom.resume,
                minutes=symptom.minutes,
            )
            for name, symptom in book.symptoms.items()
        },
        plans={name: tuple(_shown_phase(phase, language) for phase in phases) for name, phases in book.plans.items()},
        contacts=project.contacts,
    )
    headline = tr(
        "{service}: {features}, {symptoms}",
        service=book.service,
        features=trn("{count} feature", "{count} features", len(book.features)),
        symptoms=trn("{count} symptom", "{count} symptoms", len(book.symptoms)),
    )
    return Result("runbook show", Exit.DONE, headline, data=data, lines=project.warnings)
