"""What was done, as people read it."""

from __future__ import annotations

from atftctl.cli.render.console import table
from atftctl.cli.render.result import coloured_diff
from atftctl.cli.terminal import say
from atftctl.domain.result import Result

MOST = 20  # files; the rest is counted


def operations(one: Result) -> None:
    rows = [
        (
            row["operation"],
            row["command"],
            row.get("outcome", ""),
            row.get("operator", ""),
            row.get("reason") or row.get("title", ""),
        )
        for row in one.data["operations"]
    ]
    table(("operation", "command", "outcome", "operator", "reason"), rows) if rows else say("no operation yet")


def operation(one: Result) -> None:
    """Who, why, what was planned, what changed, how long it took, what came of it, where the evidence is."""
    data = one.data
    say(one.headline, "bold")
    rows = {
        "by": data.get("operator", ""),
        "reason": data.get("reason", ""),
        "from": str(data.get("started", "")).replace("T", " "),
        "to": str(data.get("ended", "")).replace("T", " "),
        "outcome": f"{data.get('outcome', '?')} (exit {data.get('exit_code', '?')})",
        "verdict": _verdict(one),
        "snapshot": data.get("snapshot", ""),
    }
    for name, words in rows.items():
        if words:
            say(f"  {name.ljust(9)} {words}")
    for number, step in enumerate(data["steps"], 1):
        say(f"  {number}. {step}")
    for file in data.get("files", [])[:MOST]:
        old, new = (str(file[side] or "no file")[:12] for side in ("old", "new"))
        say(f"  {file['path']}: {old} → {new}")
    if len(data.get("files", [])) > MOST:
        say(f"  and {len(data['files']) - MOST:,} more files; --json lists all")
    coloured_diff(data["diff"])
    parts = data.get("parts") or {}
    if parts:
        words = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items() if seconds >= 0.005)
        say(f"  took {sum(parts.values()):.2f} s ({words})", "dim")
    evidence = data["evidence"]
    if evidence["files"]:
        say(f"  evidence: {evidence['folder']}: {', '.join(evidence['files'])}")


def _verdict(ended: Result) -> str:
    data = ended.data
    seen = data.get("first_step") or {}
    proof = f"{seen.get('event')} at step {seen.get('step')} with config {str(seen.get('digest'))[:12]}" if seen else ""
    return str(data.get("verdict") or proof or data.get("error", ""))
