"""The live screen of `watch`: it fits the terminal, holds what matters, and leaves the terminal as it was."""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import replace

import pytest

from atftctl import protocol
from atftctl.cli.live_screen import LiveScreen
from atftctl.cli.render.layout import display_width
from atftctl.cli.render.translation import use_language
from atftctl.cli.render.watch_curves import MOST, Curves, thinned
from atftctl.cli.render.watch_screen import Screen, budget_text, screen_lines
from atftctl.domain.curve import Curve
from atftctl.domain.diagnosis import Diagnosis, Evidence, Hypothesis
from atftctl.domain.facts import Process
from atftctl.domain.run_rows import Row
from atftctl.domain.watching import Look
from atftctl.operations.monitoring.watch import Seen
from atftctl.operations.monitoring.watch_lines import Teller, WatchLine
from atftctl.operations.project import open_project
from atftctl.protocol.messages import tr
from tests.support.projects import Project
from tests.support.watching import Trainer

DETECTORS = {"explosion": "quiet", "leak": "warming up", "slower": "off", "non-finite": "alarm"}
SIZES = [(80, 24), (120, 40), (40, 10), (60, 50), (200, 12), (80, 5)]


def look(**changes: object) -> Look:
    sign = Evidence("metrics", "strong", "anomaly", "loss is nan")
    base = Look(
        now=1e9, sees=True, blind="", process=Process("running", 12, step=7, generation=3, section="evaluate"),
        diagnosis=Diagnosis(False, (Hypothesis("anomaly", "likely", (sign,)),)), active=("non-finite",), findings=(),
        generation=3, step=1234567, evaluations=2, config="",
    )  # fmt: skip
    return replace(base, **changes)


def screen(count: int = 4) -> Screen:
    xs = [float(step) for step in range(500)]
    curves = [
        Curve(f"curve {number}", xs, [math.sin(x / (9 + number)) for x in xs], "MB", ("step 0", "step 499"))
        for number in range(count)
    ]
    text = tr("divergence: Training diverges (likely); run: atftctl rollback --symptom divergence")
    events = [
        WatchLine("2026-11-30T10:00:00+00:00", "alarm", f"alarm: loss_rel is nan in step {number}" * (1 + number % 2),
                  "fault", None, None, "non-finite", 3, number)
        for number in range(30)
    ]  # fmt: skip
    seen = Seen(look(), (), (), text, DETECTORS)  # type: ignore[arg-type]
    return Screen("ATFT-GAT-FAN", seen, curves, events, budget_text(2, 3))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("charset", ["braille", "ascii"])
def test_it_fits(width: int, height: int, language: str, charset: str) -> None:
    use_language(language)
    try:
        lines = screen_lines(screen(), width=width, height=height, charset=charset)  # type: ignore[arg-type]
    finally:
        use_language("en")
    assert len(lines) == height and max(display_width(text) for text, _ in lines) <= width
    assert charset == "braille" or language == "ja" or all(text.isascii() for text, _ in lines)


def test_what_it_holds() -> None:
    lines = screen_lines(screen(), width=80, height=24, charset="braille")
    text = "\n".join(line for line, _ in lines)
    for part in ("trainer running, step 1,234,567, section evaluate     ", "--symptom", "curve 0: ",
                 "curve 3: ", "ALARM: non-finite", "warming up: leak", "off: slower",
                 "rollbacks left in this run: 2 of 3", "step 29", "Ctrl-C"):  # fmt: skip
        assert part in text, part
    assert next(tone for line, tone in lines if "ALARM" in line) == "bad"


def test_what_does_not_fit_is_left_out_and_not_cut() -> None:
    xs = [1.0, 2.0]
    curve = Curve("validation loss of the model", xs, [0.26368, 0.26373], "", ("step 1", "step 2"))
    seen = replace(screen(), curves=[curve, curve])
    narrow, wide = (
        [line for line, _ in screen_lines(seen, width=width, height=24, charset="ascii")] for width in (80, 160)
    )
    assert not any("~" in line for line in narrow), "nothing is cut"
    assert any(line.startswith("validation loss of the model: 0.2637  ") for line in narrow), narrow
    assert any("0.2637 (min 0.26368, max 0.26373)" in line for line in wide), wide
    assert any("0.26373 |" in line for line in narrow) and any("0.26368 |" in line for line in narrow), narrow


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_curves_leave_room_for_events(count: int) -> None:
    lines = screen_lines(screen(count), width=80, height=24, charset="ascii")
    assert len(lines) == 24 and sum("alarm: " in line for line, _ in lines) >= 2


def test_a_spike_stays_and_memory_does_not_grow(project: Project) -> None:
    points = [(float(step), 50.0 if step == 777 else math.nan if step == 900 else 1.0) for step in range(4000)]
    kept = thinned(points)
    assert len(kept) <= 2001 and (777.0, 50.0) in kept and any(math.isnan(y) for _, y in kept)
    curves = Curves(open_project(project.root))
    seen = Seen(look(generation=0), ())
    for begin in range(0, 100_000, 500):
        rows = tuple(Row(step, 0, {"loss_rel": 1.0}) for step in range(begin, begin + 500))
        curves.take(replace(seen, rows=rows))
    (curve,) = curves.curves()
    assert len(curve.xs) <= MOST and curve.xs[0] == 0 and curve.xs[-1] == 99_999


def test_no_rollbacks_left_is_no_word_of_them() -> None:
    assert budget_text(None, 3) == "" and "0 of 3" in budget_text(0, 3)


def test_progress_on_a_closed_terminal_stops_no_rollback(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.live import Live

    def closed(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Live, "start", lambda *_: None)
    monkeypatch.setattr(Live, "update", closed)
    shown = LiveScreen(open_project(project.root))
    with pytest.raises(OSError, match="Input/output"):
        shown.show(screen().seen)
    shown.part("stop")
    shown.note("the trainer has ended")
    shown.reached("step 3")
    shown.expect(10)
    shown.progress(5)


def test_on_a_terminal(project: Project) -> None:
    pexpect, pyte = pytest.importorskip("pexpect"), pytest.importorskip("pyte")
    trainer = Trainer(project)
    trainer.rows(90)
    shown, stream = pyte.Screen(80, 24), None
    stream = pyte.ByteStream(shown)
    child = pexpect.spawn(
        sys.executable, ["-m", "atftctl", "watch"], cwd=str(project.root), dimensions=(24, 80), timeout=60,
        env={**project.env, "TERM": "xterm-256color"},
    )  # fmt: skip

    def until(text: str) -> None:
        deadline = time.monotonic() + 40
        while not any(text in line for line in shown.display):
            assert time.monotonic() < deadline, (text, shown.display)
            try:
                stream.feed(child.read_nonblocking(1 << 16, 0.2))
            except pexpect.TIMEOUT:
                continue

    until("step 90")
    until("quiet: ")  # further down, so that it is drawn later
    assert shown.display[1].startswith("  ok    healthy")
    trainer.rows(1, loss="nan", loss_rel="nan")
    until("ALARM: non-finite")
    until("alarm: loss_rel is nan in step 91")
    child.sendintr()
    child.expect(pexpect.EOF)
    rest = child.before.decode()
    child.close()
    assert child.exitstatus == 1
    assert "\x1b[?1049l" in rest and "\x1b[?25h" in rest, "the terminal is as it was"
    assert rest.rstrip().endswith("divergence\x1b[0m"), "the last verdict stays"


def test_plain_lines_on_a_terminal_where_they_are_asked_for(project: Project) -> None:
    pexpect = pytest.importorskip("pexpect")
    trainer = Trainer(project)
    trainer.rows(90)
    for options, env in ((["--plain"], {}), ([], {"NO_COLOR": "1"})):
        child = pexpect.spawn(
            sys.executable, ["-m", "atftctl", "watch", *options], cwd=str(project.root), timeout=60, encoding="utf-8",
            dimensions=(24, 80), env={**project.env, "TERM": "xterm-256color", **env},
        )  # fmt: skip
        child.expect("healthy")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0 and "\x1b[?1049h" not in (child.before or "")
    assert os.path.exists(project.root / protocol.METRICS)
    assert Teller(open_project(project.root)).lines(look())[0].kind == "trainer"
