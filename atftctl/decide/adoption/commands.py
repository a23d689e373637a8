"""Which command starts the trainer: what Makefiles, project files and running processes say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from atftctl.decide.adoption.guarded import guard_at, options_end
from atftctl.domain.adoption import Candidate
from atftctl.domain.errors import UsageError
from atftctl.protocol.messages import tr

TRAINS = re.compile(r"(?:^|[^a-z])(?:pre)?train(?:er|ing)?(?:[^a-z]|$)|(?:^|[^a-z])(?:fit|finetune)(?:[^a-z]|$)")
PROGRAM = re.compile(r"(?:^|/)(?:pre)?(?:train|run_train|finetune|fit)\w*\.py$")
MAIN = re.compile(r"(?:^|/)(?:main|run)\.py$")
SHELL = re.compile(r"[|&;<>`\n]|\$[({A-Za-z_]|[*?](?=\S*\.\w)")
# Texts in quotes, in which no shell (and no make) replaces anything, and characters behind a backslash.
QUOTED = re.compile(r"""\\[^$]|'(?:[^'$]|\$(?![({A-Za-z_]))*'|"(?:[^"$`\\]|\\.|\$(?![({A-Za-z_]))*\"""")
PYTHON = re.compile(r"(?:^|/)python[0-9.]*$")
LAUNCHERS = ("torchrun", "accelerate", "deepspeed", "python", "uv", "poetry")
VARIABLE = re.compile(r"\$[({](?:PY|PYTHON|PYTHON3|python|PYTHON_INTERPRETER)[)}]")
NOT_TRAINERS = ("tensorboard", "jupyter", "ipykernel", "pytest", "atftctl", "pip", "mypy", "ruff", "vim", "code")
RULE = re.compile(r"([A-Za-z0-9_.-]+)\s*:(?![:=])")


def words_of(line: str, python: str) -> tuple[str, ...]:
    """The words of a command line that needs no shell. Raises UsageError for one that does, with the list form."""
    text = line.strip()
    if not SHELL.search(QUOTED.sub("q", text)) and not re.match(r"[A-Za-z_]\w*=", text):
        try:
            return with_python(shlex.split(text), python)
        except ValueError:
            pass
    raise UsageError(
        tr("this command is a shell line, and no shell reads the runbook: {line}", line=text[:200]),
        hint=tr("give the words of the trainer's own command: {example}", example=_example(text, python)),
        lines=tuple(_advice(text)),
    )


def with_python(words: Sequence[str], python: str) -> tuple[str, ...]:
    """The words with the interpreter of the project in the place of a bare `python`, also behind `atftctl guard`."""
    starts = (0, options_end(words))
    return tuple(python if at in starts and word in ("python", "python3") else word for at, word in enumerate(words))


def _advice(text: str) -> Iterator[str]:
    if re.match(r"cd\s", text):
        yield tr("cd: the trainer starts in the project's folder; run init in the folder that it is to start in")
    if re.match(r"[A-Za-z_]\w*=|export\s", text):
        yield tr("NAME=VALUE: leave it out, and write the variable into the runbook, under trainer.env")
    if ">" in text or "|" in text:
        yield tr("> and |: atftctl keeps the output itself, in logs/trainer.out")


def _example(text: str, python: str) -> str:
    """The list form of the part that is the trainer's own command, as an option to paste."""
    parts = [part.strip() for part in re.split(r"&&|\|\||[;|\n]|(?<!&)&(?!&)", text)]
    kept = [part for part in parts if part and not re.match(r"(?:cd|export|source|\.|tee|mkdir|nohup$)\s", part)]
    main = next((part for part in kept if "python" in part or ".py" in part), kept[0] if kept else "python train.py")
    main = re.sub(r"\s*\d?>+\s*&?\S*|\s*<\s*\S+", "", main)
    try:
        words = shlex.split(main)
    except ValueError:
        words = ["python", "train.py"]
    while words and (re.match(r"[A-Za-z_]\w*=", words[0]) or words[0] == "nohup"):
        words = words[1:]
    return "atftctl init -- " + shlex.join(words if words and words[0] != python else ["python", "train.py"])


def of_makefile(text: str, python: str) -> list[Candidate]:
    """The commands of targets that train."""
    candidates, target = [], ""
    for line in text.replace("\\\n", " ").splitlines():
        if match := RULE.match(line):
            target = match[1]
        elif line.startswith("\t") and TRAINS.search(target.lower()):
            recipe = VARIABLE.sub("python", line.strip().lstrip("@-+").strip())
            if recipe and not recipe.startswith(("#", "echo ", "mkdir ")) and _may_train(recipe):
                candidates.append(_candidate(recipe, tr("Makefile, target {target}", target=target), 30, python))
    return candidates


def of_scripts(scripts: Mapping[str, Any], file: str, python: str) -> list[Candidate]:
    """The scripts of a project file that train. `scripts`: command lines by name; of a Python project, entry points
    (`module:function`), which are installed as programs."""
    candidates = []
    for name, value in scripts.items():
        line = value.get("cmd") or value.get("shell") if isinstance(value, dict) else value
        if not isinstance(line, str) or not TRAINS.search(str(name).lower()):
            continue
        installed = re.fullmatch(r"[\w.]+:[\w.]+", line)
        source = tr("{file}, script {name}", file=file, name=str(name))
        candidates.append(_candidate(str(name) if installed else line, source, 25, python))
    return candidates


def of_processes(lines: Iterable[Sequence[str]]) -> list[Candidate]:
    """The processes of the project's folder that look like a trainer; workers that it started look the same."""
    candidates: dict[tuple[str, ...], Candidate] = {}
    for words in lines:
        text = " ".join(words)
        under_guard = guard_at(words) is not None
        if not all(word.isprintable() for word in words) or (
            any(name in text for name in NOT_TRAINERS) and not under_guard
        ):
            continue
        if "--multiprocessing-fork" in words or "-c" in words[:3]:
            continue
        if _may_train(text.lower()) and (PYTHON.search(words[0]) or words[0].rpartition("/")[2] in LAUNCHERS):
            likely = (50 if TRAINS.search(text.lower()) else 20) + 5 * under_guard  # its child is the program alone
            candidates[tuple(words)] = Candidate(tuple(words), tr("a running process"), likely, text)
    return list(candidates.values())


def of_files(paths: Iterable[str], python: str) -> list[Candidate]:
    """Programs whose names say that they train, the shallowest first."""
    candidates = []
    for path in paths:
        depth = path.count("/")
        score = 20 if PROGRAM.search(path) else 8 if MAIN.search(path) else 0
        if score and depth <= 3 and not re.search(r"(?:^|/)(?:tests?|docs|examples?)/", path):
            exact = 3 if path.rpartition("/")[2] == "train.py" else 0
            words = (python, path)
            candidates.append(Candidate(words, tr("the file {path}", path=path), score + exact - 3 * depth, path))
    return candidates


def _may_train(text: str) -> bool:
    """Is this the command line of a program, and not of something beside it?"""
    return ".py" in text or "-m " in text or any(re.search(rf"(?:^|/){name}\b", text) for name in LAUNCHERS)


def _candidate(line: str, source: Any, score: int, python: str) -> Candidate:
    try:
        return Candidate(words_of(line, python), source, score, line)
    except UsageError:
        return Candidate((), source, score - 10, line)


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates, the likeliest first, each command once."""
    unique: dict[tuple[str, ...] | str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: -candidate.score):
        unique.setdefault(candidate.words or candidate.line, candidate)
    return list(unique.values())


def command_line(words: Sequence[str]) -> str:
    """The words as people type them; the interpreter of atftctl by its name in the runbook."""
    return " ".join(word if word == "{python}" else shlex.quote(word) for word in words)
