"""The reference of the commands is generated: the page is up to date, and the man pages are pages that man can show."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tools import reference


def test_the_page_is_up_to_date() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.markdown(), "make reference"


def test_no_line_of_the_page_is_over_100_columns() -> None:
    assert max(map(len, reference.markdown().splitlines())) <= 100


def test_every_command_has_a_man_page(tmp_path: Path) -> None:
    assert reference.main(["man", str(tmp_path)]) == 0
    names = {path.stem for path in tmp_path.iterdir()}
    assert {"atftctl", "atftctl-rollback", "atftctl-backup-list", "atftctl-trainer-start"} <= names
    assert len(names) == 1 + sum(1 for _ in reference.pages())


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_groff_shows_the_man_pages_without_a_warning(tmp_path: Path) -> None:
    reference.main(["man", str(tmp_path)])
    for path in tmp_path.iterdir():
        shown = subprocess.run(
            ["groff", "-man", "-Tutf8", "-wall", str(path)], capture_output=True, text=True, check=True
        )
        assert not shown.stderr, (path.name, shown.stderr)
        assert "atftctl manual" in shown.stdout
