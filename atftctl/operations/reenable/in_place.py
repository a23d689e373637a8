"""Is anything that a phase turned on still on?"""

from __future__ import annotations

from atftctl.decide.verdicts.phases import Configs, taken_away
from atftctl.domain.errors import AtftError
from atftctl.operations.project import observe
from atftctl.operations.reenable.run import PhaseRun
from atftctl.state import history


def is_anything_on(run: PhaseRun, configs: Configs) -> bool:
    """Is any setting of this phase in place, by the phase's own change? Settings of earlier phases do not count: a
    phase may be on although an earlier one was taken away. Raises Refused for an unreadable config."""
    contents = run.state.contents[run.number - 1 :]
    gone = taken_away(run.project.runbook, configs, contents, 1)
    return len(gone) < len(contents[0]["settings"]) and not _files_are_as_before(run)


def _files_are_as_before(run: PhaseRun) -> bool:
    """Has every file that the phase's operation changed its content of before? A setting that had the wanted value
    before the phase stays in place when the phase is undone."""
    if not run.phase.operation:
        return False
    try:
        files = history.find(history.read(run.layout), run.phase.operation)["files"]
    except AtftError:  # its line is lost
        return False
    before = {str(file["path"]): file["old"] for file in files}
    digests = observe(run.project, before).digests
    return bool(before) and all(digests.get(path) == old for path, old in before.items())
