"""CRC-32C (Castagnoli), with the standard library only."""

from __future__ import annotations

from functools import cache

POLYNOMIAL = 0x82F63B78  # reflected
MASK = 0xA282EAD8  # what records of TensorFlow add to the rotated sum


@cache
def _table() -> tuple[int, ...]:
    """What each byte adds. A table for pairs of bytes is no faster: it does not fit into the processor's cache."""
    table = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """The CRC-32C of these bytes."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """The sum as it stands in TensorFlow's records."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF
