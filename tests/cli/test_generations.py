"""Each start of a trainer has a number, and an earlier trainer that goes on late replaces nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from atftctl import protocol
from atftctl.apply import staging_folders
from atftctl.domain.staged import StagedState
from atftctl.host.files.folders import make_dirs
from atftctl.observe.runbook.load import load
from atftctl.observe.trainer_run import phase_window, process, watch
from atftctl.operations.project import open_project
from atftctl.protocol import TrainerExit, generations
from atftctl.state import generation, history
from atftctl.trainer.runtime.generation import Generation
from tests.cli.test_process_rules import by_hand, killed_at
from tests.support.faults import BROKEN, FULL, Faults, Kind, in_child
from tests.support.projects import OOM, RUNBOOK, Project, processes_of, wait_for
from tests.support.snapshots import layout_of
from tests.support.users import ALICE, BOB, needs_root, open_project_of

COUNTER = protocol.COUNTER


def events(project: Project, name: str = "") -> list[dict[str, object]]:
    lines = project.read(protocol.EVENTS).splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name or not name]


def start(project: Project) -> int:
    """Start the trainer; its number."""
    project.start_trainer()
    return int(project.record()["generation"])


def start_elsewhere(project: Project) -> int:
    """What a second machine does that believes the trainer of this one to be lost: a newer start, with new weights."""
    number = begin(project.root)
    project.write(protocol.LAST, "newer weights")
    return number


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]


def await_end(project: Project) -> None:
    wait_for(lambda: not processes_of(project.root))


def test_each_start_has_the_next_number_and_hands_it_over(project: Project) -> None:
    assert start(project) == 1 and project.read(COUNTER) == b"1\n"
    pid = project.record()["pid"]
    assert b"ATFTCTL_GENERATION=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    restarted = project.run("trainer", "restart", "--json")
    assert restarted.json["data"]["generation"] == 2 and project.record()["generation"] == 2
    assert {event["generation"] for event in events(project, protocol.STARTED)} == {1, 2}
    assert {line.rsplit(",", 1)[1] for line in project.read(protocol.METRICS).decode().splitlines()[1:]} == {"1", "2"}

    for command in (("status",), ("trainer", "status")):
        assert "generation 2" in project.run(*command).out
    assert project.run("trainer", "status", "--json").json["data"]["generation"] == 2
    assert project.run("status", "--json").json["data"]["trainer"]["generation"] == 2
    assert project.run(*OOM).code == 0
    operations = project.run("history", "--json").json["data"]["operations"]
    assert [operation.get("generation") for operation in operations] == [1, 2, 3]
    assert "generation  3" in project.run("show").out


@pytest.mark.parametrize("place", ["atftctl.apply.staging_folders.renew", "atftctl.host.process.spawn.spawn"])
def test_a_kill_between_the_number_and_the_process_uses_the_number_up(project: Project, place: str) -> None:
    killed_at(project, place, "trainer", "start")
    assert project.read(COUNTER) == b"1\n" and not processes_of(project.root)
    assert start(project) == 2
    assert processes_of(project.root) == [project.record()["pid"]]


def begin(root: Path) -> int:
    """What each start does before there is a process."""
    layout = layout_of(root)
    number = generation.take(layout)
    staging_folders.renew(layout, number)
    return number


@pytest.mark.parametrize(
    ("kind", "error"), [("before", 0), ("after", 0), ("error", FULL), ("error", BROKEN), ("short", 0)]
)
def test_a_start_that_is_struck_at_any_call_never_gives_a_number_twice(root: Path, kind: Kind, error: int) -> None:
    """The second start of a project, struck at each of its calls; the one after it is whole."""
    layout = layout_of(root)
    layout.state.mkdir()
    assert begin(root) == 1
    (root / "run/1/.last.pth.tmp").write_bytes(b"half")
    (root / "run/0.fenced").mkdir()
    (root / "run/7").mkdir()
    (root / "run/7/notes").write_bytes(b"mine")
    template = shutil.move(root, root.with_name("template"))
    shutil.copytree(template, root)
    code, calls = in_child(lambda: begin(root), Faults())
    assert code == 0 and len(calls) > 12, calls
    points = [at for at, call in enumerate(calls, 1) if kind != "short" or call == "write"]
    for at in points:
        shutil.rmtree(root)
        shutil.copytree(template, root)
        in_child(lambda: begin(root), Faults(at, error, kind))
        struck = generation.newest(layout)
        assert struck in (1, 2), (at, calls[at - 1])
        number = begin(root)
        assert number == struck + 1, (at, calls[at - 1])
        assert (root / f"run/{number}/.gitignore").read_bytes() == generations.MARK_TEXT
        assert not (root / "run/1").exists(), "an earlier trainer can still rename its file"
        assert (root / "run/7/notes").read_bytes() == b"mine"


def test_a_trainer_that_finds_a_newer_one_saves_nothing_and_leaves(project: Project) -> None:
    start(project)
    pid = project.record()["pid"]
    os.kill(pid, signal.SIGSTOP)
    number = start_elsewhere(project)
    os.kill(pid, signal.SIGCONT)
    await_end(project)
    assert project.read(protocol.LAST) == b"newer weights"
    assert events(project)[-1]["exit_code"] == TrainerExit.FENCED
    assert events(project, protocol.FENCED)[-1]["newer"] == number
    status = project.run("status")
    assert "died" in status.out and "a newer trainer was started" in status.out, status
    assert start(project) == number + 1


def test_a_rename_that_comes_late_fails_in_the_kernel(project: Project) -> None:
    """Stopped between writing and renaming: it can't compare any more, and the rename has no source."""
    project.behave("pause-save")
    start(project)
    pid = project.record()["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: state_of(pid) == "T")
    assert list((project.root / "run/1").glob(".*.tmp"))
    start_elsewhere(project)
    os.kill(pid, signal.SIGCONT)
    await_end(project)
    assert project.read(protocol.LAST) == b"newer weights"
    assert events(project)[-1]["exit_code"] == TrainerExit.FENCED
    renamed = project.root / "run/1.fenced"
    assert list(renamed.glob(".*.tmp")) and not (project.root / "run/1").exists()
    project.behave()
    start(project)
    assert sorted(path.name for path in (project.root / "run").iterdir()) == ["2.fenced", "3"]


def test_a_rollback_fences_a_trainer_that_died_before_it_replaces_anything(project: Project) -> None:
    start(project)
    os.kill(project.record()["pid"], signal.SIGKILL)
    await_end(project)
    killed_at(project, "atftctl.apply.snapshots.take.take", *OOM)
    assert (project.root / "run/1.fenced").exists()
    assert project.run("recover").code == 0


def test_a_stop_fences_the_trainer_that_it_stopped(project: Project) -> None:
    start(project)
    assert project.run("trainer", "stop").code == 0
    assert (project.root / "run/1.fenced").exists() and project.read(protocol.LAST).startswith(b"weights of step")


def test_what_is_a_number() -> None:
    assert [generations.parse(text) for text in ("1", "7\n", "999999999")] == [1, 7, generations.LARGEST]
    wrong = ("", "0", "-3", "1.5", " 2", "2 ", "07", "1\n\n", "1_0", "+1", "٣", "seven", "1000000000", "9" * 5000)
    assert not any(map(generations.parse, wrong))


@pytest.mark.parametrize("content", [b"", b"-3\n", b"9" * 40, b"\xff\0"])
def test_a_damaged_counter_goes_on_after_what_is_known_elsewhere(project: Project, content: bytes) -> None:
    project.write(".atftctl/process.json", json.dumps({"generation": 99}))  # no whole record: it says nothing
    project.write(protocol.EVENTS, protocol.event_line("started", t=1.0, pid=1, run_id="x", step=0, generation=7))
    project.write(protocol.METRICS, "step,loss,generation\n1,0.5,6\n2,0.4,8\n4,0.4,999999999\n3,0.")  # one is forged
    project.write(COUNTER, content)
    faults = project.run("status", "--json").json["data"]["faults"]
    assert any(fault["name"] == "generation" and "gets number 9" in fault["message"] for fault in faults), faults
    assert start(project) == 9 and project.read(COUNTER) == b"9\n"
    assert not any(fault["name"] == "generation" for fault in project.run("status", "--json").json["data"]["faults"])


def test_a_counter_that_was_put_back_or_lost_goes_on(project: Project) -> None:
    assert [start(project), project.run("trainer", "stop").code, start(project)] == [1, 0, 2]
    project.write(COUNTER, b"1\n")  # as a tool for backups of the whole disk may do
    assert project.run("trainer", "stop").code == 0 and start(project) == 3
    assert project.run("trainer", "stop").code == 0
    for path in (project.root / ".atftctl/process.json", project.root / COUNTER, project.root / protocol.EVENTS):
        path.unlink()
    (project.root / protocol.METRICS).unlink()
    assert start(project) == 4, "the folders of earlier generations are there"


def test_a_counter_at_its_end_is_an_error_that_says_what_to_do(project: Project) -> None:
    start(project)
    assert project.run("trainer", "stop").code == 0
    project.write(COUNTER, b"%d\n" % generations.LARGEST)
    ended = project.run("trainer", "start")
    assert ended.code == 5 and f"write the number of the last start into {COUNTER}" in ended.err.replace("\n  ", " ")
    assert not processes_of(project.root)

    project.write(".atftctl/process.json", json.dumps({**project.record(), "generation": generations.LARGEST}))
    project.write(f"run/{generations.LARGEST}/.gitignore", generations.MARK_TEXT)
    project.write(COUNTER, "41\n")
    message = " ".join(project.run("trainer", "start").err.split())
    command = f"rm -r run/{generations.LARGEST} .atftctl/process.json"
    assert command in message, message
    subprocess.run(command.split(), cwd=project.root, check=True)
    assert start(project) == 42


@pytest.mark.parametrize("kind", ["symlink", "owner", "folder"])
def test_a_counter_that_is_not_ours_is_refused(project: Project, kind: str) -> None:
    path = project.root / COUNTER
    start(project)
    assert project.run("trainer", "stop").code == 0
    if kind == "symlink":
        path.rename(project.root / "elsewhere")
        path.symlink_to(project.root / "elsewhere")
    elif kind == "owner":
        if os.geteuid():
            pytest.skip("only root can give a file away")
        os.chown(path, 12345, 12345)
    else:
        path.unlink()
        path.mkdir()
    ended = project.run("trainer", "start")
    assert ended.code in (3, 5) and "generation" in ended.err, ended
    assert not processes_of(project.root)
    if kind == "symlink":
        assert (project.root / "elsewhere").read_bytes() == b"1\n"


def test_two_starts_at_once_are_one_trainer(project: Project) -> None:
    children = [project.start("trainer", "start") for _ in range(3)]
    codes = sorted(child.wait(120) for child in children)
    for child in children:
        child.communicate()
    assert codes[0] == 0 and set(codes[1:]) == {3}, codes
    assert processes_of(project.root) == [project.record()["pid"]]
    assert project.read(COUNTER) == b"%d\n" % project.record()["generation"]


def test_a_trainer_started_by_hand_is_fenced_only_by_a_later_start(project: Project) -> None:
    start(project)
    assert project.run("trainer", "stop").code == 0
    child = by_hand(project)
    wait_for(lambda: [event for event in events(project, protocol.FIRST_STEP) if event["pid"] == child.pid])
    assert child.poll() is None and events(project)[-1]["generation"] == 0, "a counter alone does not block it"
    start_elsewhere(project)
    assert child.wait(120) == TrainerExit.FENCED


def test_folders_of_other_people_are_left_alone(project: Project) -> None:
    project.write("run/2/notes", "mine")
    project.write("run/3/.gitignore", "*.log\n")
    project.write("run/3/.mine.tmp", "mine")
    project.write("run/5.fenced/.mine.tmp", "mine")
    project.write("run/6/.gitignore", "*\n!.gitignore\n")
    (project.root / "run/7").mkdir()
    project.write("run/8/.gitignore", generations.MARK_TEXT[:9])  # ours: a crash came while it was written
    assert start(project) == 1
    assert project.run("trainer", "restart").code == 0 and project.record()["generation"] == 4
    assert project.read("run/2/notes") == project.read("run/3/.mine.tmp") == project.read("run/5.fenced/.mine.tmp")
    assert sorted(os.listdir(project.root / "run")) == ["2", "3", "4", "5.fenced", "6", "7"]
    assert project.read("run/6/.gitignore") == b"*\n!.gitignore\n"


def test_cleaning_follows_no_symlink_and_keeps_what_it_does_not_know(project: Project) -> None:
    start(project)
    assert project.run("trainer", "stop").code == 0
    project.write("kept", "kept")
    (project.root / "run/1.fenced/.link.tmp").symlink_to(project.root / "kept")
    project.write("run/1.fenced/.half.pth.tmp", b"half")
    project.write("run/1.fenced/weights", b"whole")
    start(project)
    assert project.read("kept") == b"kept"
    assert sorted(path.name for path in (project.root / "run/1.fenced").iterdir()) == [".gitignore", "weights"]


def test_a_run_folder_that_is_a_symlink_is_not_entered(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/1").mkdir(parents=True)
    (project.root / "run").symlink_to(tmp_path / "elsewhere")
    start(project)
    assert os.listdir(tmp_path / "elsewhere") == ["1"] and not list((tmp_path / "elsewhere/1").iterdir())


def test_guard_hands_a_number_over_and_fences_earlier_trainers(project: Project) -> None:
    own = "import os, pathlib; from atftctl.protocol.generations import own; print(own(os.environ, pathlib.Path()), end='')"
    text = f"import os; exec({own!r}); os.chdir('models'); exec({own!r})"  # a script that trains in another folder, too
    command = (sys.executable, "-c", text)
    for number in ("10", "20"):
        done = subprocess.run(
            project.argv("guard", "--", *command), cwd=project.root, env=project.env, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout.strip()) == (0, number), done
    assert sorted(os.listdir(project.root / "run")) == ["1.fenced", "2"]


def test_unfinished_files_are_in_no_snapshot_and_unknown_to_git(project: Project) -> None:
    project.replace("runbooks/atft-gat-fan.yaml", "also: []", "also: [run, models]")
    start(project)
    project.write("run/1/.last.pth.tmp", "half")
    project.write("run/7/notes", "mine")
    project.write("models/.atftctl-run-1/.gitignore", generations.MARK_TEXT)
    project.write("models/.atftctl-run-1/.last.pth.tmp", "half")
    shown = project.run("backup", "create", "--json")
    assert shown.code == 0, shown
    name = shown.json["data"]["id"]
    held = {file["path"] for file in json.loads(project.read(f"backups/{name}/manifest.json"))["body"]["files"]}
    assert {"run/7/notes"} == {path for path in held if path.startswith("run/") or "atftctl-run" in path}, held
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    untracked = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=project.root, capture_output=True, text=True, check=True
    ).stdout
    assert "run/7/notes" in untracked and "run/1" not in untracked and "atftctl-run" not in untracked


@needs_root
def test_folders_that_root_makes_in_a_users_project_are_the_users() -> None:
    with open_project_of(ALICE) as project:
        root = project.root
        make_dirs(layout_of(root).state, 0o700)
        assert begin(root) == 1
        for name in (COUNTER, "run", "run/1", "run/1/.gitignore"):
            assert (root / name).stat().st_uid == ALICE, name

        def as_alice() -> None:
            os.setgid(ALICE)
            os.setuid(ALICE)
            assert begin(root) == 2

        assert in_child(as_alice)[0] == 0
        assert sorted(os.listdir(root / "run")) == ["1.fenced", "2"]


@needs_root
def test_a_trainer_of_another_user_stages_beside_its_checkpoints() -> None:
    """The folder that a start makes belongs to the operator; the trainer may write only where the models are."""
    with open_project_of(ALICE) as project:
        root = project.root
        make_dirs(layout_of(root).state, 0o700)
        (root / "models").chmod(0o777)
        number = begin(root)

        def as_bob() -> None:
            os.setgid(BOB)
            os.setuid(BOB)
            os.environ[protocol.GENERATION] = str(number)
            own = Generation(root)
            staged = own.stage(root / protocol.LAST)
            staged.write_bytes(b"weights")
            own.publish(staged, root / protocol.LAST)

        assert in_child(as_bob)[0] == 0
        assert (root / protocol.LAST).read_bytes() == b"weights"


def test_rows_of_an_earlier_trainer_and_of_the_file_before_are_not_the_runs(project: Project) -> None:
    """The trainer begins a new file where the old one has other columns; an earlier trainer goes on writing."""
    metrics = project.root / protocol.METRICS
    project.write(protocol.METRICS, "step,loss\n" + "1,0.5\n" * 100)
    project.write(COUNTER, "5\n")
    assert start(project) == 6
    metrics.rename(f"{metrics}.1")
    wait_for(lambda: metrics.exists() and metrics.stat().st_size > 1500)
    layout, record = layout_of(project.root), project.record()
    state = StagedState("oom", (), 0, "watching", (), "", "", "", record["run_id"])
    view = phase_window.view_since_start(layout, record["run_id"])
    assert view is not None
    now = phase_window.view_of(layout, process.observe(layout, load(layout).runbook.trainer), record["digest"])
    assert now is not None
    assert project.run("trainer", "stop").code == 0
    with metrics.open("a") as file:
        file.write("901,0,9e9,9e9,1,100,5\n902,0,nan,nan,1,100,7\n")
    own = [line.split(",")[0] for line in metrics.read_text().splitlines()[1:-2]]
    rules = load(layout).runbook.trainer
    for window in (watch.look(layout, state, rules)[0], phase_window.look(layout, view, rules)[0]):
        assert [row["step"] for row in window.rows][-len(own) :] == own
        assert {row["generation"] for row in window.rows} == {"6"}
    metrics.rename(f"{metrics}.2")  # rotated: the rows since then are in both
    metrics.write_text("step,generation\n903,6\n")
    rows = phase_window.look(layout, now, rules)[0].rows
    assert rows[-1]["step"] == "903" and 1 < len(rows) < len(own)


def test_the_step_of_the_status_is_the_running_trainers(project: Project) -> None:
    start(project)
    wait_for(lambda: project.read(protocol.METRICS).count(b"\n") > 5)
    metrics = project.root / protocol.METRICS
    pid = project.record()["pid"]
    os.kill(pid, signal.SIGSTOP)
    with metrics.open("a") as file:
        file.write("901,0,1,1,1,100,7\n" * 3)
    assert project.run("trainer", "status", "--json").json["data"]["step"] < 900
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("name", "content", "number"),
    [
        ("out/log.jsonl", '{"step": 1, "generation": 7}\n[1]\n{"generation": "x"}\n{"generation": 6}\n', 7),
        ("out/log.csv", "step,generation\n1,7\n2,9,9\n", 7),
        ("models/history/step-00000005-g8.pth", "", 8),
        ("out/events.out.tfevents.1.host", "\x00\x01", 0),
    ],
)
def test_where_the_counter_is_lost_what_trainers_wrote_in_other_places_counts(
    root: Path, name: str, content: str, number: int
) -> None:
    Project(root).write(name, content)
    Project(root).replace(RUNBOOK, "\nmetrics:\n", '\nmetrics:\n  files: ["out/*"]\n')
    layout = open_project(root).layout
    assert generation.newest(layout) == number
    make_dirs(layout.state)
    history.append(layout, {**history.new_entry("rollback", "x", "", datetime.now().astimezone()), "generation": 11})
    assert generation.newest(layout) == 11
