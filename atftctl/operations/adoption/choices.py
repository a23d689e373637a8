"""What the first runbook holds: what the operator said, else the likeliest of what was found."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from atftctl.decide.adoption import checkpoints, commands, config_files, features, guarded, measures
from atftctl.domain.adoption import Found, Measures, Proposal
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.record import record
from atftctl.host.errors import OutsideProjectError
from atftctl.host.files.containment import check_relative
from atftctl.observe.configs import read_config
from atftctl.protocol.messages import Message, tr
from atftctl.protocol.output_lines import columns_of, compile_patterns

YAML = (".yaml", ".yml", ".json")
Ask = Callable[[Message, Sequence[str]], int]  # a question and its answers; the number of the answer


@record
class Wishes:
    """What the operator said. `words`: of the command, as single words; `command`: as one text, a JSON list or a line.
    Empty: what is found."""

    service: str = ""
    configs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    command: str = ""
    words: tuple[str, ...] = ()


def propose(root: Path, found: Found, wishes: Wishes, ask: Ask | None) -> Proposal:
    """The runbook that is proposed. `ask`: asks the operator where there are several; None: the likeliest is taken.
    Raises UsageError for a wish that can't be followed; Refused where there is no command or no file."""
    wishes = _inside(root, wishes)
    command = _command(found, wishes, ask)
    written = _of_guard(command)
    named = tuple(path for path in wishes.configs if path.lower().endswith(YAML))
    also = tuple(path for path in wishes.configs if path not in named)
    _require_readable(root, named)
    configs, _, namespaces = config_files.choose(found.configs, named, command)
    saved = checkpoints.choose(found.checkpoints, wishes.models)
    if not configs and not saved.models and not also:
        raise Refused(
            tr("neither a config file nor a checkpoint was found, so there is nothing to save and restore"),
            state=_unwritten(),
            hint=tr("name them: atftctl init --config FILE --model FILE"),
        )
    guesses = features.guesses([config for config in found.configs if config.path in configs])
    return Proposal(
        service=wishes.service or root.name,
        configs=tuple(configs),
        saved=saved,
        command=command,
        namespaces=namespaces,
        logs=measures.logs(found.logs, wishes.logs),
        metrics=measures.choose(found.metrics, wishes.metrics, found.speaks, written),
        features=tuple(guess for guess in guesses if guess.sure),
        maybe=tuple(guess for guess in guesses if not guess.sure),
        also=also,
        speaks=bool(found.speaks or written.files),
        pattern=measures.ready_pattern(found.outputs),
    )


def _of_guard(command: Sequence[str]) -> Measures:
    """The metrics that guard writes, where the command runs under it with a pattern. Raises UsageError for one that
    guard would refuse."""
    patterns = guarded.patterns_of(command)
    try:
        names = columns_of(compile_patterns(patterns))
    except ValueError as error:
        raise UsageError(error.args[0], state=_unwritten(), hint="atftctl guard --help") from None
    return guarded.measures_of(names) if patterns else Measures()


def _require_readable(root: Path, paths: Sequence[str]) -> None:
    """Raises UsageError for a config that was named and can't be read: no trainer could be started with it."""
    for path in paths:
        if error := read_config(root, path).error:
            raise UsageError(tr("{path}: {reason}", path=path, reason=error), state=_unwritten())


def _unwritten() -> Message:
    return tr("nothing was written")


def _inside(root: Path, wishes: Wishes) -> Wishes:
    """The wishes with paths relative to the project. Raises UsageError for one outside of it, or that is missing."""
    if any(not text.isprintable() for text in (wishes.service, *wishes.words)):
        raise UsageError(tr("a name or a word of the command can't be printed"))
    return Wishes(
        wishes.service,
        tuple(_relative(root, path, must_exist=True) for path in wishes.configs),
        tuple(_relative(root, path) for path in wishes.models),
        tuple(_relative(root, path) for path in wishes.logs),
        tuple(_relative(root, path) for path in wishes.metrics),
        wishes.command,
        wishes.words,
    )


def _relative(root: Path, path: str, *, must_exist: bool = False) -> str:
    if path.startswith("/"):
        folder, name = os.path.split(os.path.normpath(path))
        path = os.path.relpath(f"{os.path.realpath(folder)}/{name}", root)
    path = os.path.normpath(path)
    try:
        check_relative(path)
    except OutsideProjectError as error:
        raise UsageError(error.message, hint=tr("name files of the project: {root}", root=root)) from None
    if not path.isprintable():
        raise UsageError(tr("the name of this file can't be printed: {path!r}", path=path))
    if must_exist and not (root / path).is_file():
        raise UsageError(tr("{path}: no such file", path=path))
    return path


def _command(found: Found, wishes: Wishes, ask: Ask | None) -> tuple[str, ...]:
    """The command that starts the trainer. Raises UsageError for a shell line, Refused where none is known."""
    if wishes.command and wishes.words:
        raise UsageError(tr("give the command once: with --command, or after --"))
    if wishes.words:
        alone = len(wishes.words) == 1 and " " in wishes.words[0].strip()
        return commands.words_of(wishes.words[0], found.python) if alone else _checked(wishes.words, found.python)
    if wishes.command:
        return _of_text(wishes.command, found.python)
    usable = [candidate for candidate in found.commands if candidate.words]
    if not usable:
        raise _no_command(found)
    if ask is None or len(usable) == 1:
        return usable[0].words
    answers = [
        tr("{command} ({source})", command=commands.command_line(each.words), source=each.source) for each in usable[:9]
    ]
    return usable[ask(tr("Which command starts the trainer?"), answers)].words


def _checked(words: Sequence[str], python: str) -> tuple[str, ...]:
    if shell := next((word for word in words if word in ("&&", "||", "|", ">", ">>", ";", "&", "<", "2>&1")), ""):
        raise UsageError(
            tr("{word} is a part of a shell line, and no shell reads the runbook", word=shell),
            hint=tr("give the words of the trainer's own command: atftctl init -- python train.py"),
        )
    return commands.with_python(words, python)


def _of_text(text: str, python: str) -> tuple[str, ...]:
    if not text.lstrip().startswith("["):
        return commands.words_of(text, python)
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        words = None
    if (
        not isinstance(words, list)
        or not words
        or not all(isinstance(word, str) and word.isprintable() for word in words)
    ):
        example = '--command \'["python", "train.py"]\''
        raise UsageError(tr("--command is no list of words"), hint=tr("example: {option}", option=example))
    return _checked(words, python)


def _no_command(found: Found) -> Refused:
    shell = next((candidate for candidate in found.commands if candidate.line), None)
    message = tr("no command that starts the trainer was found")
    if shell:
        message = tr("{source} needs a shell, and no shell reads the runbook", source=shell.source)
    return Refused(
        message,
        state=_unwritten(),
        hint=tr("give the words of the command: atftctl init -- python train.py"),
        lines=(shell.line[:200],) if shell else (),
    )
