"""Metrics are read where they are: CSV and JSONL with any columns, TensorBoard's event files, trainer_state.json."""

from __future__ import annotations

import json
import math
import os
import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from atftctl.domain.metric_rules import Metrics, MetricsSince, MetricsSource
from atftctl.domain.run_rows import Row
from atftctl.observe.metrics.any_files import AnyMetrics
from atftctl.observe.metrics.around import around
from atftctl.observe.metrics.around_any import kept_rows
from atftctl.observe.metrics.files import files_of
from atftctl.observe.metrics.following import followed_since
from atftctl.observe.metrics.following_files import FilesFollower
from atftctl.observe.metrics.formats.crc32c import crc32c
from atftctl.observe.metrics.formats.decoder import Columns
from atftctl.observe.metrics.formats.event_file import EventFile
from atftctl.observe.metrics.source import rows_of_run
from atftctl.observe.metrics.text_rows import last_metrics, metrics_since
from atftctl.state.layout import Layout
from atftctl.state.metrics_places import places_of
from tests.support.event_files import NAME, append, begin, record_of, scalars

Write = Callable[[Layout, int, int], None]


def layout_of(root: Path, *files: str, step: str = "step", format: str = "auto") -> Layout:
    return Layout(root, root / "runbooks" / "x.yaml", metrics=MetricsSource(files, format, step))  # type: ignore[arg-type]


def write_csv(layout: Layout, first: int, last: int) -> None:
    """Rows with empty cells, as the CSVLogger of Lightning writes them: validation in rows of its own."""
    path = layout.root / "lightning_logs/version_0/metrics.csv"
    if not path.exists():
        append(path, b"epoch,step,train_loss,val_loss\n")
    for step in range(first, last):
        append(path, f"0,{step},{1 / (step + 1)},\n".encode())
        if step % 5 == 4:
            append(path, f"0,{step},,{2 / (step + 1)}\n".encode())


def write_jsonl(layout: Layout, first: int, last: int) -> None:
    for step in range(first, last):
        value = {"step": step, "train_loss": 1 / (step + 1), "note": "text", "opt": {"lr": 0.1}}
        value |= {"val_loss": 2 / (step + 1)} if step % 5 == 4 else {}
        append(layout.root / "out/log.jsonl", json.dumps(value).encode() + b"\n")


def write_events(layout: Layout, first: int, last: int) -> None:
    path = layout.root / "runs/one" / NAME
    if not path.exists():
        append(path, begin())
    for step in range(first, last):
        values = {"train_loss": 1 / (step + 1), **({"val_loss": 2 / (step + 1)} if step % 5 == 4 else {})}
        append(path, scalars(step, values))


def write_state(layout: Layout, first: int, last: int) -> None:
    """The whole history, in the folder of a new checkpoint."""
    old = sorted((layout.root / "out").glob("checkpoint-*/trainer_state.json"), key=lambda path: path.stat().st_mtime)
    history = json.loads(old[-1].read_text())["log_history"] if old else []
    history = [entry for entry in history if entry["step"] < first]
    for step in range(first, last):
        history.append({"step": step, "epoch": step / 10, "train_loss": 1 / (step + 1)})
        if step % 5 == 4:
            history.append({"step": step, "epoch": step / 10, "val_loss": 2 / (step + 1)})
    path = layout.root / f"out/checkpoint-{last}/trainer_state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"log_history": history, "global_step": last}))
    now = max([path.stat().st_mtime_ns, *(each.stat().st_mtime_ns + 1000 for each in old)])
    os.utime(path, ns=(now, now))


FORMATS: dict[str, tuple[tuple[str, ...], Write]] = {
    "csv": (("lightning_logs/version_*/metrics.csv",), write_csv),
    "jsonl": (("out/log.jsonl",), write_jsonl),
    "tensorboard": (("runs",), write_events),
    "huggingface": (("out/checkpoint-*/trainer_state.json",), write_state),
}


@pytest.fixture(params=FORMATS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Layout, Write]:
    files, write = FORMATS[request.param]
    return layout_of(tmp_path, *files), write


def losses(rows: Sequence[Row]) -> list[tuple[int, float]]:
    return [(row.step, round(row.values["train_loss"], 5)) for row in rows if "train_loss" in row.values]


def expected(first: int, last: int) -> list[tuple[int, float]]:
    return [(step, round(1 / (step + 1), 5)) for step in range(first, last)]


def follow(layout: Layout, follower: FilesFollower) -> list[Row]:
    return [row for rows in follower.read() for row in rows]


def test_everything_is_read_and_rows_of_a_step_are_one(made: tuple[Layout, Write]) -> None:
    layout, write = made
    assert AnyMetrics(layout).read() is None
    assert AnyMetrics(layout).newest(5) is None
    write(layout, 0, 50)
    table = AnyMetrics(layout).read()
    assert table is not None
    assert table.steps.tolist() == list(range(50))
    assert table.columns["train_loss"].present.all()
    assert table.columns["val_loss"].present.sum() == 10
    assert not table.set_aside.lines
    newest = AnyMetrics(layout).newest(6)
    assert newest is not None
    assert [row["step"] for row in newest.rows] == [44, 45, 46, 47, 48, 49]
    assert newest.rows[0]["val_loss"] == pytest.approx(2 / 45)


def test_the_rows_of_a_run_are_those_behind_its_start(made: tuple[Layout, Write]) -> None:
    layout, write = made
    write(layout, 0, 50)
    since = MetricsSince(places=places_of(layout))
    assert rows_of_run(layout, ("train_loss",), since).rows == ()
    assert metrics_since(layout, since) == []
    write(layout, 50, 80)
    rows = rows_of_run(layout, ("train_loss", "val_loss"), since)
    assert losses(rows.rows) == expected(50, 80)
    assert rows.count == 30
    assert {"train_loss", "val_loss"} <= set(rows.columns)
    assert not rows.problem
    window = metrics_since(layout, since)
    assert [row["step"] for row in window] == [str(step) for step in range(50, 80)]
    assert float(window[4]["val_loss"]) == pytest.approx(2 / 55)
    assert last_metrics(layout, 1, None)[0]["step"] == "79"


def test_each_row_is_followed_once(made: tuple[Layout, Write]) -> None:
    layout, write = made
    write(layout, 0, 50)
    since = MetricsSince(places=places_of(layout))
    follower = FilesFollower(layout, ("train_loss", "val_loss"), "val_loss", 0, followed_since(since))
    follower._is_search = False  # looks for new files each time
    assert follow(layout, follower) == []
    write(layout, 50, 60)
    assert losses(follow(layout, follower)) == expected(50, 60)
    assert follow(layout, follower) == []
    write(layout, 60, 70)
    other = FilesFollower(layout, ("train_loss", "val_loss"), "val_loss", 0, follower.state)
    assert losses(follow(layout, other)) == expected(60, 70)
    state = other.state
    assert (state.total - state.evaluated, state.newest, state.evaluated) in ((20, 69, 4), (16, 69, 4))
    assert {"train_loss", "val_loss"} <= set(other.run_rows().columns)


def test_the_rows_around_an_operation_are_found(made: tuple[Layout, Write]) -> None:
    layout, write = made
    write(layout, 0, 50)
    kept = kept_rows(layout, 20)
    assert kept.count(b"\n") == 21
    write(layout, 30, 60)
    placed = around(layout, kept, ("train_loss",), 2, 30)
    assert not placed.problem
    assert losses(placed.before)[-1] == (49, 0.02)
    assert [row.step for row in placed.after][-1] == 59
    assert placed.after[0].step in (30, 50)  # the same values were written: where a history has them, they are known


def test_a_new_run_in_a_folder_of_its_own_counts(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "lightning_logs/version_*/metrics.csv")
    write_csv(layout, 0, 50)
    since = MetricsSince(places=places_of(layout))
    append(tmp_path / "lightning_logs/version_1/metrics.csv", b"step,train_loss\n7,0.5\n8,0.25\n")
    assert losses(rows_of_run(layout, ("train_loss",), since).rows) == [(7, 0.5), (8, 0.25)]
    newest = AnyMetrics(layout).newest(10)
    assert newest and [row["step"] for row in newest.rows] == [7, 8]
    assert "version_1" in AnyMetrics(layout).source


def test_files_named_one_by_one_are_written_at_the_same_time(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "out/train.jsonl", "out/val.jsonl")
    for step in range(6):
        append(tmp_path / "out/train.jsonl", b'{"step": %d, "train_loss": 0.5}\n' % step)
        if step % 2:
            append(tmp_path / "out/val.jsonl", b'{"step": %d, "val_loss": 0.7}\n' % step)
    table = AnyMetrics(layout).read()
    assert table is not None and table.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert table.columns["val_loss"].present.tolist() == [False, True] * 3
    rows = rows_of_run(layout, ("val_loss",), MetricsSince()).rows
    assert [row.step for row in rows if row.values] == [1, 3, 5]


def test_steps_that_go_back_and_the_same_step_twice_are_kept(made: tuple[Layout, Write]) -> None:
    layout, write = made
    write(layout, 0, 20)
    write(layout, 10, 30)
    rows = rows_of_run(layout, ("train_loss",), MetricsSince()).rows
    steps = [row.step for row in rows]
    assert steps in ([*range(20), *range(10, 30)], list(range(30)))  # a history holds what is not discarded


# CSV


def test_a_header_may_have_quotes_other_delimiters_and_another_step(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "log.csv", step="iteration")
    append(tmp_path / "log.csv", b'\xef\xbb\xbf"when";"iteration";"loss, total"\r\n"10:31";1;0.5\r\n"10:32";2;nan\r\n')
    newest = AnyMetrics(layout).newest(5)
    assert newest is not None
    assert [row["iteration" if "iteration" in row else "step"] for row in newest.rows] == [1, 2]
    assert newest.rows[0]["loss, total"] == 0.5
    assert math.isnan(newest.rows[1]["loss, total"] or 0)
    assert newest.set_aside.not_numbers == 2


def test_torn_lines_second_headers_and_unfinished_ends_are_counted(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "log.csv", format="csv")
    append(tmp_path / "log.csv", b"step,loss\n1,0.5\n2,0.\xff5\n3\n4,abc\nstep,loss,acc\n5,0.1,0.9\n6,0.1,0.")
    table = AnyMetrics(layout).read()
    assert table is not None
    assert table.steps.tolist() == [1, 4, 5]
    aside = table.set_aside
    assert (aside.lines, aside.headers, aside.not_numbers) == (2, 1, 1)
    append(tmp_path / "log.csv", b"8\n")
    again = AnyMetrics(layout).read()
    assert again is not None and again.steps.tolist() == [1, 4, 5, 6]


def test_a_file_that_is_rewritten_with_more_columns_gives_each_row_once(tmp_path: Path) -> None:
    """The CSVLogger of Lightning does so when a value is logged for the first time."""
    layout = layout_of(tmp_path, "metrics.csv")
    path = tmp_path / "metrics.csv"
    follower = FilesFollower(layout, ("loss", "val"), "val", 0, followed_since(MetricsSince()))
    append(path, b"step,loss\n1,0.5\n2,0.4\n")
    assert [row.step for row in follow(layout, follower)] == [1, 2]
    path.write_bytes(b"step,loss,val\n1,0.5,\n2,0.4,\n2,,0.9\n3,0.3,\n")
    assert [(row.step, dict(row.values)) for row in follow(layout, follower)] == [(2, {"val": 0.9}), (3, {"loss": 0.3})]
    path.unlink()
    path.write_bytes(b"step,loss,val\n1,9.5,\n")  # another run
    assert [(row.step, dict(row.values)) for row in follow(layout, follower)] == [(1, {"loss": 9.5})]


# JSONL


def test_nested_objects_texts_and_odd_numbers(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "log.jsonl")
    lines = [
        '{"step": 1, "train": {"loss": 0.5, "lr": null}, "tags": [1, 2], "ok": true, "note": "12"}',
        '{"step": 2, "train": {"loss": NaN}}',
        '{"step": 3, "train": {"loss": "Infinity"}}',
        '{"step": 4, "train": {"loss": 1%s}}' % ("0" * 400),
        '{"loss": 1}',
        "[1, 2]",
        "no JSON",
        "[" * 100_000,
        '{"step": 5.0, "train": {"loss": 5}}',
        '{"step": -1}',
        '{"step": 5.5}',
    ]
    append(tmp_path / "log.jsonl", "\n".join([*lines, '{"step": 6']).encode())
    table = AnyMetrics(layout).read()
    assert table is not None
    assert table.steps.tolist() == [1, 2, 3, 4, 5]
    assert list(table.columns) == ["train.loss"]
    assert table.columns["train.loss"].present.tolist() == [True, True, True, False, True]
    assert math.isinf(table.columns["train.loss"].values[2])
    aside = table.set_aside
    assert (aside.lines, aside.no_step, aside.not_numbers) == (3, 3, 1)


def test_a_line_that_never_ends_is_left_out(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "log.jsonl")
    append(tmp_path / "log.jsonl", b'{"step": 1, "a": 1}\n{"x": "' + b"y" * (3 << 20) + b'"}\n{"step": 2, "a": 2}\n')
    rows = rows_of_run(layout, ("a",), MetricsSince())
    assert [row.step for row in rows.rows] == [1, 2]
    assert rows.torn == 1


def test_a_start_in_the_middle_of_a_line_loses_no_row(made: tuple[Layout, Write], tmp_path: Path) -> None:
    layout, write = made
    if files_of(layout):
        return
    write(layout, 0, 10)
    file = files_of(layout)[0]
    if file.is_whole:
        return
    data = file.path.read_bytes()
    file.path.write_bytes(data[:-3])  # the writer was killed
    since = MetricsSince(places=places_of(layout))
    append(file.path, b"\n" if file.format != "tensorboard" else b"")
    write(layout, 10, 20)
    rows = rows_of_run(layout, ("train_loss",), since)
    assert losses(rows.rows)[-9:] == expected(11, 20)


# TensorBoard


def test_the_sum_is_crc_32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # of RFC 3720


def read_events(data: bytes) -> tuple[list[Row], Columns]:
    columns = Columns("step")
    reader = EventFile(columns)
    return reader.take(data)[0], columns


def test_what_the_writer_of_torch_writes_is_read(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    writer = tensorboard.SummaryWriter(str(tmp_path / "runs"))
    for step in range(3):
        writer.add_scalar("train/loss", 0.5 + step, step)
        writer.add_scalar("new", 7 + step, step, new_style=True)
        writer.add_scalar("double", 0.25, step, new_style=True, double_precision=True)
    writer.add_scalar("train/loss", float("nan"), 3)
    writer.add_text("text", "hello", 3)
    writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 4)
    writer.close()
    table = AnyMetrics(layout_of(tmp_path, "runs")).read()
    assert table is not None
    assert table.steps.tolist() == [0, 1, 2, 3, 4]
    assert table.columns["both_b/both"].values[4] == 2  # each has a folder of its own
    assert table.columns["new"].values[:3].tolist() == [7, 8, 9]
    assert table.columns["double"].values[:3].tolist() == [0.25] * 3
    assert table.columns["train/loss"].present[3] and math.isnan(table.columns["train/loss"].values[3])
    assert not table.set_aside.lines


def test_a_file_that_is_cut_anywhere_gives_what_is_before(tmp_path: Path) -> None:
    data = begin() + b"".join(scalars(step, {"loss": step / 2}) for step in range(20))
    whole = len(read_events(data)[0])
    for end in range(0, len(data), 7):
        rows, columns = read_events(data[:end])
        assert columns.counts.damaged == 0
        assert [row.step for row in rows] == list(range(len(rows)))
    assert whole == 20


def test_a_damaged_record_is_left_out_and_the_next_one_found() -> None:
    records = [scalars(step, {"loss": step / 2}) for step in range(20)]
    source = random.Random(1)
    for _ in range(200):
        number, data = source.randrange(20), list(records)
        place = source.randrange(len(data[number]))
        changed = bytearray(data[number])
        changed[place] ^= 1 << source.randrange(8)
        data[number] = bytes(changed)
        rows, columns = read_events(b"".join(data))
        assert [row.step for row in rows] == [step for step in range(20) if step != number]
        assert columns.counts.damaged == 1


@pytest.mark.parametrize("length", [0, 1 << 21, 1 << 39, (1 << 64) - 1])
def test_a_length_that_can_not_be_stops_nothing(tmp_path: Path, length: int) -> None:
    layout = layout_of(tmp_path, "runs")
    path = tmp_path / "runs" / NAME
    append(path, begin() + scalars(1, {"loss": 0.5}) + struct.pack("<QI", length, 77))
    append(path, scalars(2, {"loss": 0.25}))
    assert [row.step for row in rows_of_run(layout, ("loss",), MetricsSince()).rows] == [1, 2]


def test_a_long_record_is_skipped_and_waited_for(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "runs")
    path = tmp_path / "runs" / NAME
    graph = record_of(bytes(5 << 20))
    append(path, begin() + scalars(1, {"loss": 0.5}) + graph[: 3 << 20])
    follower = FilesFollower(layout, ("loss",), "", 0, followed_since(MetricsSince()))
    follower._is_search = False
    assert [row.step for row in follow(layout, follower)] == [1]
    append(path, graph[3 << 20 :] + scalars(2, {"loss": 0.25}))
    assert [row.step for row in follow(layout, follower)] == [2]


def test_the_newest_rows_of_a_huge_file_are_read_from_its_end(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "runs")
    path = tmp_path / "runs" / NAME
    append(path, begin())
    with path.open("r+b") as file:
        file.truncate(5 << 30)  # a hole
    append(path, b"".join(scalars(step, {"loss": 0.5}) for step in range(1000)))
    newest = AnyMetrics(layout).newest(10)
    assert newest is not None
    assert [row["step"] for row in newest.rows] == list(range(990, 1000))


@pytest.mark.parametrize("seed", range(20))
def test_no_bytes_end_a_reader(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    data = bytearray(b"".join(scalars(step, {"loss": step / 2, "b": 1.0}) for step in range(10)))
    for _ in range(source.randrange(1, 30)):
        data[source.randrange(len(data))] = source.randrange(256)
    noise = record_of(source.randbytes(50)) + bytes(data) + record_of(b"\x2a\x05" + source.randbytes(5))
    for name in (NAME, "log.jsonl", "log.csv", "trainer_state.json", "unknown"):
        append(tmp_path / name, noise)
        layout = layout_of(tmp_path, name)
        rows_of_run(layout, ("loss",), MetricsSince())
        AnyMetrics(layout).newest(3)


def test_a_symlink_out_of_the_project_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    os.mkfifo(root / "log.jsonl")
    assert files_of(layout_of(root, "log.jsonl")) == []
    assert files_of(layout_of(root, "../log.jsonl", "/etc/passwd")) == []


# trainer_state.json


def test_a_history_that_is_torn_or_none_is_said(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "out/trainer_state.json")
    path = tmp_path / "out/trainer_state.json"
    append(path, b'{"log_history": [{"step": 1, "loss": 0.5}')
    assert "log_history" in rows_of_run(layout, ("loss",), MetricsSince()).problem
    path.write_bytes(b"[" * 100_000)
    assert "log_history" in rows_of_run(layout, ("loss",), MetricsSince()).problem


def test_a_history_that_is_being_written_leaves_the_one_before_it(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "out/checkpoint-*/trainer_state.json")
    write_state(layout, 0, 10)
    write_state(layout, 10, 20)
    path = tmp_path / "out/checkpoint-20/trainer_state.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2].rstrip(b"}"))
    newest = AnyMetrics(layout).newest(1)
    assert newest and newest.rows[0]["step"] == 9
    follower = FilesFollower(layout, ("train_loss",), "", 0, followed_since(MetricsSince()))
    follower._is_search = False
    assert losses(follow(layout, follower)) == expected(0, 10)
    path.write_bytes(whole)
    assert losses(follow(layout, follower)) == expected(10, 20)


def test_a_history_of_another_branch_is_told_from_the_one_before(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "out/checkpoint-*/trainer_state.json")
    write_state(layout, 0, 40)
    since = MetricsSince(places=places_of(layout))
    history = [{"step": step, "train_loss": 1 / (step + 1)} for step in range(20)]
    history = [entry for step in range(20) for entry in json.loads(
        (tmp_path / "out/checkpoint-40/trainer_state.json").read_text())["log_history"] if entry["step"] == step]  # fmt: skip
    history += [{"step": step, "train_loss": 7.0} for step in range(20, 30)]
    path = tmp_path / "out/checkpoint-30/trainer_state.json"
    append(path, json.dumps({"log_history": history}).encode())
    rows = rows_of_run(layout, ("train_loss", "val_loss"), since).rows
    assert losses(rows) == [(step, 7.0) for step in range(20, 30)]


# The runbook


def test_the_default_is_the_file_of_the_protocol() -> None:
    assert Metrics().source.is_default
    assert not MetricsSource(step="epoch").is_default
    assert not MetricsSource(("logs/metrics.csv", "x")).is_default
    assert not MetricsSource(format="jsonl").is_default
