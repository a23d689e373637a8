"""Find the checkpoints that a pattern of the runbook names, such as `out/checkpoint-*`."""

from __future__ import annotations

import os
from dataclasses import replace

from atftctl.domain.checkpoint import Checkpoints, is_pattern
from atftctl.host.errors import HostError
from atftctl.host.files import matching
from atftctl.protocol.checkpoints import HISTORY
from atftctl.state.layout import Layout

MOST = 1000  # matches that are looked at, those that were written last


def matches(layout: Layout, pattern: str) -> list[str]:
    """The paths that match, sorted; of very many, those that were written last. Hidden ones, which may be unfinished,
    are left out. `**` is any number of folders."""
    import glob

    names = glob.iglob(pattern, root_dir=layout.root, recursive=True)  # noqa: PTH207 - relative names
    inside = [name for name in matching.newest(layout.root, names, MOST) if _is_inside(layout, name)]
    return sorted(map(os.path.normpath, inside))


def _is_inside(layout: Layout, name: str) -> bool:
    try:
        layout.place(name)
    except HostError:
        return False
    return True


def newest(layout: Layout, pattern: str) -> str:
    """The match that was written last; the pattern itself where there is none, which is then a name without a file."""
    times = {name: _written(layout, name) for name in matches(layout, pattern)}
    return max(times, key=lambda name: (times[name], name)) if times else pattern


def _written(layout: Layout, name: str) -> float:
    try:
        return os.lstat(layout.root / name).st_mtime
    except OSError:
        return 0.0


def resolved(layout: Layout, rules: Checkpoints) -> tuple[Checkpoints, list[str]]:
    """The rules with the newest match in place of each pattern; and the paths of earlier checkpoints that patterns
    name, which are in no folder of a history."""
    earlier: dict[str, None] = {}
    last, best = rules.last, rules.best
    if is_pattern(last):
        earlier |= dict.fromkeys(matches(layout, last))
        last = newest(layout, last)
    if is_pattern(best):
        best = newest(layout, best)
    history = rules.history
    if is_pattern(history):
        earlier |= dict.fromkeys(matches(layout, history))
        history = HISTORY
    earlier.pop(last, None)
    earlier.pop(best, None)
    return replace(rules, last=last, best=best, history=history), list(earlier)
