"""What the watcher remembers of its rollbacks, `.atftctl/acts.json`: decided, begun, ended.

An act is written before it is carried out, so that its budget and its outcome survive a kill and a reboot.
"""

from __future__ import annotations

from dataclasses import replace

from atftctl.domain.acting import Act, Memory
from atftctl.domain.errors import Refused
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import read_bytes
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

MOST = 200  # acts; the oldest go first
LONGEST = 4 << 20  # bytes that are read


def read(layout: Layout) -> Memory:
    """The memory; an empty one where there is no file. Raises Refused where it can't be read: it must not count as
    empty, or the limits of acting would be those of a new run."""
    try:
        return Memory.from_json(sealed_records.unseal(read_bytes(layout.acts, LONGEST), layout.acts.name))
    except FileNotFoundError:
        return Memory()
    except (OSError, HostError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise Refused(
            tr("the record of the watcher's rollbacks can't be read: {reason}", reason=reason(error)),
            hint=tr("check the operations (atftctl history), then run: rm {path}", path=layout.acts),
        ) from None


def write(layout: Layout, memory: Memory) -> None:
    """Write the memory durably. Raises OSError, HostError."""
    make_dirs(layout.state, 0o700)
    kept = replace(memory, acts=memory.acts[-MOST:])
    write_durably(layout.acts, sealed_records.seal(kept.to_json()), 0o600)


def with_act(memory: Memory, act: Act) -> Memory:
    """The memory with this act, in the place of the one with its id."""
    known = any(other.id == act.id for other in memory.acts)
    acts = tuple(act if other.id == act.id else other for other in memory.acts)
    return replace(memory, acts=acts if known else (*acts, act))
