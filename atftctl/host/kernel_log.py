"""What the kernel's log says of processes that were killed for memory, and of faults of graphics cards."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.errors import reason
from atftctl.protocol.messages import Message, tr

DEVICE = Path("/dev/kmsg")
MOST = 8 << 20  # bytes that are read at most; the kernel keeps less
RECORD = 8192  # bytes of one record at most
_RECORD = re.compile(r"\d+,\d+,(\d+),[^;]*;(.*)")
_KILL = re.compile(r"(?:Memory cgroup out|Out) of memory: Killed process (\d+) \(([^)]{0,64})\)")
_CARD = re.compile(r"NVRM: Xid \(([^)]{1,64})\): (\d+)")


@dataclass(frozen=True)
class Kill:
    """A process that the kernel killed for memory, in Unix seconds. Its pid is that of the machine: in a container,
    the same process has another one."""

    pid: int
    program: str
    time: float
    text: str


@dataclass(frozen=True)
class CardFault:
    """A fault of a graphics card: the number that NVIDIA's driver gives it (Xid), in Unix seconds."""

    number: int
    time: float
    text: str


@dataclass(frozen=True)
class KernelLog:
    """What was read. `problem`: why the log can't be read; "" where it was."""

    kills: tuple[Kill, ...] = ()
    cards: tuple[CardFault, ...] = ()
    problem: Message | str = ""


def read(since: float, path: Path = DEVICE) -> KernelLog:
    """Read the kernel's log from a time on (Unix seconds). Raises nothing."""
    try:
        text = _text(path)
    except OSError as error:
        return KernelLog(problem=tr("the kernel's log can't be read: {reason}", reason=reason(error)))
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    kills, cards = list[Kill](), list[CardFault]()
    for line in text.splitlines():
        match = _RECORD.match(line)
        if not match or (at := booted + int(match[1]) / 1e6) < since:
            continue
        if kill := _KILL.search(match[2]):
            kills.append(Kill(int(kill[1]), kill[2], at, match[2][:200]))
        elif card := _CARD.search(match[2]):
            cards.append(CardFault(int(card[2]), at, match[2][:200]))
    return KernelLog(tuple(kills), tuple(cards))


def _text(path: Path) -> str:
    """All records that the kernel keeps; it gives one with each read, and EPIPE where it has overwritten some. Raises
    OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    parts, size = list[bytes](), 0
    try:
        is_device = stat.S_ISCHR(os.fstat(handle).st_mode)
        while size < MOST:
            try:
                data = os.read(handle, RECORD)
            except OSError as error:
                if is_device and error.errno == errno.EPIPE:
                    continue
                if error.errno == errno.EAGAIN:
                    break
                raise
            if not data:
                break
            parts.append(data)
            size += len(data)
    finally:
        os.close(handle)
    return b"".join(parts).decode("utf-8", "replace")
