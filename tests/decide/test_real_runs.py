"""The metrics of one run of the real trainer: no alarm in health, and each fault recognised as what it is, in time.
The long form, over many runs: `make runs-long`, `make faults-long`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from atftctl.decide.detectors import bank
from atftctl.decide.diagnosis.replayed import Replay
from atftctl.domain.run_rows import Row
from atftctl.observe.metrics.run_rows import FileRows
from atftctl.observe.runbook import load, locate
from tests.support.projects import ROOT
from tests.support.real_faults import FAULTS, QUIET, curve_of_rows, diagnose, inject, place_of, recognise

BOOK = load.load(locate.find_project(ROOT)).runbook
RULES = bank.rules_of(BOOK)
FILE = Path(__file__).parents[1] / "support" / "healthy_run.csv"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(FileRows(FILE, (*RULES.columns, BOOK.metrics.quality)))


def test_a_healthy_run_raises_no_alarm_and_is_called_healthy(rows: list[Row]) -> None:
    replay = Replay(RULES, runbook=BOOK)
    replay.feed("healthy", rows)
    assert not [finding for _, finding in replay.findings if finding.detector not in QUIET] and not replay.acts[0].false
    assert replay.healthy == len(rows) > 1000 and diagnose(rows, RULES).healthy


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_recognised_as_what_it_is(kind: str, rows: list[Row]) -> None:
    wanted, limit = FAULTS[kind]
    curve = curve_of_rows(rows, RULES.loss) if kind == "slower" else bank.NO_CURVE
    rules = bank.rules_of(BOOK, curve)
    told = recognise(inject(kind, rows, place_of(kind, rows, random.Random(5)), rules), rules, BOOK)
    assert told.name == wanted and told.rows is not None and told.rows <= limit and not told.before, told
