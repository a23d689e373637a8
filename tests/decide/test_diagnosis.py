"""From signs to a cause: what is certain, what is only possible, and when nothing can be told."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from typing import Any

import pytest

from atftctl import protocol
from atftctl.decide.detectors import bank
from atftctl.decide.diagnosis import causes, judge
from atftctl.decide.diagnosis.detected import detect
from atftctl.domain.detector_rules import DetectorRule
from atftctl.domain.diagnosis import Checkpoint, Diagnosis, KernelSign, LogSign, Observed
from atftctl.domain.facts import Process
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import ErrorPattern, Logs
from atftctl.domain.log_lines.signatures import wanted
from atftctl.domain.log_lines.tally import Found, Tally
from atftctl.domain.run_rows import RunRows
from atftctl.observe.diagnosis import log_signs
from atftctl.observe.runbook import load, locate
from atftctl.protocol import TrainerExit
from tests.support.projects import ROOT
from tests.support.series import RULES, healthy, with_fault

BOOK = load.load(locate.find_project(ROOT)).runbook
NOW = 1_796_000_000.0
MATCHER = Matcher(wanted(Logs()))
KINDS = {kind.name: kind for kind in MATCHER.patterns}
ALIVE = Process(state="running", pid=7, run_id="r", generation=1, section="step", step=400)
DEAD = Process(state="died", run_id="r", generation=1, last_event={"event": "first_step", "step": 1, "t": NOW - 90})
COLUMNS = ("step", "loss", "norm", "memory", "seconds")
ROWS = RunRows(tuple(healthy(400, 1)), 400, columns=COLUMNS, written=NOW - 1)


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"event": name, "t": NOW - 5, "step": 400, "run_id": "r", **fields}


def line(text: str, *, ago: float = 60, severity: Any = "") -> LogSign:
    kind = MATCHER.patterns[MATCHER.kind(text) or 0]
    return LogSign(kind.name, kind.role, kind.symptom, severity or kind.severity, text, 1, NOW - ago)


def told(process: Process = ALIVE, rules: bank.Rules = RULES, **facts: Any) -> Diagnosis:
    seen = Observed(NOW, process, pid=7, **{"rows": ROWS, "wanted": "running", **facts})
    return judge.judge(seen, detect(rules, seen.rows), MATCHER, 2000)


def main(diagnosis: Diagnosis) -> tuple[str, str]:
    assert diagnosis.main is not None and not diagnosis.healthy, diagnosis
    return diagnosis.main.cause, diagnosis.main.confidence


def test_healthy_only_where_enough_was_seen() -> None:
    assert told().healthy and not told().unknown
    assert told(replace(ALIVE, state="stopped"), wanted="stopped").healthy
    assert not told(rows=RunRows(tuple(healthy(20, 1)), 20, written=NOW)).healthy
    assert not told(rules=bank.Rules(memory="memory")).healthy, "no column of the loss"


OOM = event(protocol.OOM, message="CUDA out of memory", recoverable=False)


@pytest.mark.parametrize(
    ("facts", "cause", "confidence"),
    [
        ({"events": (OOM,)}, "out-of-memory", "certain"),
        ({"events": (event(protocol.STOPPED, exit_code=11, reason="x"),)}, "out-of-memory", "certain"),
        ({"events": (event(protocol.ANOMALY, quantity="loss", value="nan"),)}, "anomaly", "certain"),
        ({"logs": (line("torch.OutOfMemoryError: CUDA out of memory."),)}, "out-of-memory", "likely"),
        ({"kernel": (KernelSign(7, "Out of memory: Killed process 7 (python)", NOW - 5),)}, "out-of-memory", "certain"),
        ({"killed": True}, "out-of-memory", "possible"),
        ({"killed": True, "logs": (line("Killed"),)}, "out-of-memory", "certain"),
        ({"kernel": (KernelSign(99, "Out of memory: Killed process 99 (java)", NOW),)}, "out-of-memory", "possible"),
        ({"kernel": (KernelSign(0, "NVRM: Xid (PCI:0000:65:00): 79", NOW, 79),)}, "cuda-hardware", "likely"),
        ({"kernel": (KernelSign(0, "NVRM: Xid (PCI:0000:65:00): 69", NOW, 69),)}, "cuda", "possible"),
        ({"logs": (line("OSError: [Errno 28] No space left on device"),)}, "disk-full", "likely"),
        ({"events": (event(protocol.STOPPED, exit_code=14, reason="x"),)}, "checkpoint", "certain"),
        (
            {"events": (event(protocol.STOPPED, exit_code=1, reason="OSError: [Errno 28] No space left on device"),)},
            "disk-full",
            "likely",
        ),
        ({"rows": RunRows(tuple(with_fault("nan", 350, 400, 1)), 400, written=NOW)}, "anomaly", "likely"),
    ],
)
def test_why_it_died(facts: dict[str, Any], cause: str, confidence: str) -> None:
    assert main(told(DEAD, **facts)) == (cause, confidence)


@pytest.mark.parametrize("text", ["Killed", "command terminated with exit code 137", "  exitcode  : -9 (pid: 5277)"])
def test_killed_alone_proves_nothing(text: str) -> None:
    diagnosis = told(DEAD, logs=(line(text),), killed=False)
    assert diagnosis.main is None and not diagnosis.healthy and any("died" in why for why in diagnosis.unknown)


@pytest.mark.parametrize(
    ("pattern", "text", "cause"),
    [
        ("CUDA out of memory", "torch.OutOfMemoryError: CUDA out of memory.", "out-of-memory"),
        ("No space", "OSError: [Errno 28] No space left on device", "disk-full"),
        ("Shampoo", "ERROR Shampoo diverges", ""),
    ],
)
def test_a_kind_of_the_runbook_without_a_role_hides_no_known_one(pattern: str, text: str, cause: str) -> None:
    kinds = wanted(Logs(errors=(ErrorPattern("own", pattern, "fatal"),)))
    tally = Tally()
    tally.begin_log()
    tally.add(Found("own", "fatal", "x.log", NOW - 5, True, text, ()))
    signs = log_signs(tally, kinds)
    assert [(sign.kind, sign.symptom) for sign in signs] == [("own", cause)]
    diagnosis = told(DEAD, logs=signs)
    assert (diagnosis.main.cause if diagnosis.main else "") == cause
    stopped = Observed(NOW, DEAD, events=(event(protocol.STOPPED, exit_code=1, reason=text),), rows=ROWS)
    found = judge.judge(stopped, detect(RULES, ROWS), Matcher(kinds))
    assert main(found) == ((cause, "likely") if cause else ("code", "possible"))


def test_the_first_message_of_a_kind_is_kept_after_any_number_of_others() -> None:
    tally = Tally()
    tally.begin_log()
    for number in range(600):
        text = "could not read " + "".join(chr(97 + number // 26**place % 26) for place in range(3))
        tally.add(Found("failed", "warning", "x.log", NOW - 90, True, text, ()))
    tally.add(Found("cuda-memory", "fatal", "x.log", NOW - 5, True, "torch.OutOfMemoryError: CUDA out of memory", ()))
    assert main(told(DEAD, logs=log_signs(tally, wanted(Logs())))) == ("out-of-memory", "likely")


def test_a_save_that_failed_once() -> None:
    failed = event(protocol.SAVE_FAILED, path="models/last.pth", message="OSError: [Errno 28] No space left on device")
    saved = event(protocol.CHECKPOINT, path="models/last.pth")
    assert told(events=(failed, saved)).healthy and told(events=(failed, saved)).notes
    assert main(told(events=(saved, failed))) == ("disk-full", "possible"), "it goes on"
    assert main(told(events=(failed, {**saved, "path": "models/best_model.pth"}))) == ("disk-full", "possible")
    kill = KernelSign(99, "Out of memory: Killed process 99 (java)", NOW)
    causes = [item.cause for item in told(DEAD, events=(failed, saved), kernel=(kill,)).hypotheses]
    assert causes == ["out-of-memory"], "it is not how the trainer ended"


def test_a_root_cause_that_the_trainer_trained_on_after_is_weak() -> None:
    early = line("ModuleNotFoundError: No module named 'apex'", ago=900)
    late = line("torch.OutOfMemoryError: CUDA out of memory.", ago=5)
    diagnosis = told(DEAD, logs=(early, late), progress=NOW - 10)
    assert main(diagnosis) == ("out-of-memory", "likely")
    assert [item.confidence for item in diagnosis.hypotheses] == ["likely", "possible"]
    assert not told(DEAD, logs=(early,), progress=NOW - 10).is_sure
    assert main(told(DEAD, logs=(replace(early, last=NOW - 4, count=2),), progress=NOW - 10))[1] == "likely"
    assert main(told(DEAD, logs=(early, late), progress=NOW - 2000)) == ("python-packages", "likely")


def test_titles_and_commands() -> None:
    symptom = replace(BOOK.symptoms["oom"], table={}, block={}, alternatives=())
    book = replace(BOOK, symptoms={"oom": symptom})
    assert str(causes.title_of(book, "checkpoint-other")) == "a checkpoint that does not fit the model"
    assert str(causes.title_of(book, "checkpoint-damaged")) == "a damaged checkpoint"
    assert str(causes.title_of(book, "cuda-assert")) == "an error in the code"
    command, advice = causes.command_of(book, {}, "out-of-memory")
    assert command == "atftctl trainer status" and "in place already" in advice, "a command, and a sentence"
    for cause in causes.CAUSES:
        command, _ = causes.command_of(book, {}, cause)
        assert re.fullmatch(r"[a-z][\w .:&-]+", command), command


def thinned(count: int, growth: float) -> RunRows:
    """The rows of a long run as `diagnose` keeps them: memory grows by this share until its end."""
    rows = [
        row._replace(values={**row.values, "memory": row.values["memory"] + 500 * growth * row.step / count})
        for row in healthy(count, 3)
    ]
    older, newest = rows[:-2000], rows[-2000:]
    kept = (*older[:: -(-len(older) // 1000)], *newest)
    return RunRows(kept, count, columns=COLUMNS, written=NOW - 1)


def test_a_leak_is_seen_in_rows_that_were_thinned_out() -> None:
    rows = thinned(20_000, 0.15)
    found = detect(RULES, rows)
    assert len(rows.rows) < 4000 and "leak" in found.active and main(told(rows=rows)) == ("leak", "possible")
    steady = detect(RULES, thinned(12_000, 0.0))
    assert "leak" not in steady.active and steady.ready["memory"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda values: {**values, "loss": -values["loss"]}, "loss is not positive"),
        (lambda values: {"memory": values["memory"]}, "have no column loss"),
    ],
)
def test_a_loss_that_can_not_be_judged(change: Any, text: str) -> None:
    changed = tuple(row._replace(values=change(row.values)) for row in ROWS.rows)
    rows = replace(ROWS, rows=changed, columns=("step", *changed[0].values))
    diagnosis = told(rows=rows)
    assert not diagnosis.healthy and text in "; ".join(diagnosis.unknown)


def test_a_row_of_many_steps_may_take_as_long() -> None:
    rows = tuple(row._replace(step=100 * row.step, values={**row.values, "seconds": 1.0}) for row in ROWS.rows)
    assert told(rows=replace(ROWS, rows=rows, written=NOW - 400)).healthy
    assert not told(rows=replace(ROWS, rows=rows, written=NOW - 900)).healthy


SURVIVED: list[dict[str, Any]] = [
    {"logs": (line("torch.OutOfMemoryError: CUDA out of memory."),)},
    {"logs": (line("wandb.errors.CommError: retry"), line("Traceback (most recent call last):"))},
    {"kernel": (KernelSign(0, "NVRM: Xid (PCI:0000:65:00): 79", NOW - 5, 79),)},
    {"kernel": (KernelSign(7, "Out of memory: Killed process 7 (python)", NOW - 5),)},
    {"killed": True},
]


@pytest.mark.parametrize("facts", SURVIVED)
@pytest.mark.parametrize("state", ["stopped", "finished"])
def test_what_a_trainer_survived_is_no_sure_cause(facts: dict[str, Any], state: Any) -> None:
    """A trainer that is not alive need not have died."""
    process = replace(DEAD, state=state)
    assert not told(process, wanted="stopped", **facts).is_sure
    crashed = (event(protocol.STOPPED, exit_code=int(TrainerExit.CRASHED), reason="x"),)
    if "logs" in facts:
        assert told(process, wanted="stopped", events=crashed, **facts).is_sure, "it died before it was stopped"


@pytest.mark.parametrize(
    "text", ["ERROR step 137: retry", "Aborted (core dumped)", "Segmentation fault", "ERROR rank 137 exitcode: -6"]
)
def test_only_sigkill_and_a_count_of_the_cgroup_are_a_proof(text: str) -> None:
    diagnosis = told(DEAD, killed=True, logs=(line(text),))
    memory = [item for item in diagnosis.hypotheses if item.cause == "out-of-memory"]
    assert memory and memory[0].confidence == "possible"
    assert main(told(DEAD, killed=True, logs=(line("command terminated with exit code 137"),))) == (
        "out-of-memory",
        "certain",
    )


@pytest.mark.parametrize(
    "facts",
    [
        {"kernel_here": False},
        {"started": NOW + 1},
        {"kernel_pids": False, "events": (event(protocol.STOPPED, exit_code=1, reason="x"),)},
    ],
)
def test_a_kernel_that_speaks_of_something_else(facts: dict[str, Any]) -> None:
    """Of another machine or boot, of a time before the start, of a process that has our number elsewhere."""
    kernel = (KernelSign(7, "Out of memory: Killed process 7 (chrome)", NOW),)
    if "kernel_pids" not in facts:
        kernel += (KernelSign(0, "NVRM: Xid (PCI:0000:65:00): 79", NOW, 79),)
    diagnosis = told(DEAD, kernel=kernel, **facts)
    assert not diagnosis.is_sure and "out-of-memory" not in {item.cause for item in diagnosis.hypotheses}
    assert len([note for note in diagnosis.notes if note.source == "kernel"]) == len(kernel)


def test_the_end_of_a_program_that_erred_is_no_fault_of_the_card() -> None:
    for xid in (13, 31, 43, 45):
        diagnosis = told(DEAD, kernel=(KernelSign(0, f"NVRM: Xid (PCI:0000:65:00): {xid}, pid=7", NOW, xid),))
        assert diagnosis.main is None and "a consequence" in "; ".join(note.text for note in diagnosis.notes)
        kinds = line(f"kernel: NVRM: Xid (PCI:0000:65:00): {xid}, pid=7")
        assert (kinds.kind, kinds.role) == ("cuda-xid", "consequence")


def test_a_trainer_elsewhere_is_not_said_to_have_ended() -> None:
    unknown = "; ".join(told(replace(DEAD, state="elsewhere", where="node7")).unknown)
    assert "node7" in unknown and "does not run" not in unknown


def with_norms(*values: float) -> RunRows:
    """Rows whose last gradient norms are these."""
    rows = list(healthy(400, 1))
    for number, value in enumerate(values, len(rows) - len(values)):
        rows[number] = rows[number]._replace(values={**rows[number].values, "norm": value})
    return RunRows(tuple(rows), 400, columns=("step",), written=NOW - 1)


def test_steps_that_16_bit_training_skips_are_healthy() -> None:
    usual = 1.2
    assert told(rows=with_norms(math.inf, usual, math.nan, *[math.inf] * 18, usual)).healthy
    assert main(told(rows=with_norms(*[math.inf] * 20))) == ("anomaly", "likely")
    assert told(rows=with_norms(*[math.inf] * 20, usual)).healthy, "it has ended since"


def test_two_kinds_of_strong_signs_are_certain() -> None:
    rows = RunRows(tuple(with_fault("plus-50", 300, 400, 1)), 400, written=NOW)
    signs = (line("RuntimeError: Function 'LogBackward0' returned nan values in its 0th output."),)
    assert main(told(DEAD, rows=rows, logs=signs)) == ("anomaly", "certain")


def test_the_first_root_cause_is_named_not_the_last_line() -> None:
    logs = (
        line("ERROR:x:failed (exitcode: 1) local_rank: 0 (pid: 33054) of binary: python", ago=1),
        line("[Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)", ago=20),
        line("RuntimeError: CUDA error: device-side assert triggered", ago=40),
        line("KeyError: Caught KeyError in DataLoader worker process 0.", ago=90),
    )
    diagnosis = told(DEAD, logs=logs)
    assert main(diagnosis) == ("loader-code", "likely")
    assert [hypothesis.cause for hypothesis in diagnosis.hypotheses] == ["loader-code", "cuda-assert"]
    assert len(diagnosis.notes) >= 2


def test_a_line_in_the_log_of_a_trainer_that_goes_on_is_no_proof() -> None:
    diagnosis = told(logs=(line("OSError: [Errno 28] No space left on device"),))
    assert main(diagnosis) == ("disk-full", "possible") and not diagnosis.is_sure
    assert told(logs=(line("WARNING CUDA out of memory: trying again", severity="warning"),)).healthy
    recovered = (event(protocol.OOM, message="x", recoverable=True), event(protocol.RECOVERED, message="x"))
    assert told(events=recovered).healthy


@pytest.mark.parametrize("kind", ["nan", "times-1.1", "plus-50"])
def test_metrics_of_a_trainer_that_runs(kind: str) -> None:
    rows = RunRows(tuple(with_fault(kind, 370, 400, 1)), 400, written=NOW)
    assert main(told(rows=rows)) == ("anomaly", "likely")


def test_a_leak_alone_is_possible_only() -> None:
    diagnosis = told(rows=RunRows(tuple(with_fault("leak", 1, 400, 1)), 400, written=NOW))
    assert main(diagnosis) == ("leak", "possible")
    assert diagnosis.main and any("limit of 2,000 MB" in sign.text for sign in diagnosis.main.evidence)


def test_a_rule_of_the_runbook_speaks_for_its_symptom() -> None:
    rules = bank.Rules("loss", thresholds={"own": DetectorRule("loss", above=0.1, rows=5, symptom="divergence")})
    assert main(told(rules=rules)) == ("divergence", "likely")
    rules = bank.Rules("loss", thresholds={"own": DetectorRule("loss", above=0.1, rows=5)})
    assert told(rules=rules).healthy, "a rule without a symptom is a note"


def test_a_hang_and_what_speaks_against_it() -> None:
    assert main(told(replace(ALIVE, silent_s=400.0))) == ("hang", "likely")
    assert told(replace(ALIVE, section="save"), rows=replace(ROWS, written=NOW - 4000)).healthy, "it saves"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (RunRows(), "no metrics of this run"),
        (RunRows(earlier=500, written=NOW), "earlier ones that were left out: 500"),
        (replace(ROWS, later=3), "newer trainer"),
        (replace(ROWS, written=NOW + 3600), "in the future"),
        (replace(ROWS, written=NOW - 3600), "3600 s old"),
        (replace(ROWS, torn=200), "torn"),
        (RunRows(problem="Permission denied"), "can't be read"),
    ],
)
def test_metrics_that_say_nothing(rows: RunRows, text: str) -> None:
    diagnosis = told(rows=rows)
    assert not diagnosis.healthy and diagnosis.main is None and text in "; ".join(diagnosis.unknown)


def test_checkpoints() -> None:
    damaged = Checkpoint("models/last.pth", whole=False, damage="the zip is not complete")
    assert main(told(checkpoints=(damaged,))) == ("checkpoint", "possible")
    whole = Checkpoint("models/last.pth", whole=True)
    assert told(checkpoints=(whole, Checkpoint("models/best.pth", whole=False))).healthy
    exits = (event(protocol.STOPPED, exit_code=int(TrainerExit.BAD_CHECKPOINT), reason="x"),)
    diagnosis = told(DEAD, events=exits, checkpoints=(whole,))
    assert diagnosis.main and diagnosis.main.against, "what speaks against it is shown"


def test_logs_that_could_not_be_read_are_no_health() -> None:
    assert not told(logs_unread=("logs/training.log: Permission denied",)).healthy
    assert not told(Process()).healthy and not told(replace(ALIVE, where="node7")).healthy


def test_a_gradient_norm_that_is_over_its_limit_now_and_then_is_one_note() -> None:
    """As that of the real trainer, late in a long run; where it always is, something may be wrong."""
    rng = random.Random(1)
    rows = [
        row._replace(values={**row.values, "norm": 2.0 if row.step < 12 else 3.5 * math.exp(rng.gauss(0, 0.35))})
        for row in healthy(2000, 1)
    ]
    diagnosis = told(rows=RunRows(tuple(rows), 2000, written=NOW))
    about = [sign for sign in diagnosis.notes if "above 5" in sign.text]
    assert diagnosis.healthy and len(about) == 1 and "alarms; the last" in about[0].text
    steep = [row._replace(values={**row.values, "norm": 1.0 if row.step < 12 else 50.0}) for row in healthy(400, 1)]
    assert main(told(rows=RunRows(tuple(steep), 400, written=NOW))) == ("anomaly", "possible")
