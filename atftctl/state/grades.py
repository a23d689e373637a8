"""The grades of checkpoints that were measured, by SHA-256 and settings: `.atftctl/checkpoints.json`."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.domain.checkpoint import Graded, outweighs
from atftctl.host.errors import HostError
from atftctl.host.files.durable import write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import read_bytes
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

MOST = 1000  # records; the oldest go first
LONGEST = 4 << 20  # bytes that are read

Grades = Mapping[tuple[str, str], Graded]  # by SHA-256 and the digest of the settings


def read(layout: Layout) -> Grades:
    """The recorded grades. Empty where there is no file, or none that can be read: what it held is measured again."""
    try:
        body = sealed_records.unseal(read_bytes(layout.grades, LONGEST), layout.grades.name)
        known = [Graded.from_json(entry) for entry in body["grades"]]
    except (OSError, HostError, KeyError, TypeError, ValueError):
        return {}
    return {(graded.sha256, graded.config): graded for graded in known}


def record(layout: Layout, *grades: Graded) -> None:
    """Add grades, in place of earlier ones of the same checkpoint and settings that say less (see `outweighs`). Called
    under the project's lock. Raises OSError."""
    kept = {**read(layout)}
    for graded in grades:
        key = (graded.sha256, graded.config)
        if key not in kept or outweighs(graded, kept[key]):
            kept.pop(key, None)
            kept[key] = graded
    make_dirs(layout.state, 0o700)
    body = {"grades": [graded.to_json() for graded in [*kept.values()][-MOST:]]}
    write_durably(layout.grades, sealed_records.seal(body), 0o600)
