"""Snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from atftctl.cli.render.ages import age, moment
from atftctl.cli.render.console import FAIL, OK, say, say_marked
from atftctl.cli.render.history import MOST, say_more
from atftctl.cli.render.plan import ALL, show_diff
from atftctl.cli.render.result import plain, timeline
from atftctl.cli.render.tables import show_fields, show_table
from atftctl.cli.render.translation import localize
from atftctl.domain.result import Result
from atftctl.domain.text import size_text
from atftctl.protocol.messages import joined, tr


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


def snapshots(result: Result) -> None:
    """One row a snapshot, the oldest first; then what is damaged, and the copies made by cp."""
    rows = [
        (
            row["id"],
            age(row["created"]),
            size_text(row["bytes"]),
            row["label"],
            _marks(damaged=bool(row["damage"]), good=bool(row["verified_good"]), pinned=bool(row["pinned"])),
            row["reason"],
        )
        for row in result.data["snapshots"]
    ]
    if rows:
        show_table((tr("snapshot"), tr("taken"), tr("size"), tr("label"), tr("state"), tr("reason")), rows)
    else:
        say(tr("no snapshot yet: atftctl backup"))
    damage = {row["id"]: row["damage"] for row in result.data["snapshots"] if row["damage"]}
    for name, why in (result.data["damaged"] | damage).items():
        say_marked(FAIL, tr("damaged: {snapshot}: {reason}", snapshot=name, reason=why), "bad")
    if result.data["made_by_cp"]:
        say(tr("Copies made by cp, without a hash. atftctl restore PATH restores one:"), "strong")
    for row in result.data["made_by_cp"]:
        size = size_text(row["size"])
        text = tr("{path}  {size}", path=row["path"], size=size)
        if not row["stamp"]:
            written = moment(row["modified"])
            text = tr("{path}  {size}, of unknown age (last written {time})", path=row["path"], size=size, time=written)
        say(text, lead="  ", hang=4)


def _marks(*, damaged: bool, good: bool, pinned: bool) -> str:
    marks = ((tr("DAMAGED"), damaged), (tr("verified-good"), good), (tr("pinned"), pinned))
    return joined(", ", [mark for mark, holds in marks if holds])


def snapshot(result: Result) -> None:
    """When and why it was taken, its state, code and baseline, its files, the checks that it passed."""
    data = result.data
    say(
        tr("{headline}  {label}", headline=result.headline, label=data["label"]) if data["label"] else result.headline,
        "strong",
    )
    show_fields(
        [
            (
                tr("taken"),
                tr(
                    "{time} by {operator} ({age})",
                    time=moment(data["created"]),
                    operator=data["operator"],
                    age=age(data["created"]),
                ),
            ),
            (tr("reason"), data["reason"]),
            (tr("state"), _state(result)),
            (tr("code"), _commit(result)),
            (tr("baseline"), _baseline(result)),
            (tr("runbook"), data["runbook_sha256"][:12]),
            (tr("config"), data["config_digest"][:12]),
            (tr("folder"), data["folder"]),
        ]
    )
    for file in data["files"][:MOST]:
        damaged = file["zip"] not in ("", "whole")
        path = file["path"]
        text = tr("{path}  was damaged already: {damage}", path=path, damage=file["zip"]) if damaged else path
        size = localize(size_text(file["size"])).rjust(12)
        say(text, "warn" if damaged else "", lead=f"  {file['sha256'][:12]}  {size}  ")
    say_more(len(data["files"]))
    for path, why in list(data["left_out"].items())[:MOST]:
        say(tr("left out: {path}: {reason}", path=path, reason=why), "quiet", lead="  ", hang=4)
    for name, detail in (data["passed"] or {}).get("checks", {}).items():
        say_marked(OK, tr("{check}: {detail}", check=name, detail=detail), "good")


def _state(result: Result) -> str:
    passed = result.data["passed"]
    states = [tr("verified-good (passed {time})", time=moment(passed["at"])) if passed else tr("not verified")]
    return joined(", ", states + ([tr("pinned")] if result.data["pinned"] else []))


def _commit(result: Result) -> str:
    data, commit = result.data, result.data["commit"][:12]
    if commit and data["code_diff"]:
        return tr("{commit}; its uncommitted changes are in code.diff", commit=commit)
    if commit and data["dirty"]:
        return tr("{commit}, with uncommitted changes", commit=commit)
    return str(commit)


def _baseline(result: Result) -> str:
    baseline = result.data["baseline"]
    if not baseline:
        return ""
    return tr(
        "RankIC {rankic:.4f} over {dates} dates, {memory:.0f} MB, {step:.0f} ms a step (recorded {date})",
        rankic=baseline["rankic"],
        dates=baseline["dates"],
        memory=baseline["memory_mb"],
        step=baseline["step_s"] * 1000,
        date=baseline["recorded"][:10],
    )


def diff(result: Result) -> None:
    """Each file that differs: configs by key and line, models by tensor; then the code."""
    data = result.data
    say(result.headline, "strong")
    for name, lines in data["files"].items():
        say(name, lead="  ")
        for line in [] if name in data["models"] else lines:
            say(line, lead="      ", hang=8)
        if name in data["models"]:
            _tensors(data["models"][name], lines)
    show_diff(data["lines"], ALL)
    _code(data["code"])
    timeline(result.parts)


def _tensors(model: _Model, lines: list[str]) -> None:
    if "error" in model:
        say(tr("{text}; not compared by tensor: {error}", text=lines[0], error=model["error"]), "warn", lead="      ")
        return
    changed = model["changed"]
    say(tr("{changed} tensors changed, {same} are the same", changed=len(changed), same=model["same"]), lead="      ")
    for tensor in changed[:MOST]:
        values: dict[str, object] = {"name": tensor["name"], "shape": tensor["shape"], "norm": tensor["norm"]}
        relative = tensor["relative"]
        if relative is None:
            say(tr("{name} {shape}: changed by {norm:.4g}", **values), lead="        ")
        else:
            text = tr(
                "{name} {shape}: changed by {norm:.4g} ({relative:.2%} of the old norm)", relative=relative, **values
            )
            say(text, lead="        ")
    say_more(len(changed))
    for tensor in model["added"]:
        say(tr("added: {name} {shape}", name=tensor["name"], shape=tensor["shape"]), lead="        ")
    for tensor in model["removed"]:
        say(tr("removed: {name} {shape}", name=tensor["name"], shape=tensor["shape"]), lead="        ")
    for tensor in model["reshaped"]:
        values = {"name": tensor["name"], "new": tensor["shape"], "old": tensor["old_shape"]}
        say(tr("reshaped: {name} from {old} to {new}", **values), lead="        ")


def _code(code: _Code) -> None:
    old, new = code["old"][:12] or tr("no commit"), code["new"][:12] or tr("no commit")
    text = tr("code: {commit}", commit=old) if old == new else tr("code: {old} → {new}", old=old, new=new)
    say(text, lead="  ", hang=4)
    for side, dirty in zip((tr("the old one"), tr("the new one")), code["dirty"], strict=True):
        if dirty:
            say(tr("{side} has uncommitted changes", side=side), lead="      ")
    for sign, lines in (("+", code.get("added")), ("-", code.get("taken_back"))):
        for line in lines or []:
            say(line, lead=f"      {sign} ")
    for path in code["patches"]:
        say(path, lead="      ")


def prune(result: Result) -> None:
    """What goes; then what stays, and why."""
    plain(result)
    kept = {name: why for name, why in result.data.get("kept", {}).items() if why}
    for name, why in list(kept.items())[-MOST:]:
        say(tr("stays: {snapshot}: {reasons}", snapshot=name, reasons=joined(", ", why)), "quiet", lead="  ", hang=4)
