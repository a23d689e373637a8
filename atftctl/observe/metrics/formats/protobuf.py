"""Read messages of Protocol Buffers: only as much as the events of TensorBoard need."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5
LONGEST = 10  # bytes of a number


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(the number at this place, the place behind it). Raises ValueError where there is none."""
    value = shift = 0
    for byte in data[at : at + LONGEST]:
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise ValueError("no number")


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """(number of the field, its kind, its value) of each field of a message, in their order. Fixed numbers are bytes.
    Raises ValueError where the bytes are no message."""
    at, end = 0, len(data)
    while at < end:
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = varint(data, at)
            yield tag >> 3, kind, value
            continue
        if kind == BYTES:
            length, at = varint(data, at)
        elif kind in (DOUBLE, FLOAT):
            length = 8 if kind == DOUBLE else 4
        else:
            raise ValueError("an unknown kind of field")
        if length > end - at:
            raise ValueError("a field is cut")
        yield tag >> 3, kind, data[at : at + length]
        at += length
