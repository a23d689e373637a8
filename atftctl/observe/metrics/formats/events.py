"""The scalars in one event of TensorBoard: a message `Event` of Protocol Buffers. Everything else is left out: images,
histograms, texts, graphs, and the data of plugins. Nothing is unpickled."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from atftctl.observe.metrics.formats.protobuf import BYTES, FLOAT, VARINT, fields, varint

# Numbers of the fields.
STEP, SUMMARY, VALUE = 2, 5, 1  # of Event and Summary
TAG, SIMPLE_VALUE, TENSOR, OLD_TAG = 1, 2, 8, 7  # of Summary.Value
DTYPE, SHAPE, CONTENT, FLOATS, DOUBLES, INTS, LONGS = 1, 2, 4, 5, 6, 7, 10  # of TensorProto
# How a number is packed in a tensor, by the kind of the tensor.
KINDS = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 14: "<H", 19: "<e", 22: "<I", 23: "<Q"}
BFLOAT16 = 14
SIGN = 1 << 63
# The event that writers of scalars make: a time, a step, and one value. Lengths are below 128, each in one byte.
PLAIN = re.compile(
    rb"\x09.{8}(?:\x10([\x80-\xff]{0,9}[\x00-\x7f]))?\x2a[\x00-\x7f]\x0a([\x00-\x7f])\x0a([\x00-\x7f])(.*)\x15(.{4})",
    re.DOTALL,
)
_FLOAT = struct.Struct("<f")


class Scalars(NamedTuple):
    """The scalars of an event, by tag. Negative steps are -1."""

    step: int
    values: tuple[tuple[str, float], ...] = ()


def scalars(event: bytes) -> Scalars:
    """The scalars of an event. Raises ValueError where the bytes are no event."""
    plain = PLAIN.fullmatch(event)
    if plain and len(plain[4]) == plain[3][0] and plain[2][0] == len(plain[4]) + 7:
        step = varint(plain[1], 0)[0] if plain[1] else 0
        return Scalars(step if step < SIGN else -1, ((plain[4].decode(), _FLOAT.unpack(plain[5])[0]),))
    step, values = 0, list[tuple[str, float]]()
    for number, kind, value in fields(event):
        if number == STEP and isinstance(value, int):
            step = value if value < SIGN else -1
        elif number == SUMMARY and isinstance(value, bytes) and kind == BYTES:
            values += _summary(value)
    return Scalars(step, tuple(values))


def _summary(data: bytes) -> Iterator[tuple[str, float]]:
    for number, _, value in fields(data):
        if number == VALUE and isinstance(value, bytes) and (scalar := _value(value)):
            yield scalar


def _value(data: bytes) -> tuple[str, float] | None:
    """(tag, number) of a value; None for one that is no scalar."""
    tag, number = "", None
    for field, kind, value in fields(data):
        if not isinstance(value, bytes):
            continue
        if field == TAG and kind == BYTES:
            tag = value.decode()
        elif field == SIMPLE_VALUE and kind == FLOAT:
            number = float(_FLOAT.unpack(value)[0])
        elif field == TENSOR and kind == BYTES:
            number = _tensor(value)
    return (tag, number) if tag and number is not None else None


def _tensor(data: bytes) -> float | None:
    """The number in a tensor; None where the tensor is no single number."""
    dtype, size, packed = 0, 1, list[tuple[int, int, int | bytes]]()
    for number, kind, value in fields(data):
        if number == DTYPE and isinstance(value, int):
            dtype = value
        elif number == SHAPE and isinstance(value, bytes):
            size *= _size(value)
        elif number in (CONTENT, FLOATS, DOUBLES, INTS, LONGS):
            packed.append((number, kind, value))
    if size != 1 or len(packed) != 1 or dtype not in KINDS:
        return None
    number, kind, value = packed[0]
    if isinstance(value, int):
        return float(value if value < SIGN else value - 2 * SIGN) if number in (INTS, LONGS) else None
    return _number(number, kind, value, dtype)


def _number(field: int, kind: int, value: bytes, dtype: int) -> float | None:
    if field in (INTS, LONGS):  # numbers of a repeated field, one after the other
        number, end = varint(value, 0)
        return float(number if number < SIGN else number - 2 * SIGN) if kind == BYTES and end == len(value) else None
    form = {FLOATS: "<f", DOUBLES: "<d"}.get(field, KINDS[dtype])
    if len(value) != struct.calcsize(form):
        return None
    if field == CONTENT and dtype == BFLOAT16:
        return float(_FLOAT.unpack(b"\0\0" + value)[0])
    return float(struct.unpack(form, value)[0])


def _size(shape: bytes) -> int:
    """The number of values in a tensor of this shape."""
    size = 1
    for number, _, value in fields(shape):
        if number == 2 and isinstance(value, bytes):
            dims = [length for field, kind, length in fields(value) if field == 1 and kind == VARINT]
            size *= int(dims[0]) if dims else 0
    return size
