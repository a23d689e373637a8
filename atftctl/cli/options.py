"""The options that commands share, spelled once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atftctl.domain.runbook import Kind

Project = Annotated[Path, typer.Option("--project", metavar="DIR", help="The project, if not the one around here.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; touch nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the history.")]
NoRestart = Annotated[bool, typer.Option("--no-restart", help="Change files only; leave the trainer alone.")]
Adopt = Annotated[
    list[int] | None, typer.Option("--adopt", metavar="PID", help="This trainer, started by hand, may be stopped.")
]
Live = Annotated[bool, typer.Option("--live", help="The running trainer takes settings up, no restart.")]
OrUndo = Annotated[bool, typer.Option("--or-undo", help="Put it back where the trainer is not healthy.")]
Lang = Annotated[str, typer.Option("--lang", metavar="en|ja", help="Language of the runbook's texts.")]
Only = Annotated[str, typer.Option("--only", metavar="configs|models", help="One kind of files.")]

Operation = Annotated[
    str, typer.Argument(metavar="[OPERATION]", help="Its id, or how it begins; the newest if none is named.")
]

HERE = Path()


def kind(only: str) -> Kind:
    """What --only says."""
    if only in ("", "configs", "models"):
        return only  # type: ignore[return-value]
    raise typer.BadParameter(f"{only!r} is neither configs nor models", param_hint="--only")


def language(asked: str) -> str:
    """What was asked for, else what the locale says."""
    if asked:
        if asked not in ("en", "ja"):
            raise typer.BadParameter(f"{asked!r} is neither en nor ja", param_hint="--lang")
        return asked
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "ja" if locale.startswith("ja") else "en"


@dataclass(frozen=True)
class Change:
    """The options of everything that changes something."""

    dry_run: bool
    yes: bool
    reason: str
    json: bool
    or_undo: bool = False
