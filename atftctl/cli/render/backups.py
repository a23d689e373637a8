"""Snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from atftctl.cli.render.ages import age
from atftctl.cli.render.console import FAIL, OK, say, say_marked
from atftctl.cli.render.history import MOST, say_more
from atftctl.cli.render.plan import ALL, show_diff
from atftctl.cli.render.result import plain, timeline
from atftctl.cli.render.tables import show_fields, show_table
from atftctl.cli.render.translation import localize
from atftctl.domain.baseline_text import figures
from atftctl.domain.checks import title_of
from atftctl.domain.result import Result
from atftctl.domain.text import moment, size_text
from atftctl.protocol.messages import joined, tr

if TYPE_CHECKING:
    from atftctl.operations.backup.catalog import BackupShowData, CopyMadeByCp
    from atftctl.operations.backup.diff import CodeDiff, ModelDiff


def snapshots(result: Result) -> None:
    """One row a snapshot, the oldest first; then what is damaged, and the copies made by cp."""
    from atftctl.operations.backup.catalog import BackupListData

    data = result.data
    assert isinstance(data, BackupListData)
    rows = [
        (
            row.id,
            age(row.created),
            size_text(row.bytes),
            row.label,
            _marks(damaged=bool(row.damage), good=row.verified_good, pinned=row.pinned),
            row.reason,
        )
        for row in data.snapshots
    ]
    if rows:
        show_table((tr("snapshot"), tr("taken"), tr("size"), tr("label"), tr("state"), tr("reason")), rows)
    else:
        say(tr("no snapshot yet; take one: atftctl backup"))
    damage = {row.id: row.damage for row in data.snapshots if row.damage}
    for name, why in ({**data.damaged, **damage}).items():
        say_marked(FAIL, tr("damaged: {snapshot}: {reason}", snapshot=name, reason=why), "bad")
    _made_by_cp(data.made_by_cp)


def _made_by_cp(copies: Sequence[CopyMadeByCp]) -> None:
    if copies:
        say(tr("Copies made by cp, without a hash. atftctl restore PATH restores one:"), "strong")
    for copy in copies:
        size = size_text(copy.size)
        text = tr("{path}  {size}", path=copy.path, size=size)
        if not copy.stamp:
            written = moment(copy.modified)
            text = tr("{path}  {size}, of unknown age (last written {time})", path=copy.path, size=size, time=written)
        say(text, lead="  ", hang=4)


def _marks(*, damaged: bool, good: bool, pinned: bool) -> str:
    marks = ((tr("DAMAGED"), damaged), (tr("verified-good"), good), (tr("pinned"), pinned))
    return joined(", ", [mark for mark, holds in marks if holds])


def snapshot(result: Result) -> None:
    """When and why it was taken, its state, code and baseline, its files, the checks that it passed."""
    from atftctl.operations.backup.catalog import BackupShowData

    data = result.data
    assert isinstance(data, BackupShowData)
    say(
        tr("{headline}  {label}", headline=result.headline, label=data.label) if data.label else result.headline,
        "strong",
    )
    taken = tr("{time} by {operator} ({age})", time=moment(data.created), operator=data.operator, age=age(data.created))
    show_fields(
        [
            (tr("taken"), taken),
            (tr("reason"), data.reason),
            (tr("state"), _state(data)),
            (tr("code"), _commit(data)),
            (tr("baseline"), _baseline(data)),
            (tr("runbook"), data.runbook_sha256[:12]),
            (tr("config"), data.config_digest[:12]),
            (tr("folder"), data.folder),
        ]
    )
    for file in data.files[:MOST]:
        damaged = file.zip not in ("", "whole")
        path = file.path
        text = tr("{path}  was damaged already: {damage}", path=path, damage=file.zip) if damaged else path
        size = localize(size_text(file.size)).rjust(12)
        say(text, "warn" if damaged else "", lead=f"  {file.sha256[:12]}  {size}  ")
    say_more(len(data.files))
    for path, why in list(data.left_out.items())[:MOST]:
        say(tr("left out: {path}: {reason}", path=path, reason=why), "quiet", lead="  ", hang=4)
    for name, detail in (data.passed.checks if data.passed else {}).items():
        say_marked(OK, tr("{check}: {detail}", check=title_of(name), detail=detail), "good")


def _state(data: BackupShowData) -> str:
    passed = data.passed
    states = [tr("verified-good (passed {time})", time=moment(passed.at)) if passed else tr("not verified")]
    return joined(", ", states + ([tr("pinned")] if data.pinned else []))


def _commit(data: BackupShowData) -> str:
    commit = data.commit[:12]
    if commit and data.code_diff:
        return tr("{commit}; its uncommitted changes are in code.diff", commit=commit)
    if commit and data.dirty:
        return tr("{commit}, with uncommitted changes", commit=commit)
    return commit


def _baseline(data: BackupShowData) -> str:
    baseline = data.baseline
    if not baseline:
        return ""
    date = tr("recorded {date}", date=str(baseline.get("recorded", ""))[:10])
    return tr("{figures} ({recorded})", figures=joined(", ", figures(baseline)), recorded=date)


def diff(result: Result) -> None:
    """Each file that differs: configs by key and line, models by tensor; then the code."""
    from atftctl.operations.backup.diff import BackupDiffData

    data = result.data
    assert isinstance(data, BackupDiffData)
    say(result.headline, "strong")
    for name, lines in data.files.items():
        say(name, lead="  ")
        for line in () if name in data.models else lines:
            say(line, lead="      ", hang=8)
        if name in data.models:
            _tensors(data.models[name], lines)
    show_diff(data.lines, ALL)
    _code(data.code)
    timeline(result.parts)


def _tensors(model: ModelDiff, lines: Sequence[str]) -> None:
    if model.error:
        say(tr("{text}; not compared by tensor: {error}", text=lines[0], error=model.error), "warn", lead="      ")
        return
    changed = model.changed
    say(tr("{changed} tensors changed, {same} are the same", changed=len(changed), same=model.same), lead="      ")
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
    for tensor in model.added:
        say(tr("added: {name} {shape}", name=tensor["name"], shape=tensor["shape"]), lead="        ")
    for tensor in model.removed:
        say(tr("removed: {name} {shape}", name=tensor["name"], shape=tensor["shape"]), lead="        ")
    for tensor in model.reshaped:
        values = {"name": tensor["name"], "new": tensor["shape"], "old": tensor["old_shape"]}
        say(tr("reshaped: {name} from {old} to {new}", **values), lead="        ")


def _code(code: CodeDiff) -> None:
    old, new = code.old[:12] or tr("no commit"), code.new[:12] or tr("no commit")
    text = tr("code: {commit}", commit=old) if old == new else tr("code: {old} → {new}", old=old, new=new)
    say(text, lead="  ", hang=4)
    for side, dirty in zip((tr("the old code"), tr("the new code")), code.dirty, strict=True):
        if dirty:
            say(tr("{side} has uncommitted changes", side=side), lead="      ")
    for sign, lines in (("+", code.added), ("-", code.taken_back)):
        for line in lines or []:
            say(line, lead=f"      {sign} ")
    for path in code.patches:
        say(path, lead="      ")


def prune(result: Result) -> None:
    """What goes; then what stays, and why."""
    plain(result)
    kept = {name: why for name, why in result.data.get("kept", {}).items() if why}
    for name, why in list(kept.items())[-MOST:]:
        say(tr("kept: {snapshot}: {reasons}", snapshot=name, reasons=joined(", ", why)), "quiet", lead="  ", hang=4)
