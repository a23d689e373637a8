"""What was shown about false rollbacks of the watcher, by the digest of its thresholds: `.atftctl/earned.json`."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.domain.earned import Span
from atftctl.host.errors import HostError
from atftctl.host.files.durable import write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import read_bytes
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

LONGEST = 8 << 20  # bytes that are read
MOST, SETS = 20_000, 10  # spans of one set of thresholds, and such sets; the oldest go first

Proofs = Mapping[str, tuple[Span, ...]]  # by the digest of the thresholds


def read(layout: Layout) -> Proofs:
    """What was shown. Empty where there is no file, or none that can be read: it can be shown again."""
    try:
        body = sealed_records.unseal(read_bytes(layout.earned, LONGEST), layout.earned.name)
        return {str(digest): tuple(map(Span.from_json, spans)) for digest, spans in body["sets"]}
    except (OSError, HostError, LookupError, TypeError, ValueError, ArithmeticError):
        return {}


def write(layout: Layout, digest: str, spans: tuple[Span, ...]) -> None:
    """Write what was shown with one set of thresholds. Raises OSError, HostError."""
    make_dirs(layout.state, 0o700)
    others = [(known, kept) for known, kept in read(layout).items() if known != digest]
    sets = [*others, (digest, spans[-MOST:])][-SETS:]
    body = {"sets": [[known, [span.to_json() for span in kept]] for known, kept in sets]}
    write_durably(layout.earned, sealed_records.seal(body), 0o600)
