"""Read a log in blocks of whole lines. However large the log or one of its lines is, memory stays the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from io import BufferedIOBase
from typing import NamedTuple

from atftctl.domain.log_lines.text import LONGEST
from atftctl.host.errors import HostError, reason
from atftctl.observe.log_files.parts import Part, damaged, open_part

BLOCK = 1 << 20  # bytes
LONGEST_BYTES = 4 * LONGEST  # of a line: as many as its characters can have


class Block(NamedTuple):
    """Lines of a log. `data`: whole lines, and the beginning of one that is too long. `consumed`: bytes of the file
    that they take, holes included. `cut`: lines that were too long."""

    data: bytes
    consumed: int
    cut: int = 0


class PartError(HostError):
    """A file of a log can't be read, or not to its end."""


def blocks(part: Part, start: int = 0) -> Iterator[Block]:
    """The lines of a file from the byte offset `start` on, up to the size that it had when it was found. A packed file
    is read from its beginning to its end.

    A hole of a sparse file has no lines and is passed over. Raises PartError where the file can't be read.
    """
    try:
        with open_part(part) as file:
            if part.packed:
                yield from _lines(_packed(file))
            else:
                yield from _lines(_plain(file, start, part.size))
    except damaged() as error:
        raise PartError(reason(error)) from None


def _packed(file: BufferedIOBase) -> Iterator[tuple[bytes, int]]:
    while data := file.read(BLOCK):
        yield data, len(data)


def _plain(file: BufferedIOBase, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """(data, bytes that it takes in the file with the hole before it)."""
    at = start
    while at < end:
        begin = min(next_data(file, at), end)
        file.seek(begin)
        data = file.read(min(BLOCK, end - begin))
        yield data, begin + len(data) - at
        if not data:
            return
        at = begin + len(data)


def next_data(file: BufferedIOBase, at: int) -> int:
    """The offset of the next byte that is no hole; the size of the file where only a hole is left."""
    try:
        return os.lseek(file.fileno(), at, os.SEEK_DATA)
    except OSError as error:
        return os.fstat(file.fileno()).st_size if error.errno == errno.ENXIO else at


def _lines(pieces: Iterator[tuple[bytes, int]]) -> Iterator[Block]:
    """Cut pieces of a file into blocks of whole lines."""
    rest, consumed, skipping = b"", 0, False
    for data, size in pieces:
        consumed += size
        if skipping:
            data, skipping = _after_break(data)  # noqa: PLW2901
        data = rest + data  # noqa: PLW2901
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        whole, rest, cut = data[:end], data[end:], 0
        if len(rest) > BLOCK:
            rest = rest.lstrip(b"\0")
        if len(rest) > BLOCK:
            whole, rest, skipping, cut = whole + rest[:LONGEST_BYTES] + b"\n", b"", True, 1
        if whole or consumed:
            yield Block(whole, consumed, cut)
            consumed = 0
    if rest:
        yield Block(rest.rstrip(b"\r"), 0)  # nothing was written over it


def _after_break(data: bytes) -> tuple[bytes, bool]:
    """(what follows the first line break; whether there is none yet)."""
    breaks = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
    return (data[min(breaks) + 1 :], False) if breaks else (b"", True)
