"""Look through a project that has no runbook: its files, and the processes that run in it. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from atftctl.decide.adoption import checkpoints, commands, config_files, measures
from atftctl.domain.adoption import Candidate, Entry, Found, MetricsFile, Speaks
from atftctl.host.files.walk import Bounds, Walked, walk
from atftctl.host.process.commands import commands_in
from atftctl.observe.adoption.reading import (
    MOST_BYTES,
    configs,
    entries,
    head,
    header,
    interpreter,
    json_object,
    keys,
    stays_inside,
    toml_tables,
)

SKIP = frozenset((
    "node_modules", "__pycache__", "site-packages", "venv", "env", "virtualenv", "dist", "build", "target", "vendor",
    "third_party", "backups", "mlruns", "wandb", "htmlcov", "cache", "run",
))  # fmt: skip
MOST_TABLES = 40  # files that may hold metrics
LOG_FOLDERS = {"logs", "log", "lightning_logs", "runs", "tb_logs", "tensorboard"}
TABLE = re.compile(r"\.(?:csv|jsonl|ndjson)$")
EVENTS = "events.out.tfevents."
HOOKS = re.compile(r"\batftctl\.hooks\b|\bfrom atftctl import hooks\b|\bfrom reporter import Reporter\b")
IN_DATA = re.compile(r"(?:^|/)(?:data|datasets?|tests?|fixtures|docs|node_modules)/")


def look(root: Path, bounds: Bounds | None = None) -> Found:
    """Everything that the first runbook is made from. `root`: a real path."""
    walked = walk(root, bounds or Bounds(skip=SKIP))
    python = interpreter(root)
    names = config_files.by_name(walked.files)
    return Found(
        files=len(walked.files),
        configs=tuple(configs(root, names)),
        checkpoints=tuple(_checkpoints(root, walked)),
        logs=tuple(entries(root, filter(_is_log, walked.files))),
        log_folders=tuple(folder for folder in walked.folders if folder.rpartition("/")[2].lower() in LOG_FOLDERS),
        metrics=tuple(_metrics(root, walked.files)),
        commands=tuple(commands.ranked(_commands(root, walked.files, python))),
        python=python,
        uncounted=tuple(folder or "." for folder in walked.uncounted),
        strange=walked.strange,
        git=any((folder / ".git").exists() for folder in (root, *root.parents)),
        speaks=_speaks(root, walked.files),
        outputs=tuple(head(root / path) for path in walked.files if path.endswith(".out") and _is_log(path)),
    )


def _checkpoints(root: Path, walked: Walked) -> Iterator[Entry]:
    folders = [folder for folder in walked.folders if checkpoints.is_folder(folder)]
    inside = tuple(f"{folder}/" for folder in folders)
    links = [link for link in walked.links if checkpoints.is_checkpoint(link) and stays_inside(root, link)]
    files = [path for path in (*walked.files, *links) if checkpoints.is_checkpoint(path)]
    yield from entries(root, (path for path in files if not path.startswith(inside)))
    yield from entries(root, folders, folder=True)


def _is_log(path: str) -> bool:
    return bool(measures.LOG_NAME.search(path)) and path.count("/") <= 2 and not IN_DATA.search(path)


def _metrics(root: Path, files: Sequence[str]) -> Iterator[MetricsFile]:
    tables = [path for path in files if TABLE.search(path) and not IN_DATA.search(path)]
    tables.sort(key=lambda path: ("metric" not in path, "log" not in path, path.count("/"), path))
    newest = sorted(entries(root, tables[: 4 * MOST_TABLES]), key=lambda entry: -entry.written)
    for entry in newest[:MOST_TABLES]:
        kind, columns = ("csv", header(root / entry.path)) if entry.path.endswith(".csv") else (
            "jsonl", keys(root / entry.path),
        )  # fmt: skip
        if measures.holds_metrics(columns):
            yield MetricsFile(entry.path, "csv" if kind == "csv" else "jsonl", entry.written, columns)
    for entry in entries(root, (path for path in files if path.rpartition("/")[2] == "trainer_state.json")):
        yield MetricsFile(entry.path, "huggingface", entry.written)
    for entry in entries(root, (path for path in files if path.rpartition("/")[2].startswith(EVENTS))):
        yield MetricsFile(entry.path, "tensorboard", entry.written)


def _commands(root: Path, files: Sequence[str], python: str) -> Iterator[Candidate]:
    yield from commands.of_processes(commands_in(root))
    for name in ("Makefile", "makefile", "GNUmakefile"):
        yield from commands.of_makefile(head(root / name, MOST_BYTES), python)
    tables = toml_tables(root / "pyproject.toml")
    for place in (
        ("project", "scripts"),
        ("tool", "poetry", "scripts"),
        ("tool", "pdm", "scripts"),
        ("tool", "poe", "tasks"),
    ):
        yield from commands.of_scripts(_inner(tables, place), "pyproject.toml", python)
    yield from commands.of_scripts(_inner(json_object(root / "package.json"), ("scripts",)), "package.json", python)
    yield from commands.of_files(files, python)


def _inner(value: Any, keys: Sequence[str]) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _speaks(root: Path, files: Sequence[str]) -> Speaks:
    """With which hooks of atftctl a program at the top of the project speaks; also those that were copied into it."""
    speaks: Speaks = ""
    for path in [path for path in files if path.endswith(".py") and path.count("/") <= 1][:200]:
        text = head(root / path)
        if re.search(r"^[^#\n]*\bRollbackCallback\(\w", text, re.MULTILINE) and "class RollbackCallback" not in text:
            return "callback"
        if HOOKS.search(text) and "class Reporter" not in text:
            speaks = "reporter"
    return speaks
