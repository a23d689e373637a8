"""Scratch folders: what a killed process left is removed by the next one, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from atftctl.domain.errors import Inconclusive
from atftctl.host.files.scratch import PREFIX, scratch_folder
from atftctl.observe.trainer_run.probes import Scratch, scratch
from atftctl.state.layout import Layout
from tests.support.projects import ROOT, RUNBOOK

HOLDS = (
    "import sys; from atftctl.host.files.scratch import scratch_folder\n"
    "with scratch_folder() as folder:\n"
    "    (folder / 'out').mkdir(); (folder / 'out' / 'file').write_text('x'); print(folder, flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def held(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another process with a scratch folder, which was made an hour ago."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS], cwd=ROOT, env={**os.environ, "TMPDIR": str(temporary)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    folder = Path(process.stdout.readline().strip())
    age(folder)
    return process, folder


def age(folder: Path) -> None:
    made = folder.stat().st_mtime - 3600
    os.utime(folder, (made, made))


def test_the_folder_is_there_for_the_block_only(temporary: Path) -> None:
    with scratch_folder() as folder:
        assert folder.parent == temporary and folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_the_folder_of_a_killed_process_is_removed_by_the_next(temporary: Path) -> None:
    process, folder = held(temporary)
    with scratch_folder():
        assert folder.exists(), "its process is alive"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert folder.exists()
    with scratch_folder():
        assert not folder.exists()


def test_only_what_is_ours_and_old_is_removed(temporary: Path) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    (temporary / f"{PREFIX}file").write_text("x")
    (temporary / f"{PREFIX}young").mkdir()
    (temporary / f"{PREFIX}old").mkdir()
    (temporary / f"{PREFIX}old" / "link").symlink_to(elsewhere)
    (temporary / "atftctl-drill-old").mkdir()
    for name in (f"{PREFIX}old", "atftctl-drill-old", "elsewhere"):
        age(temporary / name)
    with scratch_folder():
        left = {path.name for path in temporary.iterdir()}
    assert {f"{PREFIX}link", f"{PREFIX}file", f"{PREFIX}young", "atftctl-drill-old", "elsewhere"} <= left
    assert f"{PREFIX}old" not in left and (elsewhere / "kept").exists()


def test_no_place_for_it_is_inconclusive(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was measured, so nothing is known: no refusal, and no traceback."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "none"))
    layout = Layout(temporary, temporary / RUNBOOK)
    with pytest.raises(Inconclusive, match="temporary files: No such file") as caught, scratch(layout):
        pytest.fail("there is no folder")
    assert "TMPDIR=" in caught.value.hint
    with pytest.raises(OSError, match="of the block"), scratch_of(temporary, monkeypatch):
        raise OSError("of the block")


def scratch_of(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[Scratch]:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return scratch(Layout(temporary, temporary / RUNBOOK))
