"""Durable files, paths that stay inside, locks that no crash outlives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atftctl.host import locks
from atftctl.host.errors import LockHeldError, OutsideProjectError
from atftctl.host.files import containment, durable, logs
from atftctl.state import sealed_records


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "~/x", ""])
def test_a_path_that_leaves_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutsideProjectError):
        containment.resolve_inside(tmp_path, name)


def test_a_symlink_that_leads_out_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    with pytest.raises(OutsideProjectError, match="leads out"):
        containment.resolve_inside(root, "link/file")


def test_write_new_never_follows_and_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            durable.write_new(tmp_path / name, b"new", 0o644)
    assert (tmp_path / "there").read_text() == "kept"


def test_an_append_after_a_torn_line_starts_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"whole\ntor")
    durable.append_durably(path, b"next\n")
    assert path.read_bytes() == b"whole\ntor\nnext\n"


def test_the_tail_reads_no_more_than_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert logs.tail(tmp_path, "log", 2) == ["line 99998", "line 99999"]
    assert logs.tail(tmp_path, "none", 2) == []


def test_the_lock_names_its_holder_and_goes_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from atftctl.host import locks\n"
        f"with locks.exclusive(Path({str(path)!r}), command='rollback', reason='it burns'):\n"
        " print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    with pytest.raises(LockHeldError) as caught, locks.exclusive(path, command="x", reason=""):
        pass
    holder = caught.value.holder
    assert (holder["pid"], holder["command"], holder["reason"]) == (str(child.pid), "rollback", "it burns")
    assert locks.holder(path) == holder
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert locks.holder(path) is None
    with locks.exclusive(path, command="x", reason=""):
        pass


def test_processes_that_make_one_file_at_once_all_open_it(tmp_path: Path) -> None:
    folder, together = os.open(tmp_path, os.O_RDONLY), threading.Barrier(8)

    def take(name: str) -> bool:
        together.wait(10)
        handle, created = durable.open_own(name, os.O_RDWR, folder)
        os.close(handle)
        return created

    with ThreadPoolExecutor(8) as pool:  # each file is made by one of eight
        made = list(pool.map(take, [str(number // 8) for number in range(1600)]))
    os.close(folder)
    assert sum(made) == 200 == len(os.listdir(tmp_path))


def test_a_record_that_was_touched_is_known(tmp_path: Path) -> None:
    sealed_records.write(tmp_path, "op", "begin", {"a": 1})
    path = tmp_path / "op.begin.json"
    assert sealed_records.read(tmp_path, "op", "begin") == {"a": 1}
    whole = path.read_bytes()
    for damaged in (whole[:-20], whole.replace(b'"a": 1', b'"a": 2'), b"", b"[]", b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(sealed_records.BadRecordError):
            sealed_records.read(tmp_path, "op", "begin")
