"""The CRCs of a zip, checked while its bytes stream by: a checkpoint is a zip, and `torch.load` looks at none of them.

One pass: the directory at the file's end is read first, then each member's bytes are summed as they come.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

MAGIC = b"PK\x03\x04"
# What zipfile raises for a directory of nonsense, beside its own error.
BROKEN = (ValueError, EOFError, NotImplementedError, OverflowError, IndexError, RuntimeError, struct.error)
Feed = Callable[[int, bytes], None]
LOCAL = struct.Struct("<4s22xHH")  # signature …, length of the name, length of the extra field (APPNOTE.TXT 4.3.7)


@dataclass
class _Member:
    name: str
    start: int
    end: int
    crc: int
    found: int = 0


@dataclass
class ZipWatch:
    """Fed a file from begin to end, knows whether it is a whole zip. `verdict` is "" for what is no zip at all."""

    _members: list[_Member] = field(default_factory=list)
    _at: int = 0
    _broken: str = ""
    _is_zip: bool = False
    begins_blank: bool = False  # empty, or with zeros: what a crash leaves of a file that was not yet on disk

    def start(self, handle: int) -> Feed:
        """Read the directory; `handle` is left at the file's beginning. What the bytes are to be told to."""
        head = os.pread(handle, len(MAGIC), 0)
        self.begins_blank = not head.strip(b"\0")
        if head == MAGIC:
            self._open(handle)
        return self.feed

    def _open(self, handle: int) -> None:
        try:
            members = _directory(handle)
        except _NotWholeError as error:
            self._broken = str(error)
            return
        self._is_zip = members is not None
        self._members = members or []

    def feed(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        for at in range(self._at, len(self._members)):
            member = self._members[at]
            if member.start >= end:
                break
            left, right = max(member.start, offset), min(member.end, end)
            if left < right:
                member.found = zlib.crc32(memoryview(data)[left - offset : right - offset], member.found)
            if at == self._at and member.end <= end:
                self._at += 1

    @property
    def verdict(self) -> str:
        """ "", "whole", or what is damaged."""
        if not self._is_zip or self._broken:
            return self._broken
        wrong = [member.name for member in self._members if member.found != member.crc]
        return f"{wrong[0]} fails its CRC" if wrong else "whole"

    @property
    def damage(self) -> str:
        """What is damaged; "" where nothing is, as far as a zip can tell."""
        return "" if self.verdict == "whole" else self.verdict


def checkpoint(path: str) -> bool:
    """By its name a file of `torch.save`."""
    return path.endswith((".pth", ".pt", ".ckpt"))


def blank_checkpoint(path: str, watch: ZipWatch) -> str:
    """What is wrong with a checkpoint that holds nothing; "" for any other file."""
    return "it is empty or begins with zeros" if watch.begins_blank and checkpoint(path) else ""


class _NotWholeError(Exception):
    pass


def _directory(handle: int) -> list[_Member] | None:
    """Where each member's bytes lie; None for a zip that is no checkpoint. Raises _NotWholeError for a cut one."""
    import zipfile

    try:
        with os.fdopen(os.dup(handle), "rb") as file:
            entries = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, *BROKEN) as error:
        raise _NotWholeError(f"not a whole zip: {error}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a directory that points before the file's beginning
            raise
        raise _NotWholeError("not a whole zip: its directory points nowhere") from None
    finally:
        os.lseek(handle, 0, os.SEEK_SET)
    members, size = [], os.fstat(handle).st_size
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            return None  # torch never compresses: this is another zip
        if not 0 <= entry.header_offset < size:
            raise _NotWholeError(f"{entry.filename} lies outside of the file")
        head = os.pread(handle, LOCAL.size, entry.header_offset)
        if len(head) < LOCAL.size or head[:4] != MAGIC:
            raise _NotWholeError(f"{entry.filename} has no header")
        _, name, extra = LOCAL.unpack(head)
        start = entry.header_offset + LOCAL.size + name + extra
        members.append(_Member(entry.filename, start, start + entry.compress_size, entry.CRC))
    return sorted(members, key=lambda one: one.start)
