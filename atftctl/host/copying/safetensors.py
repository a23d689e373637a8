"""Check a safetensors file by its header: its length, and that its tensors fill it without a gap. The format has no
checksum of the tensors: changed bytes in them are not seen. Format: https://github.com/huggingface/safetensors#format"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from atftctl.protocol.messages import tr

SUFFIX = ".safetensors"
INDEX = ".index.json"
LENGTH = 8  # bytes of the header's length, little-endian
LONGEST = 100_000_000  # bytes of a header, as the library itself allows
LONGEST_INDEX = 64 << 20


def damage_of(handle: int) -> str:
    """What is damaged in the open file; "" where nothing is. Raises OSError."""
    size = os.fstat(handle).st_size
    length = int.from_bytes(os.pread(handle, LENGTH, 0), "little")
    if size < LENGTH or not 0 < length <= min(LONGEST, size - LENGTH):
        return tr("it is no safetensors file, or is cut: its header is missing")
    try:
        header = json.loads(os.pread(handle, length, LENGTH))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        spans = sorted((int(begin), int(end)) for begin, end in (entry["data_offsets"] for entry in tensors))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return tr("the header of the safetensors file can't be read")
    at = 0
    for begin, end in spans:
        if begin != at or end < begin:
            return tr("the tensors of the safetensors file overlap, or leave a gap")
        at = end
    held = size - LENGTH - length
    if at != held:
        return tr(
            "the safetensors file holds {held:,} bytes of tensors, its header names {named:,}", held=held, named=at
        )
    return ""


def missing_shards(folder: Path, names: Mapping[str, object]) -> list[str]:
    """The files that an index in the folder names (`*.index.json`) and that are not among `names`, the paths of its
    files. An index that can't be read is named itself."""
    missing: dict[str, None] = {}
    for name in names:
        if not name.endswith(INDEX):
            continue
        try:
            with open(folder / name, "rb") as file:
                wanted = json.loads(file.read(LONGEST_INDEX))["weight_map"].values()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            missing[name] = None
            continue
        below = name.rpartition("/")[0]
        paths = (f"{below}/{shard}" if below else str(shard) for shard in wanted)
        missing |= dict.fromkeys(path for path in paths if path not in names)
    return list(missing)
