"""What a cause is called, and the command that helps. A symptom comes from the runbook; other causes from here."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.decide.verdicts.crash_cause import remedy_of_symptom
from atftctl.domain.facts import ConfigFile
from atftctl.domain.runbook import Runbook
from atftctl.protocol.messages import Message, tr

# By name of the cause, or by the beginning of it: (title, what to do).
CAUSES: Mapping[str, tuple[Message, Message | str]] = {
    "out-of-memory": (tr("out of memory"), "atftctl trainer status"),
    "anomaly": (tr("training diverges"), "atftctl rollback --immediate"),
    "leak": (tr("memory leak"), "atftctl metrics"),
    "slower": (tr("slow convergence"), "atftctl metrics"),
    "quality": (tr("quality degrades"), "atftctl verify"),
    "hang": (tr("the trainer hangs"), "atftctl trainer restart"),
    "settings": (tr("settings that the trainer refuses"), "atftctl undo"),
    "data": (tr("data that can't be used"), "atftctl logs --errors"),
    "checkpoint": (tr("a damaged checkpoint"), "atftctl rollback --to last-good"),
    "checkpoint-other": (tr("a checkpoint that does not fit the model"), "atftctl logs --errors"),
    "save": (tr("a checkpoint could not be saved"), "df -h ."),
    "fenced": (tr("a newer trainer was started"), "atftctl history"),
    "worker-lost": (tr("a process of the trainer was lost"), "atftctl logs --errors"),
    "code": (tr("an error in the code"), "atftctl logs --errors"),
    "exception": (tr("an error in the code"), "atftctl logs --errors"),
    "disk": (tr("a disk that is full or faulty"), "df -h . && atftctl backup prune --dry-run"),
    "cuda-hardware": (tr("a faulty graphics card"), "nvidia-smi -q"),
    "cuda-assert": (tr("an error in the code"), "atftctl logs --errors"),
    "cuda": (tr("a fault on the graphics card"), "atftctl logs --errors"),
    "accelerator": (tr("a fault on the graphics card"), "atftctl logs --errors"),
    "nccl": (tr("processes that can't reach each other"), "atftctl logs --errors"),
    "launcher": (tr("processes that can't reach each other"), "atftctl logs --errors"),
    "port-in-use": (tr("a port that is in use"), "atftctl trainer status"),
    "loader": (tr("loading of the data"), "atftctl logs --errors"),
    "open-files": (tr("too many open files"), "ulimit -n"),
    "python-packages": (tr("a package that can't be imported"), "atftctl doctor"),
    "python-crash": (tr("a crash of the interpreter"), "atftctl logs --errors"),
}


def symptom_of(runbook: Runbook, cause: str) -> str:
    """The symptom of the runbook that a cause is: of this name, or with this detector; "" where there is none."""
    if cause in runbook.symptoms:
        return cause
    return next((name for name, symptom in runbook.symptoms.items() if symptom.detector == cause != ""), "")


def title_of(runbook: Runbook, cause: str, language: str = "en") -> str:
    """What people call a cause."""
    if symptom := symptom_of(runbook, cause):
        return runbook.symptoms[symptom].title.say(language)
    return _known(cause)[0]


def command_of(runbook: Runbook, configs: Mapping[str, ConfigFile], cause: str) -> tuple[str, Message | str]:
    """(the command that helps: the rollback of the symptom, or how to find out more; what else to know or do, "" for
    nothing, in a sentence that may name the command)."""
    symptom = symptom_of(runbook, cause)
    if not symptom:
        return str(_known(cause)[1]), ""
    detector = runbook.symptoms[symptom].detector
    if detector == "quality":
        return "atftctl verify", ""
    if any(config.error for config in configs.values()):
        return f"atftctl rollback --symptom {symptom}", ""
    text = remedy_of_symptom(runbook, configs, symptom)
    advice, _, command = str(text).rpartition("next: ")
    if command == str(text):  # a sentence alone
        return str(_known(detector or cause)[1]), text
    return command, text if advice else ""


def _known(cause: str) -> tuple[Message | str, str]:
    return CAUSES.get(cause) or CAUSES.get(cause.partition("-")[0]) or (cause, "atftctl logs --errors")
