"""Lines of logs as text: times, kinds of errors, tracebacks as one, counts in bounded memory."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atftctl.domain.log_lines.entries import Grouper
from atftctl.domain.log_lines.levels import lowered
from atftctl.domain.log_lines.matcher import LINE_LIMIT_S, Matcher
from atftctl.domain.log_lines.merge import LogText, folded, merged
from atftctl.domain.log_lines.needles import NEEDLES, needles
from atftctl.domain.log_lines.rules import DEFAULTS, ErrorPattern, compiled, problem
from atftctl.domain.log_lines.survey import LogSurvey
from atftctl.domain.log_lines.tally import LADDER_S, MOST_BINS, MOST_MESSAGES, Found, Tally, histogram
from atftctl.domain.log_lines.text import LONGEST, decode, lines
from atftctl.domain.log_lines.times import split_time
from atftctl.domain.since import parse_since
from atftctl.host.process.cpu_ticks import cpu_ticks

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
LINES = {
    "out-of-memory": [
        "2026-11-30 10:00:00 ERROR out of memory at step 5: x",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
        "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried",
        "OSError: [Errno 12] Cannot allocate memory",
        "MemoryError",
        "kernel: oom-kill:constraint=CONSTRAINT_MEMCG",
        "Out of memory: Killed process 12 (python)",
    ],
    "not-finite": [
        "2026-11-30 10:00:00 ERROR Anomaly detected: loss is nan; the weights were not changed",
        "loss=nan", "grad_norm: inf", "val_loss=nan", "loss 0.3, gradient norm NaN", "non-finite gradient",
    ],
    "accelerator": ["RuntimeError: CUDA error: device-side assert triggered", "NVRM: Xid (PCI:0000:3b:00): 79"],
    "disk": ["OSError: [Errno 28] No space left on device: 'x'", "[Errno 30] Read-only file system"],
    "worker-lost": ["RuntimeError: DataLoader worker (pid 12) is killed by signal: Killed."],
    "killed": ["Killed", "Segmentation fault (core dumped)", "exitcode  : -11 (pid: 3)"],
    "exception": ["Traceback (most recent call last):", "ValueError: bad", "Fatal Python error: Aborted"],
    "error": [
        "2026-11-30 10:00:00 ERROR crashed", "[ERROR] x", '{"level": "error", "msg": "x"}', "ts=1 level=error msg=x",
        "E1130 10:00:00.1 12 file.cc:1] failed to load",
    ],
    "failed": ["could not save the checkpoint", "2026-11-30 10:00:00 WARNING retry failed"],
    "": [
        "0 errors", "2026-11-30 10:00:00 INFO 0 failed", "step 5: loss 0.5, more information", "failover is ready",
        "error rate 0.1", "no failures", "failed: 0", "2026-11-30 10:00:00 INFO step 10, loss 0.31, gradient norm 1.20",
        "inference of 120 stocks took 0.2 s",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, texts in LINES.items() for line in texts])
def test_the_kinds_that_are_known(kind: str, line: str) -> None:
    found = Matcher(DEFAULTS).kind(line)
    assert ("" if found is None else DEFAULTS[found].name) == kind


# Without letters that are equal to ASCII letters only where case is ignored, such as the long s.
ADDED = st.text(st.characters(exclude_characters="\nſKİı"), max_size=20)


@given(st.sampled_from([line for texts in LINES.values() for line in texts]), ADDED, st.integers(0, 60))
def test_no_needle_hides_a_match(line: str, added: str, at: int) -> None:
    text = line[:at] + added + line[at:]
    for pattern in DEFAULTS:
        if compiled(pattern.pattern).search(text):
            assert Matcher([pattern]).kind(text) == 0, (pattern.name, text)
            matcher = Matcher([pattern])
            assert matcher.narrow(f"before\n{text}\nafter") and matcher.kind_here(text) == 0


def test_every_known_kind_has_needles_and_a_plain_search_gets_them() -> None:
    assert NEEDLES.keys() == {pattern.name for pattern in DEFAULTS}
    assert needles(ErrorPattern("guide", "(?i)error|fail|Rollback")) == (("error", "fail", "rollback"), True)
    assert needles(ErrorPattern("other", "err(or)?|fail")) == ((), False)
    guide = Matcher([ErrorPattern("guide", "(?i)error|fail|rollback")])
    assert guide.kind("0 ERRORS") == 0 and guide.kind("all is well") is None


@pytest.mark.parametrize(
    ("pattern", "wrong"), [("(", True), ("a*", True), ("error|", True), ("x" * 3000, True), ("(?i)error|fail", False)]
)
def test_patterns_that_can_not_be_used_say_why(pattern: str, wrong: bool) -> None:
    assert bool(problem(pattern)) is wrong
    assert Matcher([ErrorPattern("it", pattern)]).problems.keys() == ({"it"} if wrong else set())


def test_a_pattern_that_never_ends_is_given_up_and_the_others_go_on() -> None:
    matcher = Matcher([ErrorPattern("endless", r"(a+)+$"), ErrorPattern("other", "boom")])
    text = "a" * 40 + "! boom"
    begun = time.process_time()
    with cpu_ticks(matcher.tick):
        assert matcher.kind(text) == 1
        assert time.process_time() - begun < 50
        assert "takes too long" in matcher.problems["endless"]
        again = time.process_time()
        assert matcher.kind(text) == 1 and time.process_time() - again < LINE_LIMIT_S


def test_a_pattern_that_is_slow_on_every_line_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atftctl.domain.log_lines.matcher.ALLOWANCE_S", 0.2)
    matcher = Matcher([ErrorPattern("slow", r"(?:x.*){3}y$")])
    count = 0
    with cpu_ticks(matcher.tick):
        while not matcher.problems and count < 10_000:
            matcher.kind("x" * 80)
            matcher.searched += 80
            count += 1
    assert "slow" in matcher.problems and count > 1


def test_a_line_that_calls_itself_a_warning_is_one() -> None:
    assert lowered("fatal", "2026-11-30 10:00:00 WARNING out of memory at step 5: trying again") == "warning"
    assert lowered("fatal", "2026-11-30 10:00:00 ERROR out of memory at step 5") == "fatal"
    assert lowered("error", '{"level": "info", "msg": "x failed"}') == "warning"
    assert lowered("error", "W1130 10:00:00.1 12 f.cc:1] x") == "warning"


CRASH = """\
Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
"""


def surveyed(text: str, kinds: tuple[ErrorPattern, ...] = DEFAULTS) -> dict[tuple[str, str], int]:
    """The errors of a log: how many, by kind and severity."""
    tally = Tally()
    survey = LogSurvey("a.log", Matcher(kinds), tally)
    survey.block(text, written=NOON)
    survey.end()
    return {key: row.count for key, row in tally.kinds.items()}


@pytest.mark.parametrize(
    ("before", "exception", "found"),
    [
        ("WARNING loss is nan at step 5", "torch.OutOfMemoryError: CUDA out of memory.", ("out-of-memory", "fatal")),
        ("INFO 3 downloads failed", "RuntimeError: CUDA error: device-side assert", ("accelerator", "fatal")),
        ("INFO 3 downloads failed", "ValueError: bad", ("exception", "error")),
    ],
)
def test_a_crash_below_a_warning_is_no_warning(before: str, exception: str, found: tuple[str, str]) -> None:
    assert surveyed(f"2026-11-30 10:00:00 {before}\n{CRASH}{exception}\n") == {found: 1}


def test_colours_in_the_middle_of_a_word_hide_no_error() -> None:
    red, off = "\x1b[1;31m", "\x1b[0m"
    assert surveyed(f"2026-11-30 10:00:00 CUDA {red}out of{off} memory\n") == {("out-of-memory", "fatal"): 1}
    assert surveyed(f"{red}loss{off}={red}nan{off}\n", (ErrorPattern("x", "loss=nan"),)) == {("x", "error"): 1}


TIMES = {
    "2026-11-30 10:00:00 ERROR x": "ERROR x",
    "2026-11-30 10:00:00,123 - m - INFO - x": "m - INFO - x",
    "[2026-11-30T10:00:00.5] x": "x",
    "2026/11/30 10:00:00 x": "x",
    "Nov 30 10:00:00 host python: x": "host python: x",
    "E1130 10:00:00.123456  12 f.cc:1] x": "12 f.cc:1] x",
    "[rank0]: 2026-11-30 10:00:00 x": "x",
    "trainer-1  | 2026-11-30 10:00:00 x": "x",
    "INFO 2026-11-30 10:00:00 x": "x",
}


@pytest.mark.parametrize("text", TIMES)
def test_times_at_the_beginning_of_a_line(text: str) -> None:
    expected = datetime(2026, 11, 30, 10).astimezone().timestamp()
    seconds, rest = split_time(text, expected + 3600)
    assert seconds is not None and int(seconds) == expected and rest == TIMES[text]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-30T10:00:00Z x", "2026-11-30T12:00:00+02:00 x", "2026-11-30 19:00:00 +0900 x",
        '{"level": "info", "ts": 1796032800.0}', "time=2026-11-30T10:00:00Z level=info", "1796032800.25 x",
        "1796032800250 x",
    ],
)  # fmt: skip
def test_times_with_a_zone(text: str) -> None:
    assert int(split_time(text)[0] or 0) == datetime(2026, 11, 30, 10, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    ["", "step 100", "data until 2024-01-01 00:00:00", "2026-13-45 10:00:00 x", "Nov 30 10:00:00 x", "1234567 x",
     "９９９９-11-30 10:00:00", "2026-11-30 10:00", "\x00\x01"],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    assert split_time(text)[0] is None


def test_a_time_without_a_year_is_never_in_the_future() -> None:
    written = datetime(2027, 1, 2, 8).astimezone().timestamp()
    assert split_time("Dec 31 23:59:59 x", written)[0] == datetime(2026, 12, 31, 23, 59, 59).astimezone().timestamp()


@given(st.binary(max_size=300))
def test_any_bytes_become_lines(raw: bytes) -> None:
    for line in lines(decode(raw)):
        assert "\n" not in line.text and len(line.text) <= LONGEST
        split_time(line.text, NOON)


def test_lines_of_progress_colours_and_garbage() -> None:
    raw = b"\xef\xbb\xbf\x1b[31mred\x1b[0m\r\n\0\0\0late\n 10%|#\r 20%|##\r\x1b[Kdone\n\xff\xfe\nlast"
    texts = [(line.text, line.overwritten) for line in lines(decode(raw))]
    assert texts == [
        ("red", False), ("late", False), (" 10%|#", True), (" 20%|##", True), ("done", False), ("��", False),
        ("last", False),
    ]  # fmt: skip
    [long] = lines("x" * 100_000)
    assert long.cut and len(long.text) == LONGEST


CHAIN = """\
2026-11-30 10:00:00 ERROR crashed
Traceback (most recent call last):
  File "a.py", line 1, in load
    raise KeyError("shard")
KeyError: 'shard'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in main
    raise RuntimeError("no data: CUDA out of memory in this quoted line")
  File "b.py", line 3, in inner
RuntimeError: no data
second line of the message
2026-11-30 10:00:01 INFO stopped""".splitlines()


def entries(texts: list[str]) -> list:
    grouper = Grouper(Matcher(DEFAULTS).kind)
    return [entry for text in texts for entry in grouper.feed(text, 0.0)] + grouper.flush()


def test_a_chained_traceback_is_one_entry_and_its_first_cause_is_named() -> None:
    first, second = entries(CHAIN)
    assert first.first == CHAIN[:-1] and first.causes == ["KeyError: 'shard'", "RuntimeError: no data"]
    assert DEFAULTS[first.kind].name == "exception", "what quoted code says is no error"
    assert second.kind is None


def test_the_kind_of_a_traceback_is_that_of_its_exception() -> None:
    texts = [*CHAIN[:4], "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "INFO next"]
    assert DEFAULTS[entries(texts)[0].kind].name == "out-of-memory"


def test_tracebacks_of_two_processes_that_write_at_the_same_time() -> None:
    def of(rank: int, error: str) -> list[str]:
        return [f"[rank{rank}]: {text}" for text in (*CHAIN[1:4], error)]

    texts = [text for pair in zip(of(0, "ValueError: zero"), of(1, "TypeError: one"), strict=True) for text in pair]
    texts.insert(4, "W1130 10:00:00.1 12 store.py:1] a line of somebody else")
    found = [entry for entry in entries([*texts, "done"]) if entry.kind is not None]
    assert sorted(entry.causes[0] for entry in found) == ["TypeError: one", "ValueError: zero"]
    assert [entry.lines for entry in found] == [4, 4]


def test_of_two_tracebacks_at_the_same_time_the_one_that_begins_first_is_the_first() -> None:
    first, second = (["[rank0]: " + text for text in CHAIN[1:4]], ["[rank1]: " + text for text in CHAIN[1:4]])
    texts = [*first, *second, "[rank0]: ValueError: zero", "[rank1]: TypeError: one", "[rank1]: on with it", "done"]
    tally = survey("\n".join(texts) + "\n")
    assert tally.count == 2 and tally.first is not None and tally.first.message == "ValueError: zero"


def test_a_traceback_that_was_cut_off_ends() -> None:
    texts = ["Traceback (most recent call last):", '  File "a.py", line 1', *["2026-11-30 10:00:00 INFO x"] * 300,
             "2026-11-30 10:00:09 ERROR later"]  # fmt: skip
    found = [entry for entry in entries(texts) if entry.kind is not None]
    assert len(found) == 2 and found[0].lines == 2


def test_an_exception_group_is_one_entry() -> None:
    texts = """\
  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in <module>
  | ExceptionGroup: several (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: one
    +---------------- 2 ----------------
    | TypeError: two
    +------------------------------------
2026-11-30 10:00:01 INFO on""".splitlines()
    found = [entry for entry in entries(texts) if entry.kind is not None]
    assert len(found) == 1 and found[0].causes[0].startswith("ExceptionGroup: several")


def survey(*texts: str, tally: Tally | None = None, file: str = "a.log") -> Tally:
    tally = tally or Tally()
    reader = LogSurvey(file, Matcher(DEFAULTS), tally)
    for text in texts:
        reader.block(text, written=NOON)
    reader.end()
    return tally


def test_the_first_error_has_its_surroundings_over_blocks() -> None:
    before = "".join(f"2026-11-30 10:00:0{n} INFO before {n}\n" for n in range(9))
    after = "".join(f"2026-11-30 10:01:0{n} INFO after {n}\n" for n in range(9))
    tally = survey(before, "2026-11-30 10:00:30 ERROR boom\n", after)
    assert tally.first is not None and tally.first.lines == ("2026-11-30 10:00:30 ERROR boom",)
    assert [line[-1] for line in tally.first.before] == ["4", "5", "6", "7", "8"]
    assert [line[-1] for line in tally.first.after] == ["0", "1", "2", "3", "4"]


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    tally = survey("2026-11-30 10:00:00 INFO x\nValueError: y\n2026-11-30 11:00:00 INFO z\n")
    assert tally.first is not None and tally.first.time == datetime(2026, 11, 30, 10).astimezone().timestamp()
    tally = survey("2026-11-30 10:00:00 INFO x\n" + "no time\n" * 1000, "ValueError: y\n")
    assert tally.first is not None and tally.first.time == datetime(2026, 11, 30, 10).astimezone().timestamp()
    tally = survey("ValueError: y\n")
    assert tally.undated == 1 and tally.first is not None and tally.first.time is None


def test_the_same_line_in_two_logs_counts_once_and_twice_in_one_log_twice() -> None:
    text = "2026-11-30 10:00:00 ERROR a\n2026-11-30 10:00:00 ERROR a\n2026-11-30 10:00:05 ERROR b\n"
    tally = survey(text)
    survey(text + "2026-11-30 10:00:05 ERROR b\n", tally=tally, file="b.log")
    assert tally.count == 4 and tally.duplicates == 3


def test_messages_are_folded_whatever_their_numbers() -> None:
    tally = survey("".join(f"2026-11-30 10:00:00 ERROR shard {n} of 0x{n:x} is bad\n" for n in range(1204)))
    [message] = tally.messages.values()
    assert message.count == 1204 and message.text == "ERROR shard 0 of 0x0 is bad"


def test_memory_is_bounded_whatever_the_log_says() -> None:
    tally = Tally()
    for number in range(3000):
        name = "".join(chr(97 + int(digit)) for digit in str(number))
        tally.add(Found("error", "error", "x", number * 86_400.0 * 365, True, f"message {name}", ("x",)))
    assert len(tally.messages) == MOST_MESSAGES and tally.other_messages == 3000 - MOST_MESSAGES
    assert tally.count == 3000 and sum(map(len, (row.bins for row in tally.kinds.values()))) <= 3000


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=60), st.integers(2, 80))
def test_the_histogram_counts_every_error_once(times: list[float], most: int) -> None:
    tally = Tally()
    for at in times:
        tally.add(Found("error", "error", "x", at, False, "m", ("m",)))
    counts = histogram(tally, most)
    assert counts is not None and sum(counts.rows[0]) == len(times) and len(counts.rows[0]) <= most
    assert counts.begin <= min(times) and counts.width_s % LADDER_S[0] == 0
    assert len(next(iter(tally.kinds.values())).bins) <= MOST_BINS


def test_lines_of_logs_are_merged_by_time_without_duplicates() -> None:
    def text(file: str, words: str, at: float | None, dated: bool = True) -> LogText:
        return LogText(file, words, at, words, dated)

    first = [text("a", "one", 1), text("a", "three", 3), text("a", "below three", 3, False)]
    second = [text("b", "bar", None, False), text("b", "one", 1), text("b", "two", 2)]
    assert [line.text for line in merged([first, second], [9, 9])] == ["one", "bar", "two", "three", "below three"]
    assert [(line.text, count) for line, count in folded([text("a", "x", n) for n in (1, 2, 3)])] == [("x", 3)]


NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", 90), ("30min", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86_400), ("5 min ago", 300), ("2 hours ago", 7200), ("-1h", 3600), ("11:00", 3600),
     ("13:00", 23 * 3600), ("2026-11-30T10:00:00+00:00", 7200), ("today", 43_200)],
)  # fmt: skip
def test_since(text: str, ago: int) -> None:
    assert parse_since(text, NOW).at == (NOW - timedelta(seconds=ago)).timestamp()


@pytest.mark.parametrize("text", ["", "1", "--1h", "2027-01-01", "99999999999d", "25:00", "soon", "2026-02-30"])
def test_what_is_no_time_to_begin_at(text: str) -> None:
    with pytest.raises(ValueError):
        parse_since(text, NOW)
