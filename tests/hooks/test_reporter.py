"""The reporter for any training loop: what it writes, what it obeys, and that it equals the protocol."""

from __future__ import annotations

import ast
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from atftctl import protocol
from atftctl.hooks import reporter as hooks
from atftctl.hooks.reporter import Reporter
from atftctl.observe.checkpoints.content import content_of
from atftctl.protocol import TrainerExit, generations
from atftctl.protocol.configs import load_settings
from tests.support.projects import ROOT, wait_for

SOURCE = ROOT / "atftctl" / "hooks" / "reporter.py"
NAMES = (
    "EVENT_VERSION", "EVENTS", "METRICS", "HEARTBEAT", "REQUEST", "WANT_STOP", "WANT_RELOAD", "RUN_ID", "GENERATION",
    "GENERATION_ROOT", "COUNTER", "STAGING", "GENERATION_COLUMN", "STARTED", "FIRST_STEP", "CHECKPOINT", "EVALUATED",
    "OOM", "ANOMALY", "SAVE_FAILED", "WORKER_LOST", "FENCED", "WARNING", "STOPPED", "RELOADED", "RELOAD_REFUSED",
)  # fmt: skip
# A loop of one's own, as in the first lines of reporter.py; ends after 200 steps.
LOOP = """
import sys, time
sys.path.insert(0, {folder!r})
from reporter import Reporter

with Reporter(configs=["config.json"]) as reporter:
    reporter.started()
    for step in range(1, 100_000):
        time.sleep(0.01)
        reporter.step(step, loss=1 / step)
        if step % 10 == 0 or reporter.stop_requested:
            reporter.save("models/last.pth", lambda path: open(path, "w").write(str(step)))
        if reporter.stop_requested:
            break
"""
PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9")) or [Path("/usr/bin/python3.9")]


@pytest.fixture(autouse=True)
def handlers() -> Any:
    """The reporter takes the signals of the process; the tests give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    hook = sys.excepthook
    yield
    sys.excepthook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder of generation 3."""
    for name in ("RANK", *hooks.RANKS, "WORLD_SIZE", "SLURM_NTASKS", protocol.GENERATION_ROOT):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(protocol.GENERATION, "3")
    monkeypatch.setenv(protocol.RUN_ID, "run-a")
    newer(tmp_path, 3)
    (tmp_path / "config.json").write_text('{"model": {"lr": 0.1}, "flag": true}')
    return tmp_path


def newer(root: Path, number: int) -> None:
    """Write the number of the newest start."""
    (root / ".atftctl").mkdir(exist_ok=True)
    (root / protocol.COUNTER).write_text(f"{number}\n")


def made(root: Path, **options: Any) -> Reporter:
    return Reporter(root, **{"configs": ["config.json"], "every_s": 0.0, **options})


def events(root: Path) -> list[dict[str, Any]]:
    path = root / protocol.EVENTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def names(root: Path) -> list[str]:
    return [event["event"] for event in events(root)]


def rows(root: Path) -> list[dict[str, str]]:
    with (root / protocol.METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


def write(text: str) -> Callable[[str], object]:
    return lambda path: Path(path).write_text(text)


# -- the same as the protocol -------------------------------------------------------------------------------------


def test_its_constants_are_those_of_the_protocol() -> None:
    for name in NAMES:
        assert getattr(hooks, name) == getattr(protocol, name), name
    assert (hooks.BESIDE, hooks.FENCED_FOLDER) == (generations.BESIDE, generations.FENCED)
    assert (hooks.MARK, hooks.MARK_TEXT, hooks.LONGEST_NUMBER) == (
        generations.MARK,
        generations.MARK_TEXT,
        generations.LONGEST,
    )
    for name in ("FINISHED", "CRASHED", "STOPPED", "ANOMALY", "SAVE_FAILED", "FENCED"):
        assert getattr(hooks, f"EXIT_{name}") == TrainerExit[name], name


@pytest.mark.parametrize(
    "text",
    [
        "a: 1e-7\nb: 1.0\nc: [1, 2.5, x]\n",
        "on: off\n1: 2020-01-01\n2: ~\n",
        "base: &b {x: 1}\nmore: {<<: *b, y: 0o10}\n",
        "k: '1'\nl: 695e0514\nm: .inf\nn: 1_000\no: 0x1f\np: 010\n",
        '{"a": {"b": 1.50}, "c": NaN}',
        "# nothing\n",
        "α: 数\n",
    ],
)
def test_a_config_has_the_digest_that_atftctl_gives_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    expected = protocol.config_digest(protocol.merge_settings([load_settings(text) or {}]))
    assert hooks.config_digest(hooks.read_settings([path])) == expected


@pytest.mark.parametrize(
    "layers",
    [
        [{"a": {"b": 1}}, {"a": {"c": 2}}],
        [{"a": {"b": 1}}, {"a": 3}, {"a": {"d": 4}}],
        [{"a": 1}, {"a": {"b": {}}}],
        [{}],
    ],
)
def test_configs_are_merged_as_by_atftctl(layers: list[Mapping[str, Any]]) -> None:
    assert hooks.merge_settings(layers) == protocol.merge_settings(layers)


@pytest.mark.parametrize("text", ["7\n", "7", "", "0", "-1", "x", "9" * 30, "7 \n", "٣", "07", "1\n2"])
def test_the_number_of_a_start_is_read_as_by_atftctl(tmp_path: Path, text: str) -> None:
    (tmp_path / ".atftctl").mkdir()
    (tmp_path / protocol.COUNTER).write_text(text)
    assert hooks.newest_generation(tmp_path) == generations.newest(tmp_path)
    for environment in (
        {protocol.GENERATION: text},
        {protocol.GENERATION: text, protocol.GENERATION_ROOT: "/"},
        {protocol.GENERATION: text, protocol.GENERATION_ROOT: str(tmp_path)},
        {protocol.GENERATION: text, protocol.GENERATION_ROOT: "/gone"},
    ):
        assert hooks.own_generation(environment, tmp_path) == generations.own(environment, tmp_path)


def test_a_counter_that_anybody_may_write_or_a_pipe_is_not_believed(tmp_path: Path) -> None:
    newer(tmp_path, 9)
    counter = tmp_path / protocol.COUNTER
    counter.chmod(0o666)
    assert hooks.newest_generation(tmp_path) == 0
    counter.unlink()
    os.mkfifo(counter)
    assert hooks.newest_generation(tmp_path) == 0


def test_the_hash_of_a_folder_is_that_of_atftctl(tmp_path: Path) -> None:
    for name in ("b.bin", "a/x", "a.txt"):
        path = tmp_path / "checkpoint-5" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert hooks.hash_of(tmp_path / "checkpoint-5") == content_of(tmp_path / "checkpoint-5").sha256


# -- what it writes -----------------------------------------------------------------------------------------------


def test_a_run_is_reported_from_its_start_to_its_end(root: Path) -> None:
    with made(root) as reporter:
        reporter.started(step=5, resumed_from="last", measured_on={"data": "x"})
        reporter.step(6, loss=0.5, lr=0.1)
        reporter.evaluated(val_loss=0.4)
        assert reporter.save("models/last.pth", write("weights"))
    seen = events(root)
    assert names(root) == ["started", "first_step", "evaluated", "checkpoint", "stopped"]
    started, first, evaluated, checkpoint, stopped = seen
    expected = protocol.config_digest({"model": {"lr": 0.1}, "flag": True})
    assert started["digest"] == first["digest"] == expected
    assert started["effective"] == {"model.lr": 0.1, "flag": True} and started["resumed_from"] == "last"
    assert (started["step"], first["step"], evaluated["val_loss"]) == (5, 6, 0.4)
    assert all((event["generation"], event["run_id"], event["pid"]) == (3, "run-a", os.getpid()) for event in seen)
    assert all(protocol.parse_event(json.dumps(event).encode()) for event in seen)
    assert checkpoint["sha256"] == content_of(root / "models/last.pth").sha256
    assert (stopped["exit_code"], stopped["step"]) == (0, 6)
    [row] = rows(root)
    assert (row["step"], row["loss"], row["lr"], row["generation"]) == ("6", "0.5", "0.1", "3")
    assert float(row["rss_mb"]) > 1, "the first row, before any heartbeat"
    beat = json.loads((root / protocol.HEARTBEAT).read_text())
    assert (beat["run_id"], beat["step"], beat["section"]) == ("run-a", 6, "step") and beat["limit_s"] >= 60
    assert not list((root / "run/3").glob(".*tmp"))


def test_a_new_column_begins_a_new_file_once_and_a_known_one_does_not(root: Path) -> None:
    first = made(root)
    first.step(1, loss=1.0)
    first.step(2, loss=0.9, **{"val,loss": 2.0})
    first.flush()
    assert [row["loss"] for row in rows(root)] == ["0.9"] and (root / "logs/metrics.csv.1").exists()
    second = made(root)
    second.step(3, loss=0.8)
    second.flush()
    assert [(row["step"], row["val,loss"]) for row in rows(root)] == [("2", "2"), ("3", "")]
    assert not (root / "logs/metrics.csv.2").exists()


def test_rows_are_written_at_most_every_so_often_and_before_each_event(root: Path) -> None:
    reporter = made(root, every_s=1000.0)
    reporter.started()
    for step in range(1, 50):
        reporter.step(step, loss=1.0)
    assert len(rows(root)) == 1, "the first step is written at once"
    reporter.event("warning", message="x")
    assert len(rows(root)) == 49


def test_a_tensor_is_taken_for_its_value_and_nonsense_for_text(root: Path) -> None:
    class Tensor:
        def item(self) -> float:
            return 0.25

    class Broken:
        def __str__(self) -> str:
            return 'a "text", with\na comma'

    reporter = made(root)
    reporter.step(1, loss=Tensor(), note=Broken(), nothing=None)
    reporter.flush()
    assert rows(root)[0]["loss"] == "0.25" and rows(root)[0]["note"] == 'a "text", with\na comma'


def test_settings_may_be_given_by_a_caller_who_has_read_them(root: Path) -> None:
    settings = {"a": {"b": 1.0}}
    reporter = Reporter(root, settings=settings)
    assert reporter.digest == protocol.config_digest(settings)
    assert Reporter(root).digest == "", "without settings no digest is claimed"


def test_a_config_that_can_not_be_read_is_an_error_before_anything_is_trained(root: Path) -> None:
    (root / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="no settings by name"):
        made(root)
    with pytest.raises(FileNotFoundError):
        made(root, configs=["missing.yaml"])
    assert names(root) == []


def test_weights_after_a_loss_that_is_not_finite_replace_none(root: Path) -> None:
    """Also where the row of that step is still kept."""
    reporter = made(root, every_s=1000.0, stop_on_nan=True)
    reporter.step(1, loss=1.0)
    assert reporter.save("models/last.pth", write("good"))
    reporter.step(2, loss=float("nan"))
    with pytest.raises(SystemExit) as ended:
        reporter.save("models/last.pth", write("bad"))
    assert ended.value.code == TrainerExit.ANOMALY and (root / "models/last.pth").read_text() == "good"
    assert [(event["event"], event["step"]) for event in events(root)[-2:]] == [("anomaly", 2), ("stopped", 2)]


# -- what ends a run, and what does not ---------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_told_once_and_ends_the_run_only_if_wanted(root: Path) -> None:
    reporter = made(root)
    for step, loss in enumerate([1.0, float("nan"), float("inf"), 1.0, float("nan")], 1):
        reporter.step(step, loss=loss)
    told = [event for event in events(root) if event["event"] == "anomaly"]
    assert [(event["step"], event["quantity"], event["recoverable"]) for event in told] == [
        (2, "loss", True), (5, "loss", True),
    ]  # fmt: skip
    with pytest.raises(SystemExit) as ended, made(root, stop_on_nan=True) as strict:
        strict.step(6, loss=float("nan"))
    assert ended.value.code == TrainerExit.ANOMALY
    last = events(root)[-2:]
    assert [(event["event"], event.get("exit_code")) for event in last] == [("anomaly", None), ("stopped", 12)]
    assert not last[0]["recoverable"] and "first_step" not in names(root)[-2:]


def test_io_errors_never_end_a_run_and_are_told_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "logs").write_text("no folder")
    with made(root) as reporter:
        reporter.started()
        for step in range(1, 5):
            reporter.step(step, loss=1.0)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(set(told)) and any("logs/metrics.csv can't be written" in line for line in told)


def test_a_failed_save_leaves_the_old_file_and_is_reported(root: Path) -> None:
    reporter = made(root)
    assert reporter.save("models/last.pth", write("old"))

    def full(path: str) -> None:
        Path(path).write_text("half")
        raise OSError(28, "No space left on device")

    def torch_full(path: str) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 1 vs 2")

    for broken in (full, torch_full):
        assert not reporter.save("models/last.pth", broken)
        assert (root / "models/last.pth").read_text() == "old"
        assert names(root)[-1] == "save_failed"
    assert not list((root / "run/3").glob(".*tmp"))

    def wrong(path: str) -> None:
        raise KeyError("state")

    with pytest.raises(KeyError):
        reporter.save("models/last.pth", wrong)


def test_a_stop_without_a_checkpoint_is_not_called_a_good_one(root: Path) -> None:
    (root / "models").write_text("no folder")
    reporter = made(root)
    reporter.requests.request_stop()
    assert not reporter.save("models/last.pth", write("x"))
    with pytest.raises(SystemExit) as ended:
        reporter.finish()
    assert ended.value.code == TrainerExit.SAVE_FAILED == events(root)[-1]["exit_code"]


@pytest.mark.parametrize("moment", ["step", "save", "before the rename", "start"])
def test_a_newer_trainer_ends_this_one_and_keeps_its_checkpoints(root: Path, moment: str) -> None:
    reporter = made(root)
    assert reporter.save("models/last.pth", write("newer's"))

    def overtaken(path: str) -> None:
        Path(path).write_text("late")
        newer(root, 4)
        (root / "run/3").rename(root / "run/3.fenced")

    if moment != "before the rename":
        newer(root, 4)
    with pytest.raises(SystemExit) as ended, reporter:
        if moment == "start":
            reporter.started()
        elif moment == "step":
            reporter.step(1, loss=1.0)
        else:
            reporter.save("models/last.pth", overtaken if moment == "before the rename" else write("late"))
    assert ended.value.code == TrainerExit.FENCED
    assert (root / "models/last.pth").read_text() == "newer's"
    fenced, stopped = events(root)[-2:]
    assert (fenced["event"], fenced["newer"], stopped["exit_code"]) == ("fenced", 4, 17)


def test_the_kernel_refuses_a_late_rename_even_without_a_counter(root: Path) -> None:
    """`trainer stop` renames the folder without a new number."""
    reporter = made(root)

    def stopped(path: str) -> None:
        Path(path).write_text("late")
        (root / "run/3").rename(root / "run/3.fenced")

    with pytest.raises(SystemExit) as ended:
        reporter.save("models/last.pth", stopped)
    assert ended.value.code == TrainerExit.FENCED and not (root / "models/last.pth").exists()


def test_a_crash_is_reported_and_out_of_memory_as_such(root: Path) -> None:
    with pytest.raises(MemoryError), made(root):
        raise MemoryError("no room")
    oom, stopped = events(root)
    assert (oom["event"], oom["recoverable"], stopped["exit_code"]) == ("oom", False, 1)
    with pytest.raises(ZeroDivisionError), made(root):
        print(1 / 0)
    assert events(root)[-1]["reason"] == "ZeroDivisionError: division by zero"


# -- requests -----------------------------------------------------------------------------------------------------


def ask(root: Path, **request: Any) -> None:
    (root / protocol.REQUEST).parent.mkdir(exist_ok=True)
    (root / protocol.REQUEST).write_text(json.dumps({"id": "7", "run_id": "run-a", **request}))


def test_a_request_to_stop_is_for_this_run_only(root: Path) -> None:
    reporter = made(root)
    ask(root, run_id="another", want="stop")
    reporter.step(1)
    assert not reporter.stop_requested and not (root / protocol.REQUEST).exists()
    ask(root, want="stop")
    reporter.step(2)
    assert reporter.stop_requested
    with pytest.raises(SystemExit) as ended:
        reporter.finish()
    assert ended.value.code == TrainerExit.STOPPED == events(root)[-1]["exit_code"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b"{" * 5000, b"0" * 200_000, None])
def test_a_request_of_nonsense_is_removed(root: Path, content: bytes | None) -> None:
    reporter = made(root)
    (root / "logs").mkdir(exist_ok=True)
    if content is None:
        os.mkfifo(root / protocol.REQUEST)
    else:
        (root / protocol.REQUEST).write_bytes(content)
    reporter.step(1)
    assert not reporter.stop_requested and not os.path.lexists(root / protocol.REQUEST)


def test_new_settings_are_taken_up_or_refused(root: Path) -> None:
    taken: list[tuple[dict[str, Any], str]] = []

    def take(settings: dict[str, Any], resume: str) -> None:
        if settings["model"]["lr"] > 1:
            raise ValueError("lr is too high")
        taken.append((settings, resume))

    reporter = made(root, on_reload=take)
    (root / "config.json").write_text('{"model": {"lr": 0.2}}')
    ask(root, want="reload", resume="best")
    reporter.step(1)
    reloaded = events(root)[-1]
    assert taken == [({"model": {"lr": 0.2}}, "best")]
    assert (reloaded["event"], reloaded["request"], reloaded["effective"]) == ("reloaded", "7", {"model.lr": 0.2})
    assert reloaded["digest"] == protocol.config_digest({"model": {"lr": 0.2}}) == reporter.digest
    for broken in ('{"model": {"lr": 2}}', "{", "[]"):
        (root / "config.json").write_text(broken)
        ask(root, want="reload")
        reporter.step(2)
        assert names(root)[-1] == "reload_refused" and reporter.settings == {"model": {"lr": 0.2}}
    ask(root, want="reload")
    made(root, settings={}).step(3)
    assert "only when it is started" in events(root)[-1]["message"]


def test_eight_ranks_report_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        (root / protocol.EVENTS).unlink(missing_ok=True)
        for rank in range(8):
            with monkeypatch.context() as patch:
                patch.setenv(kind, str(rank))
                reporter = made(root)
                reporter.started()
                reporter.step(1, loss=1.0)
                reporter.save("models/last.pth", write(str(rank)))
                reporter.finish()
        assert names(root) == ["started", "first_step", "checkpoint", "stopped"], kind
        assert (root / "models/last.pth").read_text() == "0"


def test_torchruns_rank_decides_alone() -> None:
    assert hooks.is_main_process({"RANK": "0", "SLURM_PROCID": "3"})
    assert not hooks.is_main_process({"RANK": "3", "LOCAL_RANK": "0"})
    assert not hooks.is_main_process({"LOCAL_RANK": "0", "NODE_RANK": "1"})
    assert hooks.is_main_process({"LOCAL_RANK": "", "RANK": ""})


def test_of_several_processes_a_stop_is_no_failure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    reporter = made(root)
    reporter.requests.request_stop()
    with pytest.raises(SystemExit) as ended:
        reporter.finish()
    assert ended.value.code == 0 and events(root)[-1]["exit_code"] == TrainerExit.STOPPED


# -- as a file of its own -----------------------------------------------------------------------------------------


def test_it_needs_python_3_9_and_its_standard_library_only() -> None:
    for path in SOURCE.parent.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))
    tree = ast.parse(SOURCE.read_text())
    roots = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    roots |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert roots - set(sys.stdlib_module_names) == {"yaml"}


@pytest.mark.parametrize("python", [Path(sys.executable), *PYTHONS], ids=lambda path: path.name)
def test_a_copy_of_it_in_a_loop_of_ones_own(tmp_path: Path, python: Path) -> None:
    """Killed by SIGTERM in the middle, without anything else of ours: it saves, and says so."""
    if not python.exists():
        pytest.skip(f"{python} is not there")
    (tmp_path / "copied").mkdir()
    shutil.copy(SOURCE, tmp_path / "copied" / "reporter.py")
    (tmp_path / "config.json").write_text('{"a": 1}')
    (tmp_path / "loop.py").write_text(LOOP.format(folder=str(tmp_path / "copied")))
    child = subprocess.Popen([python, "-I", "loop.py"], cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    try:
        wait_for(lambda: (tmp_path / protocol.METRICS).exists() and len(rows(tmp_path)) > 1)
        time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == TrainerExit.STOPPED
    finally:
        child.kill()
    last = int(rows(tmp_path)[-1]["step"])
    assert (tmp_path / "models/last.pth").read_text() == str(last) == str(events(tmp_path)[-1]["step"])


def test_a_forked_worker_ends_by_its_signal(root: Path) -> None:
    """A data loader's worker inherits the handler; its parent ends it by SIGTERM."""
    made(root)
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(tell, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)  # Python forgets signals that arrive while it forks
    os.kill(pid, signal.SIGTERM)
    assert os.waitpid(pid, 0)[1] == signal.SIGTERM
