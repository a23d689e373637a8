"""Which files hold the trainer's metrics and its logs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atftctl.domain.adoption import Entry, Measures, MetricsFile, Speaks
from atftctl.protocol import LOG, METRICS, OUTPUT

STEPS = ("step", "global_step", "global-step", "steps", "iter", "iteration", "iterations", "epoch")
LOSSES = ("loss", "train_loss", "train/loss", "loss/train", "training_loss", "train_loss_step", "train_loss_epoch")
KINDS = ("csv", "jsonl", "huggingface", "tensorboard")  # the easiest to read first
NONE = Measures()
LOG_NAME = re.compile(r"(?:^|/)(?:[\w.-]*train[\w.-]*|[\w-]+)\.(?:log|out)$")
MOST_LOGS = 4
STEP_LINE = re.compile(r"\b(step|iter|iteration|epoch)\b(?=[^\n]{0,80}\bloss\b)[ :=\[#]{0,3}\d", re.IGNORECASE)


def holds_metrics(columns: Sequence[str]) -> bool:
    """Do these columns look like the metrics of a training: a step or an epoch, and a loss?"""
    return bool(step_of(columns) and loss_of(columns))


def step_of(columns: Sequence[str]) -> str:
    """The column of the training step; "" where none is."""
    return next((name for name in STEPS if name in columns), "")


def loss_of(columns: Sequence[str]) -> str:
    """The column of the training loss; "" where none is."""
    exact = next((name for name in LOSSES if name in columns), "")
    return exact or next((name for name in columns if "loss" in name.lower()), "")


def choose(files: Sequence[MetricsFile], named: Sequence[str], speaks: Speaks = "", guard: Measures = NONE) -> Measures:
    """The newest metrics of the kind that is easiest to read; a folder of each run becomes a pattern. `speaks`: with
    the hooks of atftctl, these write the metrics, also where others were found. `guard`: the metrics that guard writes
    where the command runs under it; without a loss, they count where no others were found."""
    if named:
        columns = next((file.columns for file in files if file.path in named), ())
        return Measures(tuple(named), "csv", step_of(columns), loss_of(columns))
    if speaks:
        columns = next((file.columns for file in files if file.path == METRICS), ())
        return Measures((METRICS,), "csv", "step", loss_of(columns) or "loss", speaks)
    if guard.loss:
        return guard
    ranked = sorted(files, key=lambda file: (KINDS.index(file.kind), -file.written, file.path))
    if not ranked:
        return guard
    best = ranked[0]
    if best.kind == "huggingface":
        return Measures((pattern_of(best.path),), best.kind, "step", "loss")
    return Measures((pattern_of(best.path),), best.kind, step_of(best.columns), loss_of(best.columns))


def pattern_of(path: str) -> str:
    """The path with `*` in the place of what is different in each run: a version, a step, a date, a host."""
    *folders, name = path.split("/")
    parts = [re.sub(r"\d[\d_.T:-]*$", "*", folder) if re.search(r"\d", folder) else folder for folder in folders]
    if name.startswith("events.out.tfevents."):
        name = "events.out.tfevents.*"
    return "/".join([*parts, name])


def ready_pattern(outputs: Sequence[str]) -> str:
    """A regular expression for the first line of training, by what earlier runs have printed; "" where they show none.
    `outputs`: the beginnings of files that a trainer's output was sent to."""
    for text in outputs:
        if match := STEP_LINE.search(text):
            return rf"\b{match[1]}\b.*\bloss\b"
    return ""


def numbers_out(path: str) -> str:
    """The path with `*` in the place of each number in its last part: of a step or an epoch."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + re.sub(r"\d+(?:\.\d+)*", "*", name)


def logs(entries: Sequence[Entry], named: Sequence[str]) -> tuple[str, ...]:
    """The logs, the newest first, and last the file that atftctl itself makes of the trainer's output."""
    if named:
        return (*dict.fromkeys((*named, OUTPUT)),)
    newest = sorted(entries, key=lambda entry: -entry.written)
    return (*dict.fromkeys((*(entry.path for entry in newest[:MOST_LOGS]), OUTPUT)),)


def is_default(files: Sequence[str]) -> bool:
    """Are these the logs that a runbook has without saying so?"""
    return set(files) <= {LOG, OUTPUT}
