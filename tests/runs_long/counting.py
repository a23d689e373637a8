"""What the detectors and the watcher say of healthy runs of the real trainer, with bounds."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.decide.detectors import bank, slow, spike, step_time
from atftctl.decide.diagnosis.replayed import Counted, Replay, upper_bound
from atftctl.domain.run_rows import Row
from atftctl.domain.runbook import Runbook
from atftctl.observe.metrics.run_rows import FileRows
from atftctl.observe.runbook import load, locate
from tests.runs_long.training import ROOT, Run
from tests.support.real_faults import curve_of_rows

NOTES = (spike.NAME, step_time.NAME)  # shown, and they speak for no cause


def runbook() -> Runbook:
    """The runbook of this repository."""
    return load.load(locate.find_project(ROOT)).runbook


def rows_of(run: Run, book: Runbook) -> list[Row]:
    """All rows of a run."""
    columns = (*bank.rules_of(book).columns, book.metrics.quality)
    return list(FileRows(run.metrics, tuple(dict.fromkeys(columns))))


def count(runs: Sequence[Run]) -> int:
    """Print the table; the exit code: 1 where the watcher would have acted in healthy training."""
    book = runbook()
    replay = Replay(bank.rules_of(book), runbook=book)
    for run in runs:
        replay.feed(run.name, rows_of(run, book))
    compared = compare(runs, book)
    print(f"{replay.runs} healthy runs of the real trainer, {replay.rows:,} steps")
    print(f"{'detector':16} {'judged':>9} {'false':>6} {'in 10,000, at most':>20} {'runs':>6} {'at most':>8}")
    lines = {**replay.counted, slow.NAME: compared[0]}
    for name, counted in lines.items():
        hit = (
            compared[1] if name == slow.NAME else {run for run, finding in replay.findings if finding.detector == name}
        )
        total = compared[2] if name == slow.NAME else replay.runs
        _line(name + (" (note)" if name in NOTES else ""), counted, len(hit), total)
    acted = [run.name for run in replay.acts if run.false]
    steps = sum(run.steps for run in replay.acts)
    _line("rollback", Counted(sum(run.false for run in replay.acts), steps), len(acted), replay.runs)
    for name, finding in replay.findings:
        if finding.detector not in NOTES:
            print(f"  {name}: {finding.text}")
    if acted:
        print(f"the watcher would have acted in: {', '.join(acted)}")
    return int(bool(acted))


def _line(name: str, counted: Counted, hit: int, runs: int) -> None:
    bound = f"{1e4 * upper_bound(counted.false, counted.judged):.2f}"
    share = f"{100 * upper_bound(hit, runs):.1f} %"
    print(f"{name:16} {counted.judged:9,} {counted.false:6} {bound:>20} {hit:6} {share:>8}")


def compare(runs: Sequence[Run], book: Runbook) -> tuple[Counted, set[str], int]:
    """(alarms of `slower` among runs of the same kind on the same market, in which pairs, how many pairs). Each run is
    compared with the curve of the other seed."""
    counted, hit, pairs = Counted(), set[str](), 0
    known = {run.name.partition("-")[2]: run for run in runs}
    for name, run in known.items():
        kind, _, seed = name.rpartition("-")
        other = known.get(f"{kind}-{int(seed) + (1 if int(seed) % 2 else -1)}")
        if other is None:
            continue
        pairs += 1
        curve = curve_of_rows(rows_of(other, book), book.metrics.loss)
        rules, state = bank.rules_of(book, curve), bank.State()
        for row in rows_of(run, book):
            counted.judged += slow.NAME in bank.judging(rules, state, row)
            state, findings = bank.take(rules, state, row)
            for finding in findings:
                if finding.detector == slow.NAME:
                    counted.false += 1
                    hit.add(run.name)
                    print(f"  {run.name} against {other.name}: {finding.text}")
    return counted, hit, pairs
