"""Compiled files that a full disk has cut: no command fails of them, none is left, and no end is silent."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from atftctl.cli import error_boundary
from atftctl.host.self_copy import bytecode
from atftctl.protocol import Exit
from tests.support.small_disk import small_disk

IMPORT = "import runpy; runpy.run_path({mend!r})['mend'](); import big; print(len(big.x))"
BIG = "x = [\n" + "".join(f'    "abcdef{number}",\n' for number in range(1500)) + "]\n"


def run(folder: Path, *, mended: bool) -> subprocess.CompletedProcess[str]:
    code = IMPORT.format(mend=str(bytecode.__file__)) if mended else "import big"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)


def compiled(folder: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(folder / "big.py")))


def test_a_compiled_file_that_was_cut_is_passed_over_and_made_anew(tmp_path: Path) -> None:
    (tmp_path / "big.py").write_text(BIG)
    run(tmp_path, mended=False)
    whole = compiled(tmp_path).stat().st_size
    os.truncate(compiled(tmp_path), 8192)
    assert "EOFError" in run(tmp_path, mended=False).stderr, "what would happen"
    assert run(tmp_path, mended=True).stdout == "1500\n"
    assert run(tmp_path, mended=True).stdout == "1500\n" and compiled(tmp_path).stat().st_size == whole


def test_a_full_disk_leaves_no_compiled_file_that_was_cut(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        (disk / "big.py").write_text(BIG)
        (disk / "__pycache__").mkdir()
        (disk / "fill").write_bytes(bytes(28_000))
        ended = run(disk, mended=True)
        assert ended.stdout == "1500\n" and not list((disk / "__pycache__").iterdir()), ended


def test_an_end_of_file_where_none_was_expected_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The parser makes the same exception of it as of Ctrl-C."""
    error = typer.Abort()
    error.__cause__ = EOFError("marshal data too short")
    assert error_boundary.usage(error, ["incident"]) == Exit.STOPPED
    assert "EOFError: marshal data too short" in capsys.readouterr().err
    assert error_boundary.usage(typer.Abort(), ["incident"]) == Exit.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err
