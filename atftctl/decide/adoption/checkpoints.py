"""Which files are the trainer's checkpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atftctl.decide.adoption.measures import numbers_out
from atftctl.domain.adoption import Entry, Saved

SUFFIXES = (".ckpt", ".safetensors", ".pt", ".pth")
FOLDER = re.compile(r"(?:^|/)(?:checkpoint[-_]\d+|global_step\d+|(?:step|epoch)[-_=]\d+)$")
NUMBER = re.compile(r"\d+")
KNOWN = {"checkpoint", "checkpoints", "ckpt", "ckpts", "model", "models", "weights", "output", "outputs", "saved"}
DATA = {"data", "dataset", "datasets", "tests", "test", "fixtures", "pretrained", "assets", "docs", "examples", "cache"}


def is_checkpoint(path: str) -> bool:
    """Does a file of this name hold the weights of a model, and no data?"""
    return path.lower().endswith(SUFFIXES) and not DATA & set(path.lower().split("/")[:-1])


def is_folder(path: str) -> bool:
    """Is a folder of this name a checkpoint of its own?"""
    return bool(FOLDER.search(path.lower())) and not DATA & set(path.lower().split("/")[:-1])


def choose(entries: Sequence[Entry], named: Sequence[str]) -> Saved:
    """The checkpoints of the likeliest folder: `last` by its name, else the newest. `named`: files that the operator
    named: only these, the first of them the last one."""
    if named:
        best = next((path for path in named if "best" in path.lower()), "")
        last = next((path for path in named if path != best), best)
        return Saved(last, best, "", tuple(named), numbered=False)
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.path.rpartition("/")[0], []).append(entry)
    if not groups:
        return Saved()
    ranked = sorted(groups, key=lambda folder: (_score(folder, groups[folder]), folder), reverse=True)
    saved = _of_group(ranked[0], groups[ranked[0]])
    others = [entry.path for folder in ranked[1:] for entry in groups[folder]]
    return Saved(saved.last, saved.best, saved.history, saved.models, tuple(others), saved.numbered)


def _score(folder: str, entries: Sequence[Entry]) -> tuple[int, float]:
    names = " ".join(entry.path.rpartition("/")[2].lower() for entry in entries)
    known = bool(KNOWN & set(folder.lower().split("/"))) or any(entry.folder for entry in entries)
    return 2 * ("last" in names or "latest" in names) + ("best" in names) + 2 * known, max(
        entry.written for entry in entries
    )


def _of_group(folder: str, entries: Sequence[Entry]) -> Saved:
    newest = sorted(entries, key=lambda entry: (entry.written, entry.path), reverse=True)
    best = next((entry for entry in newest if "best" in _name(entry)), None)
    rest = [entry for entry in newest if entry is not best]
    named = next((entry for entry in rest if re.search(r"last|latest", _name(entry))), None)
    last = named or next(iter(rest), best)
    if last is None:
        return Saved()
    several = sum(bool(NUMBER.search(_name(entry))) for entry in rest) > 1
    numbered = named is None and bool(NUMBER.search(_name(last)))
    newest_path = numbers_out(last.path) if numbered else last.path
    models = tuple(dict.fromkeys((*((best.path,) if best else ()), newest_path)))
    return Saved(last.path, best.path if best else "", folder if several and folder else "", models, (), numbered)


def _name(entry: Entry) -> str:
    return entry.path.rpartition("/")[2].lower()
