"""What is said of a trainer whose first figures are not finite."""

from __future__ import annotations

from typing import Any, cast

from atftctl import protocol
from atftctl.operations.change.ready import of_event

NOWHERE: Any = cast("Any", None)  # neither the project nor the record is looked at


def test_a_trainer_that_goes_on_after_an_anomaly_is_not_said_to_have_ended() -> None:
    event = {"event": protocol.ANOMALY, "quantity": "loss", "value": "nan", "step": 585, "recoverable": True}
    proof = of_event(NOWHERE, NOWHERE, event)
    assert not proof.healthy
    assert str(proof.problem) == "not healthy: loss is nan in step 585; the trainer goes on"
