"""The values of a section of a CSV of metrics, read by pyarrow: in parallel, and with missing values told from NaN."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from atftctl.domain.errors import Refused
from atftctl.domain.metrics_table import Column, SetAside
from atftctl.observe.metrics.csv_lines import Section, without_unfit
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.domain.metrics_table import Flags, Numbers

# What pyarrow reads as a number; any other text is set aside.
NUMBER = r"(?i)^[ \t]*[+-]?(nan|inf|infinity|[0-9]+\.?[0-9]*(e[+-]?[0-9]+)?|\.[0-9]+(e[+-]?[0-9]+)?)[ \t]*$"


def require_packages(*names: str) -> None:
    """Raises Refused where one of these packages, with which all values are read, can't be imported."""
    try:
        for name in names:
            importlib.import_module(name)
    except ImportError as error:
        raise Refused(
            tr("reading all metrics needs the package {package}, which can't be imported", package=error.name),
            hint=tr(
                "pip install numpy pyarrow, or with pipx: pipx inject atftctl numpy pyarrow; "
                "the newest rows need none: atftctl metrics --tail 20"
            ),
        ) from None


def values(section: Section) -> tuple[Mapping[str, Column], SetAside]:
    """The columns of a section, and what was set aside: lines with more or fewer values than the header, lines that no
    row can be, and values that are not numbers."""
    import pyarrow as pa

    text, unfit = (section.text, 0) if section.ascii else without_unfit(section.text)
    if _is_blank(text):
        return _empty(section.columns), SetAside(lines=unfit)
    try:
        columns, aside = _from_numbers(section._replace(text=text))
    except pa.ArrowInvalid:  # a value is no number
        text, more = without_unfit(text)
        columns, aside = _from_texts(section._replace(text=text))
        unfit += more
    return columns, aside + SetAside(lines=unfit)


def _is_blank(text: memoryview) -> bool:
    """Is there no line in it but empty ones?"""
    return not text[:1024].tobytes().strip() and not text.tobytes().strip()


def _from_numbers(section: Section) -> tuple[Mapping[str, Column], SetAside]:
    """As `values`, where every value is a number. Raises ArrowInvalid where one is not."""
    import pyarrow as pa

    table, lines = _read(section, pa.float64())
    return {name: _column(table[name]) for name in section.columns}, SetAside(lines=lines)


def _from_texts(section: Section) -> tuple[Mapping[str, Column], SetAside]:
    """As `values`, for any texts."""
    import pyarrow as pa

    if _is_blank(section.text):
        return _empty(section.columns), SetAside()
    table, lines = _read(section, pa.binary())
    numbers = {name: _numbers(table[name]) for name in section.columns}
    columns = {name: _column(array) for name, (array, _) in numbers.items()}
    return columns, SetAside(lines=lines, not_numbers=sum(refused for _, refused in numbers.values()))


def _read(section: Section, kind: Any) -> tuple[Any, int]:
    """(the section as a table of pyarrow with columns of this type, the number of lines that do not fit its header).
    Raises ArrowInvalid."""
    import pyarrow as pa
    from pyarrow import csv

    skipped: list[None] = []

    def skip(row: object) -> str:
        del row
        skipped.append(None)
        return "skip"

    table = csv.read_csv(
        pa.BufferReader(pa.py_buffer(section.text)),
        # One block: a column then is one array, which numpy shares and does not copy.
        read_options=csv.ReadOptions(column_names=list(section.columns), block_size=len(section.text) + 1),
        parse_options=csv.ParseOptions(
            quote_char=False, double_quote=False, escape_char=False, invalid_row_handler=skip
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(section.columns, kind),
            null_values=[""],
            strings_can_be_null=True,
            check_utf8=False,
        ),
        memory_pool=pa.system_memory_pool(),  # in a process this short, the others take twice the time
    )
    return table, len(skipped)


def _column(array: Any) -> Column:
    """A column of pyarrow as ours: NaN where there is no value."""
    import numpy as np

    pieces = [_piece(chunk) for chunk in array.chunks if len(chunk)]
    if len(pieces) == 1:
        return Column(*pieces[0])
    whole = [np.concatenate(side) for side in zip(*pieces, strict=True)] or [np.empty(0), np.empty(0, bool)]
    return Column(whole[0], whole[1])


def _piece(chunk: Any) -> tuple[Numbers, Flags]:
    """(the values, where there is one), from pyarrow's memory: its own `to_numpy` imports pandas, which takes longer
    than all the rest."""
    import numpy as np

    bits, data = chunk.buffers()
    values = np.frombuffer(data, np.float64, len(chunk), chunk.offset * 8)
    if not chunk.null_count:
        return values, np.broadcast_to(True, len(chunk))
    flags = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little").view(bool)
    present = flags[chunk.offset : chunk.offset + len(chunk)]
    return np.where(present, values, np.nan), present


def _numbers(texts: Any) -> tuple[Any, int]:
    """(the texts as numbers, without those that are none; how many those are)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with suppress(pa.ArrowInvalid):  # most columns have numbers only
        return pc.cast(pc.cast(texts, pa.string()), pa.float64()), 0
    fits = pc.match_substring_regex(texts, NUMBER)
    refused = pc.sum(pc.invert(fits)).as_py() or 0
    kept = pc.if_else(fits, texts, pa.scalar(None, pa.binary()))
    return pc.cast(pc.ascii_trim_whitespace(pc.cast(kept, pa.string())), pa.float64()), refused


def _empty(columns: tuple[str, ...]) -> dict[str, Column]:
    import numpy as np

    return {name: Column(np.empty(0), np.empty(0, bool)) for name in columns}
