"""The parent of a trainer that writes no events: what it tells, and what it does where somebody is killed or the disk is
full."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from atftctl.host.errors import HostError
from atftctl.host.process import kept, table
from tests.support.projects import wait_for
from tests.support.small_disk import fill, small_disk
from tests.support.users import ALICE, needs_root

KEEPER = Path(kept.__file__).with_name(kept.KEEPER)


def spec(folder: Path, *argv: str) -> bytes:
    values = {"argv": argv, "env": {"PATH": os.environ["PATH"]}, "limit": 0, "exits": str(folder / "e"), "user": None}
    return json.dumps(values).encode()


def spawned(folder: Path, *argv: str, exits: Path | None = None) -> table.Identity:
    env = {"PATH": os.environ["PATH"]}
    return kept.spawn_kept(argv, cwd=folder, env=env, output=folder / "out", exits=exits or folder / "exits.json")


def test_the_end_is_written_down_and_what_can_not_be_started_is_an_error(tmp_path: Path) -> None:
    process = spawned(tmp_path, "sh", "-c", "exit 7")
    wait_for((tmp_path / "exits.json").exists)
    [end] = json.loads((tmp_path / "exits.json").read_text())["ends"]
    assert (end["pid"], end["code"]) == (process.pid, 7)
    with pytest.raises(HostError, match="No such file"):
        spawned(tmp_path, "no-such-program")


def test_no_command_runs_of_which_the_caller_was_not_told(tmp_path: Path) -> None:
    """The caller was killed after it has said what to start: it knows no pid, and has closed its end of the pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-I", "-S", str(KEEPER), str(writer)]
    done = subprocess.run(
        command,
        input=spec(tmp_path, "touch", str(tmp_path / "ran")),
        pass_fds=(writer,),
        capture_output=True,
        timeout=60,
    )
    os.close(writer)
    assert not (tmp_path / "ran").exists() and not done.stderr, done
    done = subprocess.run(command, input=b'{"argv": ["tou', pass_fds=(), capture_output=True, timeout=60)
    assert not done.stderr, "the caller was killed while it said what to start"


@pytest.mark.parametrize("lines", ["", "half", '{"pid": 1'])
def test_a_parent_that_was_killed_before_it_told_of_the_process(tmp_path: Path, lines: str) -> None:
    with pytest.raises(HostError, match="no answer"):
        answered(lines)


def test_a_parent_that_was_killed_after_it_told_of_the_process() -> None:
    """The process runs the command, and is known."""
    with subprocess.Popen(["sleep", "60"]) as child:
        who = table.identify(child.pid)
        assert who
        assert answered(json.dumps({"pid": who.pid, "ticks": who.ticks}) + "\n") == who
        child.kill()


def answered(text: str) -> table.Identity:
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    try:
        return kept._answer(reader, "train", None)
    finally:
        os.close(reader)


def test_an_end_on_a_full_disk_is_written_down_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        process = spawned(tmp_path, "sleep", "60", exits=disk / "exits.json")
        fill(disk)
        os.kill(process.pid, 9)
        wait_for(lambda: not table.alive(process))
        assert not (disk / "exits.json").exists()
        for path in disk.glob("fill*"):
            path.unlink()
        wait_for((disk / "exits.json").exists)
        assert [end["code"] for end in json.loads((disk / "exits.json").read_text())["ends"]] == [-9]
        assert [path.name for path in disk.iterdir()] == ["exits.json"]


@needs_root
def test_a_user_who_may_not_run_our_interpreter_gets_a_parent_all_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Root's atftctl is in root's home as a rule, and the command is started with the rights of the project's owner."""
    folder = Path(f"/tmp/{tmp_path_factory.mktemp('kept').name}-{os.getpid()}")  # a folder that all users may enter
    folder.mkdir()
    try:
        os.chown(folder, ALICE, ALICE)
        spawned(folder, "sh", "-c", "id -u; cat /proc/self/status | grep Cap")
        wait_for((folder / "exits.json").exists)
        lines = (folder / "out").read_text().splitlines()
        assert lines[0] == str(ALICE) and "CapEff:\t0000000000000000" in lines
        assert (folder / "exits.json").stat().st_uid == ALICE
    finally:
        shutil.rmtree(folder)
