"""What was seen of a trainer that was started or reloaded, and what that proves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.domain.readiness import ProofKind
from atftctl.protocol.messages import tr

REPORTED = ("first-step", "reload")  # by the trainer itself, with the digest of its settings
TRAINS = (*REPORTED, "metrics")


def proof_data(kind: ProofKind, seen: Mapping[str, Any], *, checked: bool) -> dict[str, Any]:
    """A proof as JSON and the history hold it. `checked`: the settings that the trainer uses were compared with those
    of the files. `trains` is None where nothing was seen that says so."""
    return {"kind": kind, "trains": True if kind in TRAINS else None, "settings_checked": checked, "seen": dict(seen)}


def proof_texts(proof: Mapping[str, Any]) -> list[str]:
    """What was seen of a trainer that reports nothing itself, and what that does not prove, for people; [] for a proof
    that the trainer reported."""
    seen = proof.get("seen")
    seen = seen if isinstance(seen, Mapping) else {}
    match proof.get("kind"):
        case "alive":
            text = tr(
                "proof: the process is alive after {alive_s} s; atftctl can't tell whether it trains",
                alive_s=seen.get("alive_s"),
            )
        case "output":
            text = tr(
                "proof: a line of its output matches the pattern: {line}; atftctl can't tell whether it trains",
                line=seen.get("line"),
            )
        case "metrics":
            text = tr("proof: its metrics advance, and are at step {step}", step=seen.get("step"))
        case "command":
            text = tr(
                "proof: this command exited with 0: {command}; atftctl can't tell whether it trains",
                command=seen.get("command"),
            )
        case _:
            return []
    return [text, tr("not checked: does the trainer use the settings of the files? It does not report them")]
