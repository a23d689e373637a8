"""`--with KEY=VALUE`: added to the changes of a rollback; where both set the same, they win and the plan says so."""

from __future__ import annotations

import pytest

from atftctl.decide.plans import by_settings
from atftctl.decide.plans.added_settings import add_to_targets
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.facts import ConfigFile, Facts, Process
from atftctl.domain.plan import Plan
from atftctl.domain.steps import Target
from tests.decide.test_cases import BOOK as RUNBOOK

CONFIG, TRAINING = RUNBOOK.files.configs


def facts(dropout: float = 0.1, lr: float = 0.001) -> Facts:
    return Facts(configs(dropout, lr), Process())


def configs(dropout: float = 0.1, lr: float = 0.001) -> dict[str, ConfigFile]:
    return {
        CONFIG: ConfigFile(CONFIG, "a", {"improvements": {"freq_dropout_p": dropout}, "data": {"skip": None}}),
        TRAINING: ConfigFile(TRAINING, "b", {"optimizer": {"lr": lr}}),
    }


def plan(added: dict[str, object], known: Facts | None = None) -> Plan:
    return by_settings.rollback_features(RUNBOOK, known or facts(), ["freq_dropout_p"], RestartPolicy(), added=added)


def lines(made: Plan) -> list[str]:
    return [change.describe() for change in made.changes]


def test_added_beside_what_the_rollback_sets() -> None:
    made = plan({"optimizer.lr": 0.0005, "data.skip": "2024-01-01..2024-01-15"})
    assert lines(made) == [
        "improvements.freq_dropout_p: 0.1 → 0.0",
        "data.skip: (not set) → 2024-01-01..2024-01-15",
        "optimizer.lr: 0.001 → 0.0005",
    ]
    assert made.facts["with"] == {"optimizer.lr": 0.0005, "data.skip": "2024-01-01..2024-01-15"}
    assert not any("--with" in note for note in made.notes)


def test_the_operator_wins_and_the_plan_says_so() -> None:
    by_name, by_key = plan({"freq_dropout_p": 0.05}), plan({"improvements.freq_dropout_p": 0.05})
    assert lines(by_name) == lines(by_key) == ["improvements.freq_dropout_p: 0.1 → 0.05"]
    note = "improvements.freq_dropout_p: 0.05 by --with, in place of 0.0, which the rollback sets"
    assert note in by_name.notes and note in by_key.notes
    in_place = plan({"freq_dropout_p": 0.05}, facts(dropout=0.0))
    assert lines(in_place) == ["improvements.freq_dropout_p: 0.0 → 0.05"] and note in in_place.notes


def test_a_setting_that_is_in_place_already() -> None:
    made = plan({"optimizer.lr": 0.001})
    assert lines(made) == ["improvements.freq_dropout_p: 0.1 → 0.0"]
    assert "optimizer.lr is 0.001 already (--with)" in made.notes


def test_with_alone_is_enough_to_change() -> None:
    known = facts(dropout=0.0)
    with pytest.raises(Refused, match="already at the baseline"):
        plan({}, known)
    assert lines(plan({"optimizer.lr": 0.0005}, known)) == ["optimizer.lr: 0.001 → 0.0005"]


def test_what_is_refused() -> None:
    with pytest.raises(Refused, match="no setting 'optimizer.rate'"):
        plan({"optimizer.rate": 1.0})
    with pytest.raises(Refused, match="is not a number"):
        plan({"optimizer.lr": "fast"})
    with pytest.raises(UsageError, match="given twice"):
        plan({"freq_dropout_p": 0.05, "improvements.freq_dropout_p": 0.0})


def test_restored_files_are_edited_as_the_snapshot_has_them() -> None:
    targets = (Target(CONFIG, "a", snapshot="s1", new="c"),)
    restored = {**configs(), CONFIG: configs(dropout=0.2)[CONFIG]}
    added = add_to_targets(RUNBOOK, configs(), restored, targets, {"freq_dropout_p": 0.05, "optimizer.lr": 0.0005})
    config, training = added.targets
    assert config.snapshot == "s1" and [change.old for change in config.changes] == [0.2]
    assert config.describe() == f"restore {CONFIG} from s1, with 1 setting changed" and not config.removes
    assert training == Target(TRAINING, "b", changes=training.changes) and not training.snapshot
    assert added.notes == ("improvements.freq_dropout_p: 0.05 by --with, in place of 0.2, which the rollback sets",)
