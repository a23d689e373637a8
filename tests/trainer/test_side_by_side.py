"""The parts of `probe verify`: one that crashes, hangs, is killed or eats memory costs no other part its measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.projects import ROOT
from tests.trainer.conftest import settings_of

pytest.importorskip("torch")

# The trainer's own command line, with one part of the measurement replaced by the statements of the first argument.
BROKEN = """
import os, signal, sys, time
part, statements = sys.argv[1:3]
del sys.argv[1:3]
from atftctl.trainer.probes import verify_parts
real = getattr(verify_parts.Parts, part)
def broken(self):
    exec(statements)
    return real(self)
setattr(verify_parts.Parts, part, broken)
from atftctl.trainer.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings_of()))
    return tmp_path


def measure(root: Path, *options: str, part: str = "_dataset", statements: str = "", limit_s: float = 60) -> Any:
    out = root / "out" / "measured.json"
    out.parent.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, part, statements, "probe", "verify", "--config", "config.yaml", "--steps", "6",
         "--dates", "8", "--out", str(out), "--parts", str(root / "out" / "parts"), "--limit-s", str(limit_s), *options],
        cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(root / "out")}, timeout=120,
        capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(out.read_text()) if out.exists() else done


@pytest.fixture
def trained(root: Path) -> Path:
    """With a checkpoint, in a project of its own cache."""
    from atftctl.trainer.config import settings
    from atftctl.trainer.telemetry.recorder import Recorder
    from atftctl.trainer.training.trainer import Trainer

    loaded, digest = settings.load([root / "config.yaml"])
    trainer = Trainer(loaded, digest, root, Recorder(root, loaded.data.horizons))
    trainer.next_step()
    trainer.save("models/best_model.pth", must=True)
    return root


def files(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file() and root / "out" not in path.parents
    }


def test_all_parts_and_nothing_in_the_project_is_touched(trained: Path) -> None:
    before = files(trained)
    assert any("cache" in name for name in before)
    answer = measure(trained, "--baseline-config", "config.yaml")
    assert list(answer) == ["dataset", "model", "quality", "training", "steps"], answer
    assert not [part for part in answer.values() if "error" in part or "crashed" in part], answer
    assert len(answer["quality"]["evaluated"]) == 8 == len(answer["quality"]["by_date"])
    assert answer["training"]["memory_mb"] > 50 and answer["training"]["fresh"] is False
    assert answer["steps"]["steps"] == 6 and answer["steps"]["step_s_ratio"] > 0
    assert all(part["seconds"] > 0 for part in answer.values())
    assert files(trained) == before


@pytest.mark.parametrize(
    ("statements", "ended"),
    [
        ("print('last words', flush=True); os._exit(3)", {"exit": 3}),
        ("print('last words', flush=True); os.kill(os.getpid(), signal.SIGKILL)", {"signal": 9}),
        ("print('last words', flush=True); import ctypes; ctypes.string_at(0)", {"signal": 11}),
    ],
)
def test_a_crash_costs_no_other_part(trained: Path, statements: str, ended: dict[str, int]) -> None:
    answer = measure(trained, part="_quality", statements=statements)
    assert answer["quality"]["crashed"] == ended and "last words" in answer["quality"]["log"], answer
    if ended.get("signal") == 11:
        assert any("Segmentation fault" in line for line in answer["quality"]["log"]), "and where it was"
    others = [part for name, part in answer.items() if name != "quality"]
    assert len(others) == 4 and not [part for part in others if "error" in part or "crashed" in part], answer


def test_a_part_that_hangs_is_killed_after_its_own_time(trained: Path) -> None:
    begun = time.monotonic()
    answer = measure(trained, "--part", "training", "--part", "model", part="_training",
                     statements="print('waiting', flush=True); time.sleep(60)", limit_s=8)  # fmt: skip
    assert answer["training"] == {"crashed": {"limit_s": 8.0}, "log": ["waiting"]}, answer
    assert "sha256" in answer["model"] and time.monotonic() - begun < 40


def test_what_a_part_needs_is_measured_and_what_depends_on_a_crash_says_so(root: Path) -> None:
    answer = measure(root, "--part", "quality", part="_model", statements="os._exit(7)")
    assert list(answer) == ["dataset", "model", "quality"]
    assert answer["model"]["crashed"] == {"exit": 7} and "model" in answer["quality"]["error"]
    answer = measure(root, "--part", "quality")
    assert "no checkpoint" in answer["model"]["error"] and "did not load" in answer["quality"]["error"]


def test_a_part_that_eats_memory_ends_by_its_own_limit(trained: Path) -> None:
    answer = measure(trained, "--memory-mb", "3000", part="_quality", statements="held = [bytearray(1 << 30) for _ in range(64)]")  # fmt: skip
    assert "may use 3000 MB" in answer["quality"]["error"], answer["quality"]
    assert "loss" in answer["training"] and "step_s" in answer["steps"]


def test_children_of_a_part_do_not_outlive_it(trained: Path) -> None:
    daemon = (
        "if os.fork() == 0:\n os.setsid()\n"
        " if os.fork() == 0: open('out/pid', 'w').write(str(os.getpid())); time.sleep(60)\n os._exit(0)\n"
        "time.sleep(0.5)"
    )
    answer = measure(trained, "--part", "model", part="_model", statements=daemon)
    assert "sha256" in answer["model"]
    pid = (trained / "out/pid").read_text()
    assert not os.path.exists(f"/proc/{pid}") or " Z " in Path(f"/proc/{pid}/stat").read_text()


def test_a_checkpoint_of_another_architecture(trained: Path) -> None:
    (trained / "config.yaml").write_text(yaml.safe_dump(settings_of(model={"hidden_size": 12})))
    answer = measure(trained, "--part", "quality", "--part", "training")
    assert "does not fit this model" in answer["model"]["error"], answer
    assert "did not load" in answer["quality"]["error"] and answer["training"]["fresh"] is True


def test_an_unknown_part_is_refused(root: Path) -> None:
    assert "there is no part dreams" in measure(root, "--part", "dreams")["error"]
