"""All that is known of the service is data of the runbook: the code works the same with other names."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
import yaml

from tests.support.projects import ROOT, RUNBOOK, Project

BOOK = yaml.safe_load((ROOT / RUNBOOK).read_text(encoding="utf-8"))
PACKAGE = ROOT / "atftctl"


def test_no_symptom_and_no_feature_is_named_in_code() -> None:
    names = {*BOOK["features"], *BOOK["symptoms"], *BOOK["plans"]}
    events = {"oom", "anomaly"}  # the protocol's own words, which a symptom may have, too
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "trainer"):
            continue
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        speaks = any(path.is_relative_to(PACKAGE / name) for name in ("protocol", "hooks"))
        allowed = events if speaks else set()
        assert not strings & (names - allowed), path


def renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


@pytest.fixture
def other_names(project: Project) -> Project:
    """The project with each symptom, feature and plan of the runbook under another name."""
    names = {name: f"feature-{number}" for number, name in enumerate(BOOK["features"])}
    names |= {name: f"symptom-{number}" for number, name in enumerate(BOOK["symptoms"])}
    names |= {name: f"plan-{number}" for number, name in enumerate(BOOK["plans"])}
    runbook = yaml.safe_load(project.read(RUNBOOK))
    for symptom in runbook["symptoms"].values():
        symptom.pop("aliases", None)
    (project.root / RUNBOOK).write_text(yaml.safe_dump(renamed(runbook, names), allow_unicode=True), encoding="utf-8")
    return project


def test_every_route_works_with_other_names(other_names: Project) -> None:
    lint = other_names.run("runbook", "lint")
    assert lint.code == 0, lint.out.splitlines()[1]
    done = other_names.run("rollback", "--symptom", "symptom-0", "--yes", "--json")
    assert done.code == 0 and done.json["data"]["changes"], done
    assert other_names.run("undo", "--yes").code == 0
    done = other_names.run("rollback", "--feature", "feature-3", "--yes", "--json")
    assert done.code == 0 and done.json["data"]["changes"] == ["improvements.use_ema: true → false"], done
    assert other_names.run("rollback", "--immediate", "--yes").code == 0
    held = other_names.run("reenable", "--phase", "1", "--plan", "plan-0", "--yes")
    assert held.code == 6 and "no trainer is running" in held.out, held
    features = other_names.run("status", "--json").json["data"]["features"]
    assert features["feature-0"]["state"] == "on" and features["feature-3"]["state"] == "off"


def test_the_trainers_last_event_names_the_renamed_symptom(other_names: Project) -> None:
    other_names.behave("oom")
    assert other_names.run("trainer", "start").code == 1
    assert "atftctl rollback --symptom symptom-0" in other_names.run("status").out
    plan = other_names.run("rollback", "--staged", "--dry-run", "--json")
    assert plan.code == 0 and plan.json["data"]["plan"]["steps"], plan


# Words of the shipped service, and of its trainer's files. `protocol` has the defaults of the trainer in this repository.
WORDS = re.compile(
    r"rank.?ic|\bstocks?\b|atft-gat|gat_|freq_dropout|configs/atft|production\.yaml|best_model(?!_checkpoint)|last\.pth",
    re.I,
)
# Only an engine knows what runs the trainer; the runbook names one, and its keys are checked.
ENGINE = re.compile(r"slurm|\bs(queue|batch|cancel|control|run|acct)\b|\bjob\b", re.I)
ENGINES = re.compile(
    r"state/engines/slurm|state/engines/choice\.py|host/slurm/|domain/(engines|slurm_rules|runbook)\.py"
    r"|observe/runbook/validate(_slurm)?\.py|(trainer|hooks)/"
)
OTHERS = {  # their words are those of other things: keys of configs, messages of logs, tasks of our own
    "decide/adoption/features.py", "operations/alerting/notifier.py", "host/process/inherited_state.py",
    "host/copying/parallel.py", "domain/log_lines/signatures.py",
}  # fmt: skip


def test_only_an_engine_knows_what_runs_the_trainer() -> None:
    for path in PACKAGE.rglob("*.py"):
        name, found = str(path.relative_to(PACKAGE)), ENGINE.search(path.read_text(encoding="utf-8"))
        assert name in OTHERS or ENGINES.match(name) or not found, (name, found)


AUTHOR = "Stock and Watson"  # of a paper
# Columns of the metrics: their roles come from the runbook. What is left are the rows that probes answer
# (docs/how-to/your-own-trainer.md), and `health`, which judges them.
COLUMNS = re.compile(r"\bloss_rel\b|\brss_mb\b|\bval_loss\b")
ANSWERS = {f"decide/verdicts/{name}.py" for name in ("bisect", "grade", "health", "probe_rows", "rehearsal")}


def test_no_word_of_the_shipped_service_is_left_in_code() -> None:
    for path in PACKAGE.rglob("*.py"):
        name = str(path.relative_to(PACKAGE))
        if (
            name.startswith(("trainer/", "protocol/")) or name == "hooks/reporter.py"
        ):  # it repeats the defaults of protocol
            continue
        text = path.read_text(encoding="utf-8").replace(AUTHOR, "")
        assert not WORDS.search(text), (name, WORDS.search(text))
        assert name in ANSWERS or not COLUMNS.search(text), (name, COLUMNS.search(text))
