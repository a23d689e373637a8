"""What git must not see of a project: the lines that `init` adds to `.gitignore`."""

from __future__ import annotations

from pathlib import Path

from atftctl.domain.record import record
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.host.files.reading import read_bytes
from atftctl.protocol import OUTPUT, STAGING
from atftctl.protocol.messages import Message, tr

FILE = ".gitignore"
LINES = ("/.atftctl/", "/backups/", f"/{STAGING}/", f"/{OUTPUT}*")
HEADING = "# what atftctl keeps: records, snapshots, the trainer's output"
LARGEST = 1 << 20  # bytes


@record
class Ignoring:
    """The change of `.gitignore`. `before`, `after`: its content; the same where nothing is missing. `problem`: why it
    can't be changed; "" where it can."""

    before: bytes = b""
    after: bytes = b""
    missing: tuple[str, ...] = ()
    problem: str = ""


def plan(root: Path, *, git: bool) -> Ignoring:
    """What is to be added. `git`: whether the project lies in a git work tree."""
    if not git:
        return Ignoring()
    try:
        before = read_bytes(root / FILE, LARGEST + 1)
    except FileNotFoundError:
        before = b""
    except (OSError, HostError) as error:
        return Ignoring(missing=LINES, problem=reason(error))
    if len(before) > LARGEST:
        return Ignoring(missing=LINES, problem=tr("it is larger than 1 MiB"))
    known = {line.strip().decode(errors="replace") for line in before.splitlines()}
    missing = tuple(line for line in LINES if not known & {line, line[1:], line.rstrip("/"), line.strip("/")})
    if not missing:
        return Ignoring(before, before)
    end = b"\r\n" if b"\r\n" in before else b"\n"
    begin = before + (end if before and not before.endswith(b"\n") else b"") + (end if before else b"")
    return Ignoring(before, begin + end.join(line.encode() for line in (HEADING, *missing)) + end, missing)


def write(root: Path, ignoring: Ignoring) -> None:
    """Write it. Raises OSError."""
    if ignoring.after != ignoring.before:
        mode = (root / FILE).stat().st_mode & 0o777 if (root / FILE).exists() else 0o644
        write_durably(root / FILE, ignoring.after, mode)


def note(ignoring: Ignoring) -> Message | None:
    """What the operator must do; None where nothing is left to do."""
    if not ignoring.problem:
        return None
    lines = " ".join(ignoring.missing)
    return tr(".gitignore can't be changed ({reason}); add these lines: {lines}", reason=ignoring.problem, lines=lines)
