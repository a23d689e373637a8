"""What runs a trainer: what is believed of a job, and records of other versions."""

from __future__ import annotations

import json

import pytest

from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.slurm_rules import megabytes
from atftctl.host.slurm.facts import JobFacts
from atftctl.state.engines.slurm_judge import Judged, judge
from atftctl.state.engines.slurm_signs import Signs
from atftctl.state.engines.slurm_view import View
from tests.support.projects import Project

RECORD = ProcessRecord("run", "running", "2026-12-01T09:00:00+09:00", "d", "last", 0, pid=12, engine="slurm")


def view(*states: str, nodes: str = "n1", restarts: int = 0, reason: str = "") -> View:
    return View(JobFacts("c", 12, states, user="u", nodes=nodes, restarts=restarts, reason=reason), states)


def word(judged: Judged) -> str:
    """What the judgement is, in one word."""
    if judged.unproven:
        return "blocked" if judged.blocked else "unproven"
    return "waiting" if judged.waiting else "unknown" if judged.unknown else "alive" if judged.alive else "ended"


BEGAN = Signs(began=True, host="n1")
LIVES = Signs(began=True, host="n1", beat_s=1.0, limit_s=15.0)
QUIET = Signs(began=True, host="n1", beat_s=60.0, limit_s=15.0)  # perhaps only because the clocks differ
SILENT = Signs(began=True, host="n1", beat_s=400.0, limit_s=15.0)
OVER = Signs(began=True, host="n1", over=True, beat_s=1.0, limit_s=15.0)
FINAL = Signs(began=True, host="n1", final=True, beat_s=1.0, limit_s=15.0)
LATE, FORGOTTEN = View(problem="squeue did not end within 6 s"), View()


@pytest.mark.parametrize(
    ("claim", "signs", "expected"),
    [
        (view("PENDING", nodes="", reason="Resources"), Signs(), "waiting"),
        (view("PENDING", nodes="", reason="Resources"), BEGAN, "alive"),
        (view("RUNNING"), Signs(), "alive"),
        (view("RUNNING"), SILENT, "alive"),  # it hangs, and its processes are there
        (view("RUNNING"), OVER, "ended"),
        (view("RUNNING"), FINAL, "alive"),  # it is about to exit
        (view("COMPLETED"), FINAL, "ended"),
        (view("CANCELLED"), LIVES, "alive"),  # Slurm calls it cancelled, and it trains
        (view("CANCELLED"), QUIET, "unproven"),
        (view("CANCELLED"), SILENT, "ended"),
        (view("CANCELLED"), BEGAN, "blocked"),
        (view("CANCELLED", nodes=""), Signs(), "ended"),  # it never had a node
        (view("FAILED"), Signs(), "ended"),  # the node could not even start the keeper
        (view("NODE_FAIL"), LIVES, "alive"),
        (view("NODE_FAIL"), SILENT, "blocked"),
        (view("NODE_FAIL"), FINAL, "ended"),
        (view("RUNNING", restarts=1), SILENT, "blocked"),  # the job runs again, the first trainer may, too
        (view("PENDING", restarts=1), LIVES, "alive"),
        (view("COMPLETED", restarts=1), OVER, "ended"),
        (FORGOTTEN, SILENT, "blocked"),
        (FORGOTTEN, OVER, "ended"),
        (FORGOTTEN, Signs(), "ended"),
        (LATE, LIVES, "alive"),
        (LATE, SILENT, "unknown"),
        (LATE, Signs(), "unknown"),
        (LATE, OVER, "ended"),
        (view("SOMETHING_NEW"), LIVES, "alive"),
    ],
)
def test_only_the_run_itself_shows_that_it_has_ended(claim: View, signs: Signs, expected: str) -> None:
    assert word(judge(RECORD, claim, signs)) == expected


def test_what_is_not_proven_is_said_with_who_where_and_since_when() -> None:
    text = judge(RECORD, view("NODE_FAIL"), SILENT).unproven
    assert all(part in text for part in ("job 12", "user u", "on n1", "2026-12-01T09:00:00", "NODE_FAIL", "400 s ago"))


def test_records_of_other_versions(project: Project) -> None:
    """One without an engine is that of a process; one of an engine that nobody knows counts as running elsewhere."""
    old = {name: value for name, value in RECORD.to_json().items() if name not in ("engine", "restarts")}
    assert ProcessRecord.from_json(old).engine == "local"
    with pytest.raises(ValueError, match="restarts"):
        ProcessRecord.from_json({**old, "restarts": -1})
    project.write(".atftctl/process.json", json.dumps({**old, "engine": "k8s"}))
    refused = project.run("trainer", "start")
    assert refused.code == 3 and "another engine (k8s" in refused.err, refused
    assert project.run("trainer", "status", "--json").json["data"]["state"] == "elsewhere"


def test_amounts_of_memory() -> None:
    texts = ("", "800", "800M", "16G", "1t", "16 GB", "-1", "٣G", "1.5G")
    assert [megabytes(text) for text in texts] == [0, 800, 800, 16384, 1 << 20, None, None, None, None]
