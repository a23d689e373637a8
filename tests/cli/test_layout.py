"""Columns, wrapping, ages and translation: what the screens are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from atftctl.cli.render import tables, translation
from atftctl.cli.render.ages import age
from atftctl.cli.render.layout import chunks, display_width, table, wrap
from atftctl.cli.render.plan import itemized
from atftctl.protocol.messages import joined, tr

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=3, seconds=59), "3 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(days=2), "2 d ago"),
        (timedelta(days=90), "2026-09-01"),
    ],
)
def test_ages(ago: timedelta, text: str) -> None:
    assert age((NOW - ago).isoformat(), NOW) == text


@pytest.mark.parametrize("broken", ["", "yesterday", "2026-13-01"])
def test_what_is_no_time_has_no_age(broken: str) -> None:
    assert age(broken, NOW) == ""


def test_wrapping_breaks_between_words_and_sets_in_what_follows() -> None:
    assert wrap("one two three", 9, "- ", "  ") == ["- one two", "  three"]
    assert wrap("averyveryverylongword x", 9, "- ", "  ") == ["- averyveryverylongword", "  x"], "a word stays whole"
    assert wrap("", 9, "- ") == ["- "]


def test_japanese_is_measured_and_broken_between_characters() -> None:
    assert display_width("設定ab") == 6
    lines = wrap("設定を元に戻しました。次を実行", 12, "- ", "  ")
    assert all(display_width(line) <= 12 for line in lines[:-1]) and "".join(lines).replace(" ", "").endswith("実行")
    assert not any(line.strip().startswith("。") for line in lines), "closing punctuation begins no line"


def test_code_is_broken_anywhere_and_keeps_its_spaces() -> None:
    assert chunks("a  b  c", 6, "", "> ") == ["a  b  ", "> c"]


def test_a_table_puts_a_last_column_without_room_below_its_row() -> None:
    rows = [("20261130_101500", "done", "a reason of some length"), ("20261129_101500", "done", "")]
    wide, narrow = (table(("snapshot", "outcome", "reason"), rows, columns) for columns in (80, 40))
    assert wide[1] == "20261130_101500  done     a reason of some length"
    assert narrow[1:3] == ["20261130_101500  done", "    a reason of some length"]
    assert table(("a", "empty", "b"), [("1", "", "2")], 80) == ["a  b", "1  2"]


def test_a_list_inside_of_a_message_is_found() -> None:
    files = joined("; ", [tr("remove {path}", path="a"), tr("remove {path}", path="b")])
    assert itemized(files) == ("change these files, either all or none:", ("remove a", "remove b"))
    assert itemized(tr("revert, on top of {base}: {commits}", base="x", commits=files)) == (
        "revert, on top of x: ",
        ("remove a", "remove b"),
    )
    assert itemized("plain") == ("plain", ())


def test_a_missing_catalogue_means_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation._language, "code", "xx")
    assert translation.localize(tr("{path} is missing", path="a")) == "a is missing"


def test_a_catalogue_is_found_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "zz" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "atftctl.mo").write_bytes(
        catalogue({"": "Content-Type: text/plain; charset=UTF-8\n", "no {x}": "{x} がない"})
    )
    monkeypatch.setattr(translation, "LOCALE", tmp_path)
    monkeypatch.setattr(translation._language, "code", "zz")
    assert translation.localize(tr("no {x}", x="git")) == "git がない"
    assert translation.localize(joined("; ", [tr("no {x}", x="a"), "b"])) == "a がない; b"
    assert translation.localize("") == "" and translation.localize(tr("")) == ""
    assert translation.LOCALE.name and translation.__file__


def catalogue(messages: dict[str, str]) -> bytes:
    """A compiled catalogue of gettext."""
    import struct

    ids, texts, entries = b"", b"", []
    for source in sorted(messages):
        encoded, text = source.encode(), messages[source].encode()
        entries.append((len(encoded), len(ids), len(text), len(texts)))
        ids, texts = ids + encoded + b"\0", texts + text + b"\0"
    start = 28 + 16 * len(entries)
    head = struct.pack("<7I", 0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, start)
    sources = b"".join(struct.pack("<2I", size, start + at) for size, at, _, _ in entries)
    targets = b"".join(struct.pack("<2I", size, start + len(ids) + at) for _, _, size, at in entries)
    return head + sources + targets + ids + texts


def test_a_table_that_is_too_wide_is_turned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(tables, "screen", lambda: (46, 24))
    head, rows = ["symptom", *["a time"] * 5], [[f"symptom-{number}", *["12.34 s"] * 5] for number in range(4)]
    tables.show_wide_table(head, rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["symptom", "symptom-0", "symptom-1"] and lines[1].split()[2:4] == ["12.34", "s"]
    assert lines[6].split() == ["symptom", "symptom-2", "symptom-3"]
    assert max(map(len, lines)) <= 46
