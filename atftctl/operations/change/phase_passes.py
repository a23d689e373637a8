"""Phases of `reenable` whose settings an operation takes away: their gates count for nothing from then on."""

from __future__ import annotations

from dataclasses import replace

from atftctl.decide.verdicts.phases import taken_away
from atftctl.domain.errors import AtftError
from atftctl.domain.reenabling import GOOD
from atftctl.host.errors import HostError
from atftctl.observe.configs import read_configs
from atftctl.operations.project import Project
from atftctl.protocol.messages import tr
from atftctl.state import reenable as store

CAN_BE_LOST = (*GOOD, "held", "watching")


def void_lost(project: Project, command: str = "", operation: str = "") -> None:
    """Record, under the lock, which phases this operation made void, so that they stay void where their settings come
    back by another way than a gate. `operation`: its id; "" for one that recovery has just brought to its end. Raises
    nothing: without the record, a phase is void only while its settings are gone."""
    try:
        state = store.read(project.layout)
        configs = read_configs(project.layout.root, project.runbook.files)
        if state is None:
            return
        note = tr("{command} {operation} took its settings away", command=command, operation=operation)
        if not operation:
            note = tr("an operation that a crash interrupted took its settings away")
        left = state
        for phase in state.phases:
            if phase.doing in CAN_BE_LOST and taken_away(project.runbook, configs, state.contents, phase.number):
                left = left.having(replace(phase, doing="void", note=note))
        if left != state:
            store.write(project.layout, left)
    except (AtftError, HostError, OSError, KeyError):
        return
