"""The options that commands share, each defined once. `@command` adds them to a command by name."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from atftctl.domain.runbook import Kind

COMMON = "Common options"  # the heading of the options that every command takes
LANGUAGES = ("en", "ja")

Project = Annotated[
    Path,
    typer.Option(
        "--project",
        metavar="DIR",
        show_default=False,
        help="Project folder (default: the one that contains the current folder).",
        rich_help_panel=COMMON,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.", rich_help_panel=COMMON)]
Lang = Annotated[
    str,
    typer.Option(
        "--lang", metavar="en|ja", help="Language of the messages (default: from the locale).", rich_help_panel=COMMON
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; change nothing.")]
Diff = Annotated[
    bool, typer.Option("--diff", help="Show all settings and the whole diff, even if they do not fit the screen.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Record this reason in the history.")]
NoRestart = Annotated[bool, typer.Option("--no-restart", help="Change files only; do not stop or start the trainer.")]
Adopt = Annotated[
    list[int] | None,
    typer.Option(
        "--adopt",
        metavar="PID",
        help="Allow stopping this manually started trainer, by its number in `trainer status` (repeatable).",
        show_default=False,
    ),
]
Fence = Annotated[
    bool,
    typer.Option(
        "--fence",
        help="Go on although nobody can show that the old trainer has ended; its late saves replace no checkpoint.",
    ),
]

Live = Annotated[bool, typer.Option("--live", help="Apply the settings to the running trainer without a restart.")]
OrUndo = Annotated[
    bool, typer.Option("--or-undo", help="Undo the change if the trainer is not healthy after the change.")
]
Back = Annotated[
    int | None,
    typer.Option(
        "--back",
        metavar="K",
        help="Resume from the K-th checkpoint before the last one (list: atftctl checkpoint list); alone, or together "
        "with --symptom, --immediate or --feature.",
        show_default=False,
    ),
]
Only = Annotated[str, typer.Option("--only", metavar="configs|models", help="Only config files, or only model files.")]
Operation = Annotated[
    str,
    typer.Argument(
        metavar="[OPERATION]", help="Operation id, or the beginning of one (default: the newest).", show_default=False
    ),
]

ConfirmWithin = Annotated[
    str,
    typer.Option(
        "--confirm-within",
        metavar="TIME",
        help="Undo the change unless `atftctl confirm` comes within this time: 30s, 10m, 2h.",
        show_default=False,
    ),
]
ConfirmByVerify = Annotated[
    bool, typer.Option("--confirm-by-verify", help="With --confirm-within: a passing `atftctl verify` confirms, too.")
]
NeverConfirmed = Annotated[  # an option only to say why it is refused
    str, typer.Option("--confirm-within", metavar="TIME", hidden=True, help="Not possible here.")
]

Rehearse = Annotated[
    str,
    typer.Option(
        "--rehearse",
        metavar="[STEPS]",
        help="Before anything is changed, train with the planned settings in a scratch copy (default: 60 steps); "
        "refuse the change if that fails.",
        show_default=False,
    ),
]
Force = Annotated[
    str,
    typer.Option("--force", metavar="REASON", help="With --rehearse: make the change although it did not pass."),
]

Shared = Literal[
    "json", "project", "lang", "dry_run", "diff", "yes", "reason", "no_restart", "adopt", "fence", "confirm_within",
    "confirm_by_verify", "rehearse", "force",
]  # fmt: skip
ALWAYS: tuple[Shared, ...] = ("json", "project", "lang")
CHANGE: tuple[Shared, ...] = ("dry_run", "yes", "reason")
CHANGE_FILES: tuple[Shared, ...] = ("dry_run", "diff", "yes", "reason")
RESTART: tuple[Shared, ...] = ("no_restart", "adopt", "fence")
CONFIRM: tuple[Shared, ...] = ("confirm_within", "confirm_by_verify")
REHEARSE: tuple[Shared, ...] = ("rehearse", "force")
_KINDS: dict[Shared, tuple[object, object]] = {  # annotation and default
    "json": (Json, False),
    "project": (Project, Path()),
    "lang": (Lang, ""),
    "dry_run": (DryRun, False),
    "diff": (Diff, False),
    "yes": (Yes, False),
    "reason": (Reason, ""),
    "no_restart": (NoRestart, False),
    "adopt": (Adopt, None),
    "fence": (Fence, False),
    "confirm_within": (ConfirmWithin, ""),
    "confirm_by_verify": (ConfirmByVerify, False),
    "rehearse": (Rehearse, ""),
    "force": (Force, ""),
}


def parameter(name: Shared) -> inspect.Parameter:
    """A shared option as a parameter of a function."""
    annotation, default = _KINDS[name]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def kind(only: str) -> Kind:
    """The value of --only. Raises BadParameter for any other word."""
    if only == "configs":
        return "configs"
    if only == "models":
        return "models"
    if only:
        raise typer.BadParameter(f"{only!r} is neither configs nor models", param_hint="--only")
    return ""


def refuse_confirm_within(asked: str, why: str) -> None:
    """Raises UsageError where --confirm-within was given to a command that can't wait for a confirmation."""
    from atftctl.domain.errors import UsageError
    from atftctl.protocol.messages import tr

    if asked:
        raise UsageError(
            tr("--confirm-within can't be used here: {reason}", reason=why),
            state=tr("nothing was changed"),
            hint=tr("run this command without --confirm-within"),
        )


def language(asked: str) -> str:
    """The language asked for with --lang, else that of the locale. Raises BadParameter for an unknown one."""
    if asked:
        if asked not in LANGUAGES:
            raise typer.BadParameter(f"{asked!r} is neither {' nor '.join(LANGUAGES)}", param_hint="--lang")
        return asked
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "ja" if locale.startswith("ja") else "en"
