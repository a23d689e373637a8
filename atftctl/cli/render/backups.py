"""Snapshots as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from atftctl.cli.render.console import table
from atftctl.cli.render.result import coloured_diff, result, timeline
from atftctl.cli.terminal import say
from atftctl.domain.result import Result
from atftctl.domain.text import size_text

MOST = 20  # files or tensors; the rest is counted


class _Tensor(TypedDict, total=False):
    """One tensor of a model that differs."""

    name: str
    shape: Sequence[int]
    old_shape: Sequence[int]
    norm: float
    relative: float | None


class _Model(TypedDict, total=False):
    """How two versions of a model differ."""

    error: str
    same: int
    changed: list[_Tensor]
    added: list[_Tensor]
    removed: list[_Tensor]
    reshaped: list[_Tensor]


class _Code(TypedDict, total=False):
    """How the code of two snapshots differs."""

    old: str
    new: str
    dirty: tuple[bool, bool]
    added: list[str] | None
    taken_back: list[str] | None
    patches: list[str]


def snapshots(one: Result) -> None:
    rows = [
        (
            row["id"],
            row["label"],
            ", ".join(
                word
                for word, there in (
                    ("DAMAGED", row["damage"]),
                    ("verified-good", row["verified_good"]),
                    ("pinned", row["pinned"]),
                )
                if there
            ),
            f"{len(row['files']):,} files, {size_text(row['bytes'])}",
            row["reason"],
        )
        for row in one.data["snapshots"]
    ]
    if rows:
        table(("snapshot", "label", "state", "", "reason"), rows)
    else:
        say("no snapshot yet: atftctl backup")
    harm = {row["id"]: row["damage"] for row in one.data["snapshots"] if row["damage"]}
    for name, why in (one.data["damaged"] | harm).items():
        say(f"damaged: {name}: {why}", "red")
    if one.data["made_by_cp"]:
        say("copies made by cp, without a hash; atftctl restore PATH takes one back:", "bold")
        for row in one.data["made_by_cp"]:
            age = (
                "" if row["stamp"] else f", of unknown age (last written {row['modified'][:16].replace('T', ' ')} UTC)"
            )
            say(f"  {row['path']}  {size_text(row['size'])}{age}")


def snapshot(found: Result) -> None:
    data = found.data
    say(f"{found.headline}{'  ' + data['label'] if data['label'] else ''}", "bold")
    baseline = data["baseline"]
    rows = {
        "taken": f"{data['created'][:19].replace('T', ' ')} UTC by {data['operator']}",
        "reason": data["reason"],
        "state": _state(found),
        "code": _commit(found),
        "baseline": baseline
        and f"RankIC {baseline['rankic']:.4f} over {baseline['dates']} dates, {baseline['memory_mb']:.0f} MB, "
        f"{baseline['step_s'] * 1000:.0f} ms a step (recorded {baseline['recorded'][:10]})",
        "runbook": data["runbook_sha256"][:12],
        "config": data["config_digest"][:12],
        "folder": data["folder"],
    }
    for name, words in rows.items():
        if words:
            say(f"  {name.ljust(9)} {words}")
    for file in data["files"][:MOST]:
        damaged = file["zip"] not in ("", "whole")
        note = f"  was damaged already: {file['zip']}" if damaged else ""
        say(
            f"  {file['sha256'][:12]}  {size_text(file['size']).rjust(12)}  {file['path']}{note}",
            "yellow" if note else "",
        )
    _more(len(data["files"]), "files")
    for path, why in list(data["left_out"].items())[:MOST]:
        say(f"  left out: {path}: {why}", "dim")
    for name, words in (data["passed"] or {}).get("checks", {}).items():
        say(f"  passed: {name}: {words}", "green")


def _state(found: Result) -> str:
    data = found.data
    words = [f"verified-good (passed {data['passed']['at'][:16]})"] if data["passed"] else ["not verified"]
    return ", ".join(words + (["pinned"] if data["pinned"] else []))


def _commit(found: Result) -> str:
    data = found.data
    if not data["commit"]:
        return ""
    changed = "; its changes are in code.diff" if data["code_diff"] else "; with changes" if data["dirty"] else ""
    return f"{data['commit'][:12]}{changed}"


def diff(found: Result) -> None:
    data = found.data
    say(found.headline, "bold")
    for name, words in data["files"].items():
        say(f"  {name}")
        for line in [] if name in data["models"] else words:
            say(f"      {line}")
        if name in data["models"]:
            _tensors(data["models"][name], words)
    coloured_diff(data["lines"])
    _code(data["code"])
    timeline(found.parts)


def _tensors(model: _Model, words: list[str]) -> None:
    if "error" in model:
        say(f"      {words[0]}; not compared by tensor: {model['error']}", "yellow")
        return
    changed = model["changed"]
    say(f"      {len(changed)} tensors changed, {model['same']} are the same")
    for one_ in changed[:MOST]:
        relative = f" ({one_['relative']:.2%} of the old norm)" if one_["relative"] is not None else ""
        say(f"        {one_['name']} {one_['shape']}: changed by {one_['norm']:.4g}{relative}")
    _more(len(changed), "tensors")
    others = {"added": model["added"], "removed": model["removed"], "reshaped": model["reshaped"]}
    for word, tensors in others.items():
        for one_ in tensors:
            old = f" from {one_['old_shape']}" if "old_shape" in one_ else ""
            say(f"        {word}: {one_['name']} {one_['shape']}{old}")


def _code(code: _Code) -> None:
    old, new = code["old"][:12] or "no commit", code["new"][:12] or "no commit"
    changed = [word for word, dirty in zip(("the old one", "the new one"), code["dirty"], strict=True) if dirty]
    with_changes = f" ({' and '.join(changed)} with changes not committed)" if changed else ""
    say(f"  code: {old if old == new else f'{old} → {new}'}{with_changes}")
    for sign, lines in (("+", code.get("added")), ("-", code.get("taken_back"))):
        for line in lines or []:
            say(f"      {sign} {line}")
    for path in code["patches"]:
        say(f"      {path}")


def prune(found: Result) -> None:
    result(found)
    kept = {name: why for name, why in found.data.get("kept", {}).items() if why}
    for name, why in list(kept.items())[-MOST:]:
        say(f"  stays: {name}: {', '.join(why)}", "dim")


def _more(count: int, words: str) -> None:
    if count > MOST:
        say(f"  and {count - MOST:,} more {words}; --json lists all")
