"""Save plans to files and read them back.

A file is sealed, so that an edited one is noticed. Its plan is carried out only while the command would still do the
same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.plan import Plan
from atftctl.domain.rehearse_steps import Rehearse
from atftctl.domain.text import listed
from atftctl.host import locks
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.host.files.fingerprint import sha256_file
from atftctl.host.files.reading import read_bytes
from atftctl.observe.runbook.locate import find_project
from atftctl.operations.project import now
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import tr
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
OWN_OPTIONS = ("--yes", "-y", "--dry-run", "--json", "--project")  # given to `plan` itself, not kept
PID = re.compile(r"pid \d+(, \d+)*")


@dataclass(frozen=True)
class Saved:
    """A saved plan. `arguments`: of the command. `plan`: its essence. `place`: the project and its runbook. `saved`:
    when and by whom."""

    arguments: tuple[str, ...]
    plan: dict[str, Any]
    place: dict[str, Any]
    saved: str

    def compare(self, plan: Plan, diff: tuple[str, ...]) -> bool:
        """Return True. Raises Refused where the plan of the command is another one now."""
        del diff
        self._require_same(essence(plan), self.plan)
        return True

    def check_place(self, start: Path) -> None:
        """Raises Refused in another project, and where its runbook has changed: it says what is run."""
        self._require_same(_place(find_project(start)), self.place)

    def _require_same(self, current: dict[str, Any], saved: dict[str, Any]) -> None:
        changed = [part for name in current for part in _changed(name, current[name], saved.get(name))]
        if changed:
            raise Refused(
                tr(
                    "the plan is out of date (saved {time}): these parts changed since: {parts}",
                    time=self.saved,
                    parts=listed(changed, 4),
                ),
                hint=tr("save it again and review it: atftctl plan save FILE COMMAND"),
            )


def _changed(name: str, current: Any, saved: Any) -> list[str]:
    """Return the parts that differ: steps by their text, files by their path, anything else by its name."""
    if current == saved:
        return []
    if isinstance(current, list) and isinstance(saved, list):
        return [f"+ {step}" for step in current if step not in saved] + [
            f"- {step}" for step in saved if step not in current
        ] or [name]
    if isinstance(current, dict) and isinstance(saved, dict):
        return [path for path in {**current, **saved} if current.get(path) != saved.get(path)]
    return [name]


def essence(plan: Plan) -> dict[str, Any]:
    """Return what makes two plans the same: the steps, and the old and new content of each file. The trainer's pid is
    left out: a restart changes it; and the rehearsal, which measures anew."""
    files = {
        target.path: {
            "from": target.old,
            "to": target.new,
            "settings": {key_text(change.key): [change.old, change.new] for change in target.changes},
        }
        for target in plan.targets
    }
    steps = [PID.sub("pid …", step.describe()) for step in plan.steps if not isinstance(step, Rehearse)]
    return {"command": plan.command, "files": files, "steps": steps}


def _place(layout: Layout) -> dict[str, Any]:
    return {"project": str(layout.root.resolve()), "runbook": sha256_file(layout.runbook)}


def refuse_arguments(arguments: Sequence[str]) -> None:
    """Raises UsageError for a command that has no plan, and for options that `plan` takes itself."""
    if not any(tuple(arguments[: len(command)]) == command for command in COMMANDS):
        known = ", ".join(" ".join(command) for command in COMMANDS)
        raise UsageError(
            tr("{command!r} has no plan that could be saved", command=" ".join(arguments[:2])),
            hint=tr("commands with a plan: {commands}", commands=known),
        )
    for argument in arguments:
        option = argument.partition("=")[0]
        if option in OWN_OPTIONS:
            raise UsageError(tr("{option} can't be saved with a plan; give it to plan apply instead", option=option))


def refuse_unseen(arguments: Sequence[str]) -> None:
    """Raises Refused: the command ended without a plan."""
    raise Refused(tr("{command!r} has no plan that could be saved", command=" ".join(arguments)))


def refuse_file(file: Path) -> None:
    """Raises Refused for a file that exists: a plan is never overwritten."""
    if file.exists():
        raise Refused(tr("{path} already exists", path=file), hint=tr("choose a new file name"))


def save(file: Path, arguments: Sequence[str], start: Path, plan: Plan, diff: tuple[str, ...]) -> bool:
    """Write the plan to a new file and return True. Raises OSError."""
    body = {
        "arguments": list(arguments),
        "plan": essence(plan),
        "place": _place(find_project(start)),
        "diff": list(diff),
        "saved": f"{now().isoformat(timespec='seconds')} by {locks.operator()}",
    }
    write_durably(file.parent.resolve() / file.name, sealed_records.seal(body), 0o600)
    return True


def read(file: Path) -> Saved:
    """Read a saved plan. Raises Refused for a file that is not one, or that was edited; OSError."""
    try:
        body = sealed_records.unseal(read_bytes(file.resolve()), str(file))
        arguments = tuple(map(str, body["arguments"]))
        return Saved(arguments, dict(body["plan"]), dict(body["place"]), str(body["saved"]))
    except (HostError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            tr("{path} is not a plan saved by atftctl, or was edited: {reason}", path=file, reason=reason(error))
        ) from None
