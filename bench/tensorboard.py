"""How many scalars a second the reader of TensorBoard's event files reads, with both sums of each record: by the clock,
and by the time of the processor alone."""

from __future__ import annotations

import struct
import tempfile
import time
from pathlib import Path
from statistics import median

from atftctl.domain.metric_rules import MetricsSource
from atftctl.observe.metrics.any_files import AnyMetrics
from atftctl.observe.metrics.files import files_of
from atftctl.observe.metrics.formats.crc32c import masked
from atftctl.observe.metrics.formats.decoder import Columns
from atftctl.observe.metrics.streams import rows_of_file
from atftctl.state.layout import Layout

SCALARS = 100_000
TAGS = (b"train/loss", b"train/grad_norm", b"perf/step_s", b"eval/accuracy")
LEAST = 25_000  # scalars a second that are asked for
RUNS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root / "runs/one/events.out.tfevents.1796074078.bench")
        layout = Layout(root, root / "none.yaml", metrics=MetricsSource(("runs",)))
        print(f"{SCALARS:,} scalars, {files_of(layout)[0].size / 1e6:.1f} MB")
        rates = [rate(layout) for _ in range(RUNS)]
        clock, processor = (median(side) for side in zip(*rates, strict=True))
        print(f"all rows: {clock:,.0f} scalars/s, {processor:,.0f} per second of the processor; least: {LEAST:,}")
        begun = time.perf_counter()
        AnyMetrics(layout).newest(500)
        print(f"the newest 500 rows: {1000 * (time.perf_counter() - begun):.0f} ms")


def write(path: Path) -> None:
    """An event file as `add_scalar` writes it."""
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for number in range(SCALARS):
            step, tag = number // len(TAGS), TAGS[number % len(TAGS)]
            scalar = b"\x0a" + bytes([len(tag)]) + tag + b"\x15" + struct.pack("<f", 1 / (step + 1))
            summary = b"\x0a" + bytes([len(scalar)]) + scalar
            moment = b"\x09" + struct.pack("<d", 1.796e9 + number / 100)
            event = moment + b"\x10" + varint(step) + b"\x2a" + bytes([len(summary)]) + summary
            length = struct.pack("<Q", len(event))
            file.write(length + struct.pack("<I", masked(length)) + event + struct.pack("<I", masked(event)))


def varint(value: int) -> bytes:
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def rate(layout: Layout) -> tuple[float, float]:
    """(scalars a second by the clock, by the time of the processor)."""
    file, columns, count = files_of(layout)[0], Columns("step"), 0
    clock, processor = time.perf_counter(), time.process_time()
    for rows in rows_of_file(file, columns):
        count += sum(len(row.values) for row in rows)
    took = time.perf_counter() - clock, time.process_time() - processor
    assert count == SCALARS and not columns.counts.damaged
    return count / took[0], count / took[1]


if __name__ == "__main__":
    main()
