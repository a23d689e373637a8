"""How the output of a program is searched: by the text that a match needs, and never longer than there is time."""

from __future__ import annotations

import re
import time

import pytest

from atftctl.protocol.output_lines import BUDGET_S, LineSearch, compile_patterns
from atftctl.protocol.required_text import required_text


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (rb"iter (?P<step>\d+): loss (?P<loss>\S+), time", b": loss "),
        (rb"^\[INFO\] step=(?P<step>\d+)", b"[INFO] step="),
        (rb"(?P<step>\d+)/100", b"/100"),
        (rb"steps?(x)", b"step"),
        (rb"\.pt\[(a[)]b)\] xy", b".pt["),
        (rb"[]abc]de{2}f", b""),
        (rb"lo{2,3}?ss", b"ss"),
        (rb"a|bcd", b""),
        (rb"(?i)step", b""),
        (rb"(?s-i:step)", b""),
        (rb"a\x41bc\101de\b\d", b"bc"),
        (rb"(?#[ no set)step", b""),
        (rb"ab*+cd", b"cd"),
        (rb"(?:xyz){0}step", b"step"),
    ],
)
def test_the_text_that_a_match_needs(pattern: bytes, text: bytes) -> None:
    re.compile(pattern)
    assert required_text(pattern) == text


def test_lines_are_found_by_their_needed_text_and_without() -> None:
    block = b"noise\r\nepoch 1 | 5: loss 0.5\rx\n\n7: loss nan\n"
    for text in (r"(?P<step>\d+): loss (?P<loss>\S+)", r"(?P<step>\d+): lo[s]s (?P<loss>\S+)|never"):
        search = LineSearch(compile_patterns([text]))
        assert [entry.step for entry in search.feed(block)] == [5, 7], text


def test_a_flood_of_matches_is_skipped_and_not_searched_for_long() -> None:
    """Without a pause, the searches get a share of the time; with one, all of it again."""
    search = LineSearch(compile_patterns([r"(?P<step>\d+): loss"]))
    block = b"".join(b"%d: loss\n" % number for number in range(20_000))
    found = sum(len(search.feed(block)) for _ in range(30))
    assert search.skipped == 30 * 20_000 - found > 0
    search.spent(-1.0)  # as after a pause
    search._fed = time.monotonic() - 1.0
    assert len(search.feed(b"3: loss\n" * 10)) == 10 and search._credit_s <= BUDGET_S
