"""The checks of a gate, made by `verify`."""

from __future__ import annotations

from collections.abc import Iterable

from atftctl.decide.verdicts import gate as verdicts
from atftctl.domain.checks import title_of
from atftctl.domain.errors import AtftError, Interrupted
from atftctl.domain.gate import MODEL, QUALITY
from atftctl.domain.verdict import Check, Verdict
from atftctl.operations.reenable.run import PhaseRun
from atftctl.operations.verification.checklist import CheckLine, VerifyData, verify
from atftctl.protocol.messages import tr


def measure(run: PhaseRun) -> list[Check]:
    """Run the checks that the gate asks for. A check that could not be made is inconclusive, never a pass."""
    gate = run.rule.gate
    names = dict.fromkeys([*gate.checks, *([QUALITY, MODEL] if gate.quality else [])])
    if not names:
        return []
    try:
        result = verify(run.project, run.request, only=tuple(names))
    except Interrupted:
        raise
    except AtftError as error:
        return [Check("verify", Verdict.INCONCLUSIVE, error.message)]
    assert isinstance(result.data, VerifyData)
    made = {line.name: _check(line) for line in result.data.checks}
    checks = [made.get(name) or _missing(name) for name in gate.checks]
    if gate.quality:
        compared = made.get(QUALITY) or _missing(QUALITY)
        checks.append(verdicts.quality(compared, made.get(MODEL), run.phase.view.models, gate.quality))
    return checks


def _check(line: CheckLine) -> Check:
    """The line as a check; an inconclusive one also says what to do."""
    detail = tr("{detail}; {hint}", detail=line.detail, hint=line.hint) if line.hint else line.detail
    return Check(line.title or line.name, Verdict(line.verdict), detail, line.figures)


def _missing(name: str) -> Check:
    return Check(title_of(name), Verdict.INCONCLUSIVE, tr("not measured"))


def failed(checks: Iterable[Check]) -> list[Check]:
    """The checks that did not pass, or all where all did."""
    checks = list(checks)
    return [check for check in checks if check.verdict is not Verdict.PASS] or checks
