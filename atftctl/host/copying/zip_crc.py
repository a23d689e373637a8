"""Check the CRCs of a zip while its bytes are copied. A checkpoint of `torch.save` is a zip, and `torch.load` does not
check them.

The directory at the end of the file is read first; then the CRC of each member is computed from the bytes as they come.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from atftctl.protocol.messages import tr

MAGIC = b"PK\x03\x04"
# What zipfile raises for a damaged directory, besides its own error.
BROKEN = (ValueError, EOFError, NotImplementedError, OverflowError, IndexError, RuntimeError, struct.error)
Feed = Callable[[int, bytes], None]
LOCAL = struct.Struct("<4s22xHH")  # signature, 22 bytes, length of the name and of the extra field (APPNOTE 4.3.7)


@dataclass
class _Member:
    name: str
    start: int
    end: int
    crc: int
    computed: int = 0


@dataclass
class ZipWatch:
    """Reads a file from begin to end and says whether it is an undamaged zip (`verdict`)."""

    _members: list[_Member] = field(default_factory=list)
    _at: int = 0
    _broken: str = ""
    _is_zip: bool = False
    begins_blank: bool = False  # the file is empty or begins with zeros, as after a crash before it was on disk

    def start(self, handle: int) -> Feed:
        """Read the zip's directory; return the function to call with the bytes. `handle` is left at the beginning."""
        head = os.pread(handle, len(MAGIC), 0)
        self.begins_blank = not head.strip(b"\0")
        if head == MAGIC:
            self._open(handle)
        return self.feed

    def _open(self, handle: int) -> None:
        try:
            members = _directory(handle)
        except _DamagedZipError as error:
            self._broken = error.args[0]
            return
        self._is_zip = members is not None
        self._members = members or []

    def feed(self, offset: int, data: bytes) -> None:
        """Add the bytes at `offset` to the CRCs of the members that they belong to."""
        end = offset + len(data)
        for index in range(self._at, len(self._members)):
            member = self._members[index]
            if member.start >= end:
                break
            left, right = max(member.start, offset), min(member.end, end)
            if left < right:
                member.computed = zlib.crc32(memoryview(data)[left - offset : right - offset], member.computed)
            if index == self._at and member.end <= end:
                self._at += 1

    @property
    def verdict(self) -> str:
        """ "whole", or what is damaged; "" for a file that is not a zip. Snapshot manifests keep this text."""
        if not self._is_zip or self._broken:
            return self._broken
        wrong = [member.name for member in self._members if member.computed != member.crc]
        return tr("{name} has a wrong CRC", name=wrong[0]) if wrong else "whole"

    @property
    def damage(self) -> str:
        """What is damaged; "" where the CRCs show no damage, or there are none."""
        return "" if self.verdict == "whole" else self.verdict


def structure(handle: int) -> str | None:
    """What is wrong with the structure of a zip, "" where nothing is; None for a file that is no zip. Quick at any
    size: the contents are not read, so that a flipped bit in them is not seen. Raises OSError."""
    if os.pread(handle, len(MAGIC), 0) != MAGIC:
        return None
    try:
        _directory(handle)
    except _DamagedZipError as error:
        reason: str = error.args[0]
        return reason
    return ""


def checkpoint(path: str) -> bool:
    """Is this, by its name, a checkpoint of `torch.save`?"""
    return path.endswith((".pth", ".pt", ".ckpt"))


def blank_checkpoint(path: str, watch: ZipWatch) -> str:
    """What is wrong with a checkpoint that is empty or begins with zeros; "" for any other file."""
    return tr("the checkpoint is empty or begins with zeros") if watch.begins_blank and checkpoint(path) else ""


class _DamagedZipError(Exception):
    """The zip's directory is damaged; the argument is the message for people."""


def _directory(handle: int) -> list[_Member] | None:
    """The position of each member's bytes, in order; None for a zip that is not a checkpoint. Raises
    _DamagedZipError."""
    import zipfile

    try:
        with os.fdopen(os.dup(handle), "rb") as file:
            entries = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, *BROKEN) as error:
        raise _DamagedZipError(tr("the zip is not complete: {reason}", reason=str(error))) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a directory that points before the beginning of the file
            raise
        raise _DamagedZipError(tr("the zip is not complete: its directory points outside of the file")) from None
    finally:
        os.lseek(handle, 0, os.SEEK_SET)
    members, size = [], os.fstat(handle).st_size
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            return None  # torch never compresses: this is another zip
        if not 0 <= entry.header_offset < size:
            raise _DamagedZipError(tr("the zip is not complete: {name} is outside of the file", name=entry.filename))
        head = os.pread(handle, LOCAL.size, entry.header_offset)
        if len(head) < LOCAL.size or head[:4] != MAGIC:
            raise _DamagedZipError(tr("the zip is damaged: {name} has no header", name=entry.filename))
        _, name, extra = LOCAL.unpack(head)
        start = entry.header_offset + LOCAL.size + name + extra
        members.append(_Member(entry.filename, start, start + entry.compress_size, entry.CRC))
    return sorted(members, key=lambda member: member.start)
