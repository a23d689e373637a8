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

from tests.support import warm
from tests.support.projects import ROOT
from tests.trainer.conftest import settings_of

pytest.importorskip("torch")

# The trainer's own command line, with statements before the measurement of some parts.
BROKEN = """
import json, os, signal, sys, time
statements = json.loads(sys.argv.pop(1))
from atftctl.trainer.probes.verify_parts import Parts
real = Parts.measure
def broken(self, part):
    exec(statements.get(part, ""))
    return real(self, part)
Parts.measure = broken
from atftctl.trainer.__main__ import main
sys.exit(main())
"""
LAST_WORDS = "print('last words', flush=True);"
DAEMON = (
    "if os.fork() == 0:\n os.setsid()\n"
    " if os.fork() == 0: open('out/pid', 'w').write(str(os.getpid())); time.sleep(60)\n os._exit(0)\n"
    "time.sleep(0.5)\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings_of()))
    return tmp_path


def measure(root: Path, *options: str, statements: dict[str, str] | None = None, limit_s: float = 60) -> Any:
    out = root / "out" / "measured.json"
    out.parent.mkdir(exist_ok=True)
    done = warm.run(
        ("-c", BROKEN, json.dumps(statements or {}), "probe", "verify", "--config", "config.yaml",
         "--steps", "6", "--dates", "8", "--out", str(out), "--parts", str(root / "out" / "parts"),
         "--limit-s", str(limit_s), *options),
        cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(root / "out")},
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
    assert answer["steps"]["step_s_steps"] == 6 and answer["steps"]["step_s_ratio"] > 0
    assert all(part["seconds"] > 0 for part in answer.values())
    assert files(trained) == before


def test_parts_that_crash_are_killed_or_hang_cost_no_other_part(trained: Path) -> None:
    begun = time.monotonic()
    answer = measure(trained, limit_s=10, statements={
        "quality": DAEMON + LAST_WORDS + "os.kill(os.getpid(), signal.SIGKILL)",
        "training": LAST_WORDS + "import ctypes; ctypes.string_at(0)",
        "steps": LAST_WORDS + "time.sleep(1000)",
    })  # fmt: skip
    assert answer["dataset"]["facts"]["stocks"] == 30 and answer["model"]["step"] == 1, "what came before is kept"
    assert answer["quality"] == {"crashed": {"signal": 9}, "log": ["last words"]}
    assert answer["training"]["crashed"] == {"signal": 11} and "last words" in answer["training"]["log"]
    assert any("Segmentation fault" in line for line in answer["training"]["log"]), "and where it was"
    assert answer["steps"] == {"crashed": {"limit_s": 10.0}, "log": ["last words"]}
    assert time.monotonic() - begun < 250
    pid = (trained / "out/pid").read_text()
    assert not os.path.exists(f"/proc/{pid}") or " Z " in Path(f"/proc/{pid}/stat").read_text(), "a daemon was left"


def test_a_part_that_eats_memory_ends_by_its_limit_and_one_that_exits_says_its_code(trained: Path) -> None:
    eats = "held = [bytearray(1 << 30) for _ in range(64)]"
    answer = measure(trained, "--memory-mb", "3000", "--part", "quality", "--part", "training",
                     statements={"quality": eats, "training": "os._exit(3)"})  # fmt: skip
    assert "may use 3000 MB" in answer["quality"]["error"], answer["quality"]
    assert answer["training"]["crashed"] == {"exit": 3} and "steps" not in answer


def test_the_gate_of_a_phase_measures_the_newest_weights(trained: Path) -> None:
    """The best checkpoint stays what it is where a phase makes quality worse."""
    newest = trained / "models/last.pth"
    newest.write_bytes((trained / "models/best_model.pth").read_bytes())
    assert measure(trained, "--part", "model", "--checkpoint", "last")["model"]["path"] == "models/last.pth"
    assert measure(trained, "--part", "model")["model"]["path"] == "models/best_model.pth"


def test_a_checkpoint_of_another_architecture(trained: Path) -> None:
    (trained / "config.yaml").write_text(yaml.safe_dump(settings_of(model={"hidden_size": 12})))
    answer = measure(trained, "--part", "quality", "--part", "training")
    assert list(answer) == ["dataset", "model", "quality", "training"], "what a part needs is measured, too"
    assert "does not fit this model" in answer["model"]["error"], answer
    assert answer["quality"]["error"] == "the model did not load" and answer["training"]["fresh"] is True


def test_orphans_that_orphans_leave_are_killed_too(tmp_path: Path) -> None:
    chain = """
import os, time
from atftctl.trainer.runtime import children
children.adopt_orphans()
first = os.fork()
if not first:
    for _ in range(3):
        os.setsid()
        if os.fork():
            time.sleep(60)
            os._exit(0)
    open("pid", "w").write(str(os.getpid()))
    time.sleep(60)
    os._exit(0)
while not os.path.exists("pid") or not open("pid").read():
    time.sleep(0.01)
children.kill_orphans(())
"""
    subprocess.run([sys.executable, "-c", chain], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                   check=True, timeout=120)  # fmt: skip
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    assert not stat.exists() or " Z " in stat.read_text()


def test_what_is_measured_for_which_parts() -> None:
    from atftctl.trainer.probes.side_by_side import PARTS, _chains

    def chains(*parts: str) -> list[tuple[str, ...]]:
        return [chain.parts for chain in _chains(parts)]

    assert chains(*PARTS) == [("dataset", "model", "quality"), ("training",), ("steps",)]
    assert chains("model") == [("dataset", "model")] and chains("steps") == [("steps",)]
    with pytest.raises(ValueError, match="there is no part dreams"):
        chains("dreams")
