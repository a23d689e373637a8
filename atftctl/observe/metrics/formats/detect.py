"""Tell the format of a file of metrics by its first bytes, where its name does not tell it."""

from __future__ import annotations

from atftctl.domain.metric_rules import Known, format_by_name
from atftctl.observe.metrics.formats.crc32c import masked
from atftctl.observe.metrics.formats.decoder import Columns, Decoder
from atftctl.observe.metrics.formats.event_file import HEAD, EventFile
from atftctl.observe.metrics.formats.lines import CsvLines, JsonLines
from atftctl.observe.metrics.formats.trainer_state import HISTORY


def format_of(name: str, head: bytes) -> Known:
    """The format of a file. head: its first bytes."""
    if known := format_by_name(name):
        return known
    if len(head) >= HEAD and masked(head[:8]) == int.from_bytes(head[8:HEAD], "little"):
        return "tensorboard"
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{"):
        line = head.strip().split(b"\n", 1)[0].rstrip()
        return "jsonl" if line.endswith(b"}") or f'"{HISTORY}"'.encode() not in head else "huggingface"
    return "csv"


def decoder_of(known: Known, columns: Columns) -> Decoder:
    """The decoder of a format whose files grow."""
    if known == "tensorboard":
        return EventFile(columns)
    return JsonLines(columns) if known == "jsonl" else CsvLines(columns)
