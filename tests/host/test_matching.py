"""Of very many files that match a pattern, those that were written last are the ones that count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from atftctl.domain.metric_rules import is_usual_name
from atftctl.host.files import matching
from atftctl.observe.checkpoints import patterns
from atftctl.state.layout import Layout


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """The names say nothing of the time: `step=9` comes after `step=10`."""
    for number in range(1, 31):
        folder = tmp_path / f"runs/{number}"
        folder.mkdir(parents=True)
        for name in (folder / "metrics.csv", tmp_path / f"step={number}.ckpt"):
            name.touch()
            os.utime(name, (1_700_000_000 + number, 1_700_000_000 + number))
    return tmp_path


@pytest.mark.parametrize("entry", ["runs/*/metrics.csv", "runs/**/*.csv", "runs"])
def test_metrics(many: Path, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MOST", 3)
    names = {name for name, _ in matching.matching(many, entry, is_usual_name)}
    assert names == {f"runs/{number}/metrics.csv" for number in (28, 29, 30)}


def test_checkpoints(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MOST", 3)
    layout = Layout(root=many, runbook=many / "runbooks/x.yaml")
    assert patterns.newest(layout, "step=*.ckpt") == "step=30.ckpt"
    assert patterns.matches(layout, "step=*.ckpt") == ["step=28.ckpt", "step=29.ckpt", "step=30.ckpt"]
