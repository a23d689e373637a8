"""What a metrics file may look like: torn, mixed, rotated, garbage. Nothing is dropped without a word."""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path

import pytest

from atftctl.domain.errors import Refused
from atftctl.domain.metrics_table import MetricsTable, NewestRows
from atftctl.observe.metrics import csv_file, rotation
from atftctl.observe.metrics.csv_file import CsvMetrics
from atftctl.observe.metrics.runs import runs
from atftctl.observe.trainer_run import event_log
from tests.support.needs import needs

pytestmark = needs("pyarrow")
HEAD = "step,loss,quality\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def put(folder: Path, text: str | bytes, name: str = "metrics.csv", age_s: float = 0.0) -> Path:
    path = folder / "logs" / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, (1_700_000_000 - age_s,) * 2)
    return path


def read(folder: Path) -> MetricsTable:
    table = CsvMetrics(folder).read()
    assert table is not None
    return table


def newest(folder: Path, rows: int = 100) -> NewestRows:
    answer = CsvMetrics(folder).newest(rows)
    assert answer is not None
    return answer


def numbers(table: MetricsTable, name: str) -> list[float | None]:
    column = table.columns[name]
    return [float(value) if there else None for value, there in zip(column.values, column.present, strict=True)]


def test_values_missing_values_and_nan_are_three_things(folder: Path) -> None:
    put(folder, HEAD + "1,0.5,\n2,nan,0.25\n3,inf,\n4,-inf,NaN\n")
    table = read(folder)
    assert table.steps.tolist() == [1, 2, 3, 4]
    loss = numbers(table, "loss")
    assert loss[0] == 0.5 and math.isnan(loss[1] or 0) and loss[2:] == [math.inf, -math.inf]
    assert numbers(table, "quality")[:3] == [None, 0.25, None]
    assert table.set_aside.not_numbers == 0


def test_a_torn_last_line_is_left_out_and_told(folder: Path) -> None:
    put(folder, HEAD + "1,0.5,0.1\n2,0.4,0.1\n3,0.")
    for answer in (read(folder).set_aside, newest(folder).set_aside):
        assert (answer.unfinished, answer.lines) == (1, 0)
    assert read(folder).steps.tolist() == [1, 2] and len(newest(folder).rows) == 2


def test_torn_lines_in_the_middle_do_not_take_others_with_them(folder: Path) -> None:
    put(folder, HEAD + '1,0.5,0.1\n2,0.\n3,"0.4,0.1\n4,0.4,0.1\n5,0.4,0.1,7,8\n\n6,0.3,0.1\n')
    table = read(folder)
    assert table.steps.tolist() == [1, 3, 4, 6], "a quote does not swallow the lines behind it"
    assert (table.set_aside.lines, table.set_aside.not_numbers) == (2, 1)
    rows = newest(folder)
    assert [row["step"] for row in rows.rows] == [1, 3, 4, 6]
    assert (rows.set_aside.lines, rows.set_aside.not_numbers) == (2, 1)


def test_values_that_are_no_numbers(folder: Path) -> None:
    put(
        folder,
        HEAD
        + "1,abc,0.1\n2,0.4, 0.2 \n3,1_0,1.\n4,.5,1e-3\nx,0.1,0.1\n,0.1,0.1\nnan,0.1,0.1\n-5,0,0\n4.5,0,0\n1e30,0,0\n5,-1E+2,0x1\n",
    )
    table = read(folder)
    assert table.steps.tolist() == [1, 2, 3, 4, 5]
    assert numbers(table, "loss") == [None, 0.4, None, 0.5, -100.0]
    assert numbers(table, "quality") == [0.1, 0.2, 1.0, 0.001, None]
    assert (table.set_aside.not_numbers, table.set_aside.no_step) == (4, 6)


def test_a_second_header_in_the_middle(folder: Path) -> None:
    put(folder, HEAD + "1,0.5,0.1\n2,0.4,0.1\n" + HEAD + "2,0.3,0.2\n3,0.3,0.2\n")
    table = read(folder)
    assert table.steps.tolist() == [1, 2, 2, 3]
    assert table.fresh.tolist() == [False, False, True, False]
    assert table.set_aside.headers == 1
    assert [row["loss"] for row in newest(folder, 3).rows] == [0.4, 0.3, 0.3]


def test_columns_that_change_in_place(folder: Path) -> None:
    put(folder, HEAD + "1,0.5,0.1\nstep,quality,lr\n2,0.2,0.01\n3,0.2,0.01\n")
    table = read(folder)
    assert list(table.columns) == ["loss", "quality", "lr"]
    assert numbers(table, "loss") == [0.5, None, None]
    assert numbers(table, "quality") == [0.1, 0.2, 0.2]
    assert numbers(table, "lr") == [None, 0.01, 0.01]
    assert newest(folder).rows[-1] == {"step": 3.0, "quality": 0.2, "lr": 0.01}


def test_rotated_files_by_the_time_of_their_last_line(folder: Path) -> None:
    put(folder, HEAD + "5,0.1,0.3\n")
    put(folder, HEAD + "1,0.5,0.1\n", "metrics.csv.1", age_s=900)  # the trainer numbers upwards
    put(folder, HEAD + "2,0.4,0.1\n", "metrics.csv.2", age_s=600)
    put(folder, "step,loss\n3,0.3\n", "metrics.csv-20231114", age_s=300)
    put(folder, b"\x1f\x8b", "metrics.csv.3.gz", age_s=2000)
    put(folder, b"\x1f\x8b", "metrics.csv.gz", age_s=1900)
    put(folder, HEAD + "4,0.2,0.2\n", "metrics-20231115.csv", age_s=200)
    put(folder, "not,a,rotation\n", "metrics.csv.bak")
    table = read(folder)
    assert table.steps.tolist() == [1, 2, 3, 4, 5]
    assert not table.fresh.any(), "the header at the beginning of a file is no second one"
    assert numbers(table, "quality") == [0.1, 0.1, None, 0.2, 0.3]
    assert list(table.set_aside.files) == ["metrics.csv.gz", "metrics.csv.3.gz"]
    assert [row["step"] for row in newest(folder, 3).rows] == [3, 4, 5]


def test_windows_line_ends_and_a_byte_order_mark(folder: Path) -> None:
    put(folder, b"\xef\xbb\xbf" + (HEAD + "1,0.5,0.1\n2,0.4,\n").replace("\n", "\r\n").encode())
    assert read(folder).steps.tolist() == [1, 2]
    assert numbers(read(folder), "quality") == [0.1, None]
    assert [row["quality"] for row in newest(folder).rows] == [0.1, None]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", 0),
        (HEAD.encode(), 0),
        (b"1,2,3\n4,5,6\n", 2),
        (b"hello\nworld\n", 2),
        (b"step,step\n1,2\n", 2),
        (b"Step,loss\n1,2\n", 2),
    ],
    ids=["empty", "only a header", "no header", "words", "a column twice", "no column step"],
)
def test_files_without_a_row(folder: Path, content: bytes, lines: int) -> None:
    put(folder, content)
    for rows, aside in (
        (len(read(folder)), read(folder).set_aside),
        (len(newest(folder).rows), newest(folder).set_aside),
    ):
        assert (rows, aside.no_header, aside.lines) == (0, lines, 0), "they are not torn"


def test_binary_garbage(folder: Path) -> None:
    garbage = bytes(range(256)) * 4000
    put(folder, garbage)
    assert len(read(folder)) == 0 and read(folder).set_aside.no_header > 0
    put(folder, HEAD.encode() + b"1,0.5,0.1\n" + garbage + b"\n2,0.4,0.1\n")
    assert read(folder).steps.tolist() == [1, 2]
    put(folder, HEAD.encode() + b"1,0.5,0.1\n" + b"x" * (3 << 20) + b"\n2,\xff\xfe,0.1\n3,0,\x00\n")
    table = read(folder)
    assert table.steps.tolist() == [1, 3], "a line of 3 MB is not a row"
    assert (table.set_aside.lines, table.set_aside.not_numbers) == (2, 1)


def test_no_file_at_all(folder: Path) -> None:
    assert CsvMetrics(folder).read() is None
    assert CsvMetrics(folder).newest(5) is None


def test_a_pipe_and_a_folder_are_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "logs" / "metrics.csv")
    for act in (CsvMetrics(folder).read, lambda: CsvMetrics(folder).newest(5)):
        with pytest.raises(Refused, match="not a regular file"):
            act()
    (folder / "logs" / "metrics.csv").unlink()
    (folder / "logs" / "metrics.csv").mkdir()
    with pytest.raises(Refused):
        CsvMetrics(folder).read()


def test_a_rotated_file_that_is_a_symlink_is_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text(HEAD + "1,0.5,0.1\n")
    put(folder, HEAD + "2,0.5,0.1\n")
    (folder / "logs" / "metrics.csv.1").symlink_to(outside)
    assert read(folder).steps.tolist() == [2]


def test_a_file_that_is_replaced_while_it_is_read(folder: Path) -> None:
    """What is read is one of the two files as a whole, never a mixture."""
    texts = [HEAD + "".join(f"{step},{kind},0.1\n" for step in range(1, 20_001)) for kind in (1, 2)]
    put(folder, texts[0])
    over = threading.Event()

    def replace() -> None:
        number = 0
        while not over.is_set():
            number += 1
            temp = folder / "logs" / "new"
            temp.write_text(texts[number % 2])
            temp.replace(folder / "logs" / "metrics.csv")

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for _ in range(15):
            table = read(folder)
            assert len(table) == 20_000 and len(set(table.columns["loss"].values.tolist())) == 1
    finally:
        over.set()
        thread.join()


def test_a_file_larger_than_the_limit_is_read_from_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "LIMIT", 1000)
    put(folder, HEAD + "".join(f"{step},0.5,0.1\n" for step in range(1, 1001)))
    put(folder, HEAD + "1,9,9\n", "metrics.csv.1", age_s=100)
    table = read(folder)
    assert table.steps[-1] == 1000 and 50 < len(table) < 100
    assert table.columns["loss"].values[0] == 0.5, "the first line is whole"
    assert set(table.set_aside.files) == {"metrics.csv", "metrics.csv.1"}


def test_the_newest_rows_of_a_long_file(folder: Path) -> None:
    put(folder, HEAD + "".join(f"{step},{'0' * 600}1,0.1\n" for step in range(1, 3001)))
    assert [row["step"] for row in newest(folder, 700).rows] == list(range(2301, 3001))
    assert len(newest(folder, 5000).rows) == 3000


def test_the_newest_rows_have_no_gap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "NEWEST_LIMIT", 1000)
    put(folder, HEAD + "1,0.5,0.1\n", "metrics.csv.1", age_s=100)
    put(folder, HEAD + "".join(f"{step},0.5,0.1\n" for step in range(2, 1001)))
    steps = [row["step"] for row in newest(folder, 500).rows]
    assert steps == list(range(1001 - len(steps), 1001)) and 50 < len(steps) < 100
    assert "only the newest" in newest(folder, 500).set_aside.files["metrics.csv"]
    put(folder, HEAD + "".join(f"{step},0.5,0.1\n" for step in range(2, 80)) + "torn\n" * 99)
    assert [row["step"] for row in newest(folder, 3).rows] == [77, 78, 79], "it looks behind torn lines"


def test_ever_new_columns_cost_neither_time_nor_the_rows(folder: Path) -> None:
    names = [",".join(f"c{part}_{number}" for number in range(500)) for part in range(24)]
    put(folder, "".join(f"step,{text}\n{part}{',1' * 500}\n" for part, text in enumerate(names)))
    begun = time.process_time()
    table = read(folder)
    assert time.process_time() - begun < 30
    assert table.steps.tolist() == list(range(24)) and numbers(table, "c23_0") == [*[None] * 23, 1.0]
    assert (len(table.columns), table.set_aside.columns) == (1000, 23 * 500 - 500)
    assert len(newest(folder).columns) == 1000


def test_the_generation(folder: Path) -> None:
    put(folder, "step,loss,generation\n1,0.5,3\n2,0.4,\n3,0.4,-1\n4,0.4,1e30\n5,0.4,4\n")
    assert read(folder).generations.tolist()[::4] == [3, 4]
    assert read(folder).generations[1] == 0 == read(folder).generations[2]


def test_only_rotations_of_this_file(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("a.csv", "a.csv.1", "a.csv.x", "a.csv.1.gz", "ba.csv.1", "a.csv.2024-01-01", "a-b.csv"):
        (tmp_path / "logs" / name).touch()
    assert {path.name for path in rotation.parts(tmp_path, "logs/a.csv")} == {
        "a.csv", "a.csv.1", "a.csv.1.gz", "a.csv.2024-01-01",
    }  # fmt: skip


def test_events_that_make_no_sense(folder: Path) -> None:
    """Anybody who may write the log could have written them."""
    started = '{"event":"started","t":1000,"step":7,"run_id":"a","generation":3,"resumed_from":"last"}'
    lines = [
        '{"event":"started","t":NaN,"step":0,"pid":1}', '{"event":"started","t":1e300,"step":1,"run_id":[1]}',
        '{"event":"started","t":1,"step":999999999999999999999999,"pid":{}}', '{"event":"started","t":1,"step":-1}',
        '{"event":"started","t":5,"step":true,"pid":null}', "[]", "{", started,
        '{"event":"oom","t":1001,"step":9,"run_id":"a","rank":1}', '{"event":"stopped","t":1002,"step":8,"run_id":"a"}',
    ]  # fmt: skip
    put(folder, "\n".join(lines) + "\n", "events.jsonl")
    (only,) = runs(folder)
    assert (only.generation, only.from_step, only.times, only.stopped) == (3, 7, ((7, 1000.0), (8, 1002.0)), True)


def test_events_of_a_rotated_log_come_first(folder: Path) -> None:
    for name, generation, age in (("events.jsonl.1", 1, 50.0), ("events.jsonl", 2, 0.0)):
        put(folder, f'{{"event":"started","t":1,"step":0,"generation":{generation}}}\n', name, age)
    assert [run.generation for run in runs(folder)] == [1, 2]


def test_quotes_around_whole_values(folder: Path) -> None:
    """As csv.QUOTE_ALL writes them: the header was read, and each row counted as one without a step."""
    put(folder, '"step","loss","quality"\n"1","0.5",""\n"2","nan","0.2"\r\n3,"0.4,0.1\n4,1"2,0.1\n')
    table = read(folder)
    assert table.steps.tolist() == [1, 2, 3, 4] and table.set_aside.no_step == 0
    assert numbers(table, "quality") == [None, 0.2, 0.1, 0.1]
    assert table.set_aside.not_numbers == 2, "a quote within a value is no number"
    assert [row["step"] for row in newest(folder).rows] == [1, 2, 3, 4]
    assert event_log.last_metrics(folder, 9)[0] == {"step": "1", "loss": "0.5", "quality": ""}
