"""Plans kept in files: sealed, so that an edited one is known, and done only while what they were based on stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.plan import Plan
from atftctl.host import locks
from atftctl.host.errors import HostError
from atftctl.host.files.durable import write_durably
from atftctl.host.files.fingerprint import sha256_file
from atftctl.host.files.reading import read_bytes
from atftctl.observe.runbook.locate import find_project
from atftctl.operations.project import now
from atftctl.protocol.keys import key_text
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

COMMANDS = (
    ("rollback",),
    ("restore",),
    ("undo",),
    ("reenable",),
    ("resume",),
    ("config", "set"),
    *(("trainer", verb) for verb in ("start", "stop", "restart", "reload")),
    *(("backup", verb) for verb in ("create", "pin", "unpin", "prune", "rm")),
    ("runbook", "render"),
)
OURS = ("--yes", "-y", "--dry-run", "--json", "--project")  # said to `plan`, not kept
PID = re.compile(r"pid \d+(, \d+)*")


@dataclass(frozen=True)
class Saved:
    """The words of the command, what its plan was, and where it was made."""

    words: tuple[str, ...]
    plan: dict[str, Any]
    here: dict[str, Any]
    made: str

    def compare(self, plan: Plan, diff: tuple[str, ...]) -> bool:
        """Raises Refused where the plan is another one by now."""
        del diff
        found = essence(plan)
        self._same(found, self.plan)
        return True

    def check_here(self, start: Path) -> None:
        """Raises Refused in another project, and where the runbook is another by now: it says what is run."""
        self._same(_here(find_project(start)), self.here)

    def _same(self, found: dict[str, Any], saved: dict[str, Any]) -> None:
        if moved := [name for name in found if found[name] != saved.get(name)]:
            raise Refused(
                f"the world has moved since the plan was made ({self.made}): {', '.join(moved)} would be others now",
                hint="look at it again: atftctl plan save",
            )


def essence(plan: Plan) -> dict[str, Any]:
    """What makes two plans the same one: each step, and which files become what, from what. Not the pid of a trainer,
    which a restart may have changed."""
    files = {
        target.path: {
            "from": target.old,
            "to": target.new,
            "settings": {key_text(change.key): [change.old, change.new] for change in target.changes},
        }
        for target in plan.targets
    }
    steps = [PID.sub("pid …", step.describe()) for step in plan.steps]
    return {"command": plan.command, "files": files, "steps": steps}


def _here(layout: Layout) -> dict[str, Any]:
    return {"project": str(layout.root.resolve()), "runbook": sha256_file(layout.runbook)}


def refuse_words(words: Sequence[str]) -> None:
    """Raises UsageError for a command that has no plan, and for words that are said to `plan` itself."""
    if not any(tuple(words[: len(one)]) == one for one in COMMANDS):
        known = ", ".join(" ".join(one) for one in COMMANDS)
        raise UsageError(f"{' '.join(words[:2])!r} has no plan", hint=f"known: {known}")
    for word in words:
        if word.partition("=")[0] in OURS:
            raise UsageError(f"{word} is for plan save and plan apply themselves")


def refuse_unseen(words: Sequence[str]) -> None:
    """Raises Refused: the command ended, and had no plan to show."""
    raise Refused(f"{' '.join(words)} has no plan that could be kept")


def refuse_file(file: Path) -> None:
    """Raises Refused: a plan is never written over."""
    if file.exists():
        raise Refused(f"{file} is there already", hint="name a new one")


def save(file: Path, words: Sequence[str], start: Path, plan: Plan, diff: tuple[str, ...]) -> bool:
    """Raises OSError."""
    body = {
        "words": list(words),
        "plan": essence(plan),
        "here": _here(find_project(start)),
        "diff": list(diff),
        "made": f"{now().isoformat(timespec='seconds')} by {locks.operator()}",
    }
    write_durably(file.parent.resolve() / file.name, sealed_records.seal(body), 0o600)
    return True


def read(file: Path) -> Saved:
    """Raises Refused for what is no plan, or was edited; OSError."""
    try:
        body = sealed_records.unseal(read_bytes(file.resolve()), str(file))
        return Saved(tuple(map(str, body["words"])), dict(body["plan"]), dict(body["here"]), str(body["made"]))
    except (HostError, KeyError, TypeError, ValueError) as error:
        raise Refused(f"{file} is no plan that atftctl saved: {error}") from None
