"""What trainers and atftctl write to each other fits the JSON schemas of the protocol."""

from __future__ import annotations

import json
import sys

import pytest

from atftctl import protocol
from tests.support.projects import OOM, Project, wait_for
from tests.support.schema import FOLDER, checked_events, problems, schema


def test_every_event_has_its_place_in_the_schema() -> None:
    named = {rule["if"]["properties"]["event"]["const"] for rule in schema("event").schema["allOf"]}
    constants = {
        protocol.STARTED, protocol.FIRST_STEP, protocol.CHECKPOINT, protocol.OOM, protocol.RECOVERED, protocol.ANOMALY,
        protocol.EVALUATED, protocol.SAVE_FAILED, protocol.HANG, protocol.WORKER_LOST, protocol.FENCED,
        protocol.RELOADED, protocol.RELOAD_REFUSED, protocol.WARNING, protocol.STOPPED,
    }  # fmt: skip
    assert named == constants
    assert schema("event").schema["properties"]["v"]["const"] == protocol.EVENT_VERSION
    for path in FOLDER.glob("*.json"):
        assert schema(path.stem)


@pytest.mark.parametrize(
    "record",
    [{}, {"event": "started", "t": 1.0}, {"event": "stopped", "t": "now", "run_id": "", "step": 1, "exit_code": 10},
     {"event": "first_step", "t": 1.0, "run_id": "", "step": 1, "digest": "short"},
     {"event": "warning", "t": 1.0, "run_id": "", "step": -1, "message": "x"}],
)  # fmt: skip
def test_the_schema_refuses(record: dict) -> None:
    assert problems("event", record)


def test_the_records_of_the_stand_in_and_of_guard(project: Project) -> None:
    project.start_trainer()
    assert project.run("trainer", "reload").code == 0
    assert project.run(*OOM).code == 0
    project.behave("deaf")
    project.run("trainer", "restart")
    project.replace("runbooks/atft-gat-fan.yaml", "ready_s: 20", "ready_s: 60")
    asked = project.start("trainer", "reload")
    wait_for((project.root / protocol.REQUEST).exists)
    assert not problems("request", json.loads(project.read(protocol.REQUEST)))
    asked.kill()
    asked.communicate()
    project.run("trainer", "stop")
    text = "print('iter 1: loss nan'); print('iter 2: loss 2'); raise MemoryError"
    project.run("guard", "--pattern", r"iter (?P<step>\d+): loss (?P<loss>\S+)", "--", sys.executable, "-c", text)
    assert checked_events(project.root).keys() >= {"started", "first_step", "reloaded", "stopped", "anomaly", "oom"}
