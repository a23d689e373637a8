"""Past operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atftctl.cli.render.ages import age
from atftctl.cli.render.console import say
from atftctl.cli.render.plan import ALL, show_diff
from atftctl.cli.render.tables import show_fields, show_table
from atftctl.cli.render.translation import localize
from atftctl.domain.proof import proof_texts
from atftctl.domain.result import Result
from atftctl.domain.text import moment
from atftctl.protocol.messages import tr, trn

MOST = 20  # of a list; the others are counted

if TYPE_CHECKING:
    from atftctl.operations.report.history import HistoryLine


def operations(result: Result) -> None:
    """One row an operation, the newest first."""
    from atftctl.operations.report.history import HistoryData

    data = result.data
    assert isinstance(data, HistoryData)
    rows = [
        (
            row["operation"],
            age(str(row.get("started", ""))),
            row["command"],
            row.get("outcome", ""),
            row.get("operator", ""),
            row.get("reason") or row.get("title", ""),
        )
        for row in reversed(data.operations)
    ]
    if rows:
        head = (tr("operation"), tr("started"), tr("command"), tr("outcome"), tr("operator"), tr("reason or title"))
        show_table(head, rows)
    else:
        say(tr("no operation yet"))


def operation(result: Result) -> None:
    """Who, why, what was planned, what changed, how long it took, what came of it, where the evidence is."""
    from atftctl.operations.report.history import ShowData

    data = result.data
    assert isinstance(data, ShowData)
    entry = data.entry
    say(result.headline, "strong")
    outcome = tr("{outcome} (exit code {code})", outcome=entry.get("outcome", "?"), code=entry.get("exit_code", "?"))
    fields = [
        (tr("by"), entry.get("operator", "")),
        (tr("asked by"), tr("the watcher (watch --auto)") if (entry.get("about") or {}).get("watch") else ""),
        (tr("reason"), entry.get("reason", "")),
        (tr("started"), _moment(entry.get("started"))),
        (tr("ended"), _moment(entry.get("ended"))),
        (tr("outcome"), outcome),
        (tr("verdict"), _verdict(entry)),
        (tr("generation"), str(entry.get("generation", ""))),
        (tr("forced"), str((entry.get("about") or {}).get("forced", ""))),
        (tr("snapshot"), entry.get("snapshot", "")),
    ]
    show_fields(fields)
    for number, step in enumerate(data.steps, 1):
        say(step, lead=f"  {number}. ")
    for line in _gate(entry):
        say(line, lead="  ", hang=4)
    _files(entry)
    if data.diff:
        show_diff(data.diff, ALL)
    parts = entry.get("parts") or {}
    if parts:
        each = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items() if seconds >= 0.005)
        say(tr("took {total:.2f} s ({each})", total=sum(parts.values()), each=each), "quiet", lead="  ", hang=4)
    evidence = data.evidence
    if evidence.files:
        say(
            tr("evidence: {folder}: {files}", folder=evidence.folder, files=", ".join(evidence.files)),
            lead="  ",
            hang=4,
        )


def _gate(entry: HistoryLine) -> list[str]:
    """What the gate of a phase saw."""
    lines = (entry.get("about") or {}).get("gate")
    return [tr("gate: {line}", line=line) for line in lines[:MOST]] if isinstance(lines, list) else []


def _files(entry: HistoryLine) -> None:
    files = entry.get("files", [])
    for file in files[:MOST]:
        old, new = (file[side][:12] if file[side] else tr("no file") for side in ("old", "new"))
        say(tr("{path}: {old} → {new}", path=file["path"], old=old, new=new), lead="  ", hang=4)
    say_more(len(files))


def say_more(count: int) -> None:
    """How many of a list are not shown."""
    if count > MOST:
        say(trn("and {count} more; --json lists all", "and {count} more; --json lists all", count - MOST), lead="  ")


def _moment(written: object) -> str:
    if not written:
        return ""
    ago = age(str(written))
    return f"{moment(str(written))} ({localize(ago)})" if ago else str(written)


def _verdict(entry: HistoryLine) -> str:
    seen = entry.get("first_step") or {}
    proof = next(iter(proof_texts(entry.get("proof") or {})), "")
    if seen:
        proof = tr(
            "{event} at step {step} with config {digest}",
            event=seen.get("event"),
            step=seen.get("step"),
            digest=str(seen.get("digest"))[:12],
        )
    return entry.get("verdict") or proof or entry.get("error") or ""
