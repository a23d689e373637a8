"""The text of the first runbook: short, with comments, and nothing that the reader of runbooks does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from atftctl.decide.adoption import guarded, measures
from atftctl.domain.adoption import Guess, Measures, Proposal
from atftctl.domain.checkpoint import Checkpoints
from atftctl.domain.runbook import Value
from atftctl.protocol import HOOK_GRADIENT, HOOK_MEMORY, HOOK_TIME

ALIVE_S = 60  # longer than programs take that fail while they import and load
PLAIN = re.compile(r"(?:\./|\.(?=[A-Za-z])|[A-Za-z_/])[A-Za-z0-9_./*=+-]*", re.ASCII)
WORDS_OF_YAML = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", ".inf", ".nan"}


def runbook(proposal: Proposal) -> str:
    """The text of the runbook."""
    return "\n".join(
        [
            *_head(proposal),
            *_files(proposal),
            *_trainer(proposal),
            *_checkpoints(proposal),
            *_metrics(proposal),
            *_logs(proposal),
            *_features(proposal),
            *_rest(proposal),
        ]
    )


def _head(proposal: Proposal) -> Iterator[str]:
    yield "# The runbook of this service: what atftctl may save, restore, start and stop. Written by `atftctl init`."
    yield "# After editing, check it: atftctl runbook lint. All keys: docs/reference/runbook.md of atftctl."
    yield "version: 1"
    yield f"service: {quoted(proposal.service)}"


def _files(proposal: Proposal) -> Iterator[str]:
    yield ""
    yield "# The files that a snapshot holds and that are restored together, in this order."
    yield "files:"
    yield from _listed("configs", proposal.configs, "of config files; later ones override earlier ones")
    yield from _listed("models", proposal.saved.models, "of checkpoints, such as out/checkpoint.pt")
    if proposal.also:
        yield from _listed("also", proposal.also, "of further files")
    if proposal.namespaces:
        yield "  namespaces:  # the key under which the trainer merges a file"
        yield from (f"    {quoted(path)}: {quoted(key)}" for path, key in proposal.namespaces.items())


def _listed(key: str, paths: Sequence[str], what: str) -> Iterator[str]:
    if not paths:
        yield f"  {key}: []  # paths {what}"
        return
    yield f"  {key}:"
    yield from (f"    - {quoted(path)}" for path in paths)


def _trainer(proposal: Proposal) -> Iterator[str]:
    yield ""
    yield "# The command is a list of words, run without a shell in the project's folder. {python} is the interpreter"
    yield "# of atftctl. A trainer that takes a checkpoint to resume from gets it as {resume}: last, best or scratch."
    yield "trainer:"
    yield f"  command: {words(proposal.command)}"
    yield "  grace_s: 30  # seconds that it has to save and end when it is asked to stop"
    yield "  ready_s: 120  # seconds that it has until it counts as started"
    if guarded.patterns_of(proposal.command):
        yield "  # Started once guard has seen the first line of the output that its pattern matches."
    if not proposal.speaks:
        yield from ready(proposal)


def ready(proposal: Proposal) -> Iterator[str]:
    """How a start is proven, for a trainer that does not report it."""
    if proposal.metrics.files:
        yield "  ready: {metrics: advances}  # started once a new step is in the metrics; or {alive_s: 60}"
    elif proposal.pattern:
        yield f"  ready: {{pattern: {quoted(proposal.pattern)}}}  # started once a line of its output matches"
    else:
        yield "  # Started once it has run so long, which shows little: importing PyTorch alone takes 10 to 40 s"
        yield "  # on a busy machine. Better, if it prints its steps: {pattern: REGEX}, a line of its output."
        yield f"  ready: {{alive_s: {ALIVE_S}}}"


def _checkpoints(proposal: Proposal) -> Iterator[str]:
    saved, default = proposal.saved, Checkpoints()
    last = measures.numbers_out(saved.last) if saved.numbered else saved.last
    chosen = {"last": last, "best": saved.best, "history": saved.history}
    lines = [f"  {key}: {quoted(path)}" for key, path in chosen.items() if path and path != getattr(default, key)]
    if lines:
        yield ""
        yield "# What the trainer resumes from, the best one, and the folder with earlier ones."
        yield "checkpoints:"
        yield from lines


def _metrics(proposal: Proposal) -> Iterator[str]:
    chosen = proposal.metrics
    default = chosen.files == ("logs/metrics.csv",)
    if not chosen.files or (default and not chosen.loss and not chosen.columns):
        return
    yield ""
    yield "# Where the trainer's metrics are, and what their columns mean."
    yield "metrics:"
    if not default:
        yield f"  files: {words(chosen.files)}"
    if chosen.step not in ("", "step"):
        yield f"  step: {quoted(chosen.step)}"
    if chosen.writer == "guard":
        yield from _of_guard(chosen)
    elif chosen.writer:
        yield from _of_hooks(chosen)
    elif chosen.loss:
        yield "  columns:"
        yield f"    {quoted(chosen.loss)}: {{better: lower}}"
        yield f"  loss: {quoted(chosen.loss)}"
    else:
        yield "  # columns: {train_loss: {better: lower}}"
        yield "  # loss: train_loss"


def _of_hooks(chosen: Measures) -> Iterator[str]:
    """The columns that the hooks write: a loop names its own losses, a framework's callback has the gradient's norm."""
    gradient = chosen.writer == "callback"
    yield "  columns:"
    yield f"    {quoted(chosen.loss)}: {{better: lower}}"
    if gradient:
        yield f"    {HOOK_GRADIENT}: {{}}"
    yield f"    {HOOK_MEMORY}: {{unit: MB, better: lower}}"
    yield f"    {HOOK_TIME}: {{unit: s, better: lower}}"
    yield f"  loss: {quoted(chosen.loss)}"
    if gradient:
        yield f"  gradient: {HOOK_GRADIENT}"
    yield f"  memory: {HOOK_MEMORY}"
    yield f"  step_time: {HOOK_TIME}"


def _of_guard(chosen: Measures) -> Iterator[str]:
    """The columns that guard writes: the named groups of its patterns. Which direction is better is known of losses."""
    yield "  columns:  # guard writes them: the named groups of its patterns, and the time of a step"
    for name in chosen.columns:
        unit = "unit: s, " if name == HOOK_TIME else ""
        known = name in (HOOK_TIME, HOOK_MEMORY, chosen.loss) or "loss" in name.lower()
        yield f"    {quoted(name)}: {{{unit}better: lower}}" if known else f"    {quoted(name)}: {{}}"
    roles = {"loss": chosen.loss, "gradient": HOOK_GRADIENT, "memory": HOOK_MEMORY, "step_time": HOOK_TIME}
    yield from (f"  {role}: {quoted(name)}" for role, name in roles.items() if name in chosen.columns)
    if other := next((name for name in chosen.columns if name not in roles.values()), ""):
        yield f"  # quality: {quoted(other)}  # verify judges by it; its column must say better: lower or higher"


def _logs(proposal: Proposal) -> Iterator[str]:
    if not measures.is_default(proposal.logs):
        yield ""
        yield "# The logs; logs/trainer.out is what the trainer prints."
        yield "logs:"
        yield "  files:"
        yield from (f"    - {quoted(path)}" for path in proposal.logs)


def _features(proposal: Proposal) -> Iterator[str]:
    yield ""
    yield "# The improvements: the file and key of a setting, and its value without (baseline) and with it (improved)."
    yield "# `atftctl rollback --immediate` sets each to its baseline, `--feature NAME` a single one."
    if proposal.features:
        yield "# These were guessed by their names: remove what is no improvement."
        yield "features:"
        yield from (f"  {line}" for guess in proposal.features for line in _feature(guess))
    comments = proposal.maybe or (() if proposal.features else (_example(proposal),))
    if comments and not proposal.features:
        yield "# features:"
    yield from (f"#   {line}" for guess in comments for line in _feature(guess))


def _example(proposal: Proposal) -> Guess:
    file = proposal.configs[0] if proposal.configs else "config.yaml"
    return Guess(file, "model.use_ema", baseline=False, improved=True, sure=False)


def _feature(guess: Guess) -> Iterator[str]:
    yield f"{quoted(guess.name)}:"
    yield f"  file: {quoted(guess.file)}"
    yield f"  key: {quoted(guess.key)}"
    yield f"  baseline: {_value(guess.baseline)}"
    yield f"  improved: {_value(guess.improved)}"


def _rest(proposal: Proposal) -> Iterator[str]:
    name = next((guess.name for guess in proposal.features), "model_use_ema")
    value = next((_value(guess.baseline) for guess in proposal.features), "false")
    yield ""
    yield "# What can go wrong, and the settings that help: `atftctl rollback --symptom diverged`."
    yield "# symptoms:"
    yield "#   diverged:"
    yield "#     detector: anomaly"
    yield "#     resume: best"
    yield f"#     table: {{{quoted(name)}: {value}}}"
    yield ""
    yield "# contacts:"
    yield "#   - {when: Emergency, how: phone of the person on call}"
    yield ""


def quoted(text: str) -> str:
    """A text as YAML reads it again."""
    return text if PLAIN.fullmatch(text) and text.lower() not in WORDS_OF_YAML else json.dumps(text, ensure_ascii=False)


def words(texts: Iterable[str]) -> str:
    """A list of texts on one line."""
    return f"[{', '.join(map(quoted, texts))}]"


def _value(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)
