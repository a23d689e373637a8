"""Plans kept in files: sealed, so that an edited one is known, and done only while what they were based on stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.host import locks, records
from atftctl.host.files import write_durably
from atftctl.operations.project import now


@dataclass(frozen=True)
class Saved:
    """The words of the command, and what its plan was."""

    words: tuple[str, ...]
    essence: dict[str, Any]
    made: str

    def compare(self, plan: Plan, diff: tuple[str, ...]) -> bool:
        """Raises Refused where the plan is another one by now."""
        del diff
        found = essence(plan)
        moved = [name for name in found if found[name] != self.essence.get(name)]
        if moved:
            raise Refused(
                f"the world has moved since the plan was made ({self.made}): {', '.join(moved)} would be others now",
                then="look at it again: atftctl plan save",
            )
        return True


def essence(plan: Plan) -> dict[str, Any]:
    """What makes two plans the same one: which files become what, from what; who is stopped and what is started. Not
    the pid of a trainer, which a restart may have changed."""
    files = {
        target.path: {
            "from": target.old,
            "to": target.new,
            "settings": {".".join(change.key): [change.old, change.new] for change in target.changes},
        }
        for target in plan.targets
    }
    return {
        "command": plan.command,
        "files": files,
        "stop": bool(plan.stops),
        "start": plan.start.resume if plan.start else None,
    }


def there_already(file: Path) -> Refused:
    return Refused(f"{file} is there already", then="name a new one")


def save(file: Path, words: Sequence[str], plan: Plan, diff: tuple[str, ...]) -> bool:
    """Raises OSError."""
    body = {
        "words": list(words),
        "plan": essence(plan),
        "steps": [step.describe() for step in plan.steps],
        "diff": list(diff),
        "made": f"{now().isoformat(timespec='seconds')} by {locks.operator()}",
    }
    write_durably(file, records.seal(body), 0o600)
    return True


def read(file: Path) -> Saved:
    """Raises Refused for what is no plan, or was edited; OSError."""
    try:
        body = records.unseal(file.read_bytes(), str(file))
        return Saved(tuple(map(str, body["words"])), dict(body["plan"]), str(body["made"]))
    except (records.BadRecordError, KeyError, TypeError, ValueError) as error:
        raise Refused(f"{file} is no plan that atftctl saved: {error}") from None
