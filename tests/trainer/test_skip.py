"""`data.skip`: the days of these windows are not trained on; everything else stays."""

from __future__ import annotations

import json

import pytest

from atftctl import protocol
from atftctl.trainer.config.settings import from_mapping
from atftctl.trainer.config.windows import DateWindow, read_windows
from atftctl.trainer.errors import DataError, SettingsError
from tests.trainer.conftest import Make, take


def dates_taken(trainer: object, steps: int) -> list[str]:
    """The dates that the next steps really train on."""
    taken: list[str] = []
    run = trainer.train_step.run  # type: ignore[attr-defined]

    def spy(parts: object, batch: object, number: int) -> object:
        taken.extend(day.date for _, day in batch)  # type: ignore[attr-defined]
        return run(parts, batch, number)

    trainer.train_step.run = spy  # type: ignore[attr-defined]
    take(trainer, steps)
    return taken


def test_skipped_days_are_not_trained_on(make: Make) -> None:
    """An epoch has every other training day and none of the skipped ones; evaluation stays."""
    whole = make()
    days = [whole.dataset.panel.dates[day] for day in whole.dataset.split.train]
    skip = f"{days[10]}..{days[29]}, {days[40]}"
    skipped = {*days[10:30], days[40]}
    trainer = make(data={"skip": skip})
    for epoch in (0, 1):
        epochs = {trainer.dataset.panel.dates[day] for day in trainer.dataset.epoch(1, epoch)}
        assert epochs == set(days) - skipped
    assert not skipped & set(dates_taken(trainer, 25))
    assert skipped & set(dates_taken(whole, 25)), "without data.skip they are taken"
    for part in ("validation", "test"):
        assert list(getattr(trainer.dataset.split, part)) == list(getattr(whole.dataset.split, part))
    assert trainer.parts.evaluation_identity == whole.parts.evaluation_identity
    skipping, everything = (made.dataset.training_statistics()[0] for made in (trainer, whole))
    assert not skipping.equal(everything), "the statistics of the training days leave them out, too"


def test_a_run_goes_on_with_days_skipped(make: Make) -> None:
    before = make()
    take(before, 5)
    before.save(protocol.LAST, must=True)
    days = [before.dataset.panel.dates[day] for day in before.dataset.split.train]
    after = make(before.root, data={"skip": f"{days[0]}..{days[50]}"})
    assert after.resume("last") == protocol.LAST and after.progress.step == 5
    assert min(dates_taken(after, 20)) > days[50]


def test_what_is_skipped_is_reported(make: Make) -> None:
    days = make().dataset.panel.dates
    trainer = make(data={"skip": f"{days[60]}..{days[64]}, 1990-01-01..1990-12-31"})
    assert trainer.dataset.notes == (f"data.skip: 5 days of {days[60]}..{days[64]} are not trained on",)
    trainer.resume("scratch")
    events = [json.loads(line) for line in (trainer.root / protocol.EVENTS).read_text().splitlines()]
    warnings = [event["message"] for event in events if event["event"] == protocol.WARNING]
    assert any("1990-01-01..1990-12-31 holds no day of the training split" in text for text in warnings), warnings


def test_all_days_skipped_is_an_error(make: Make) -> None:
    with pytest.raises(DataError, match="no days to train .* without data.skip 1900-01-01..2100-01-01"):
        make(data={"skip": "1900-01-01..2100-01-01"})


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        (None, ()),
        ("2024-01-01", (DateWindow("2024-01-01", "2024-01-01"),)),
        (
            " 2024-01-01 .. 2024-01-15 ,2024-02-29",
            (DateWindow("2024-01-01", "2024-01-15"), DateWindow("2024-02-29", "2024-02-29")),
        ),
    ],
)
def test_windows(text: str | None, windows: tuple[DateWindow, ...]) -> None:
    assert read_windows("data.skip", text) == windows


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "2024-01-01,", "2024-13-01", "2023-02-29", "20240101", "2024-W01-1", "2024-1-1", "yesterday",
     "2024-01-01..", "..2024-01-01", "2024-01-01...2024-01-05", "2024-01-01..2024-01-02..2024-01-03",
     "2024-01-01-2024-01-05", "２０２４-01-01"],
)  # fmt: skip
def test_wrong_windows_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=r"data.skip: .* no window of dates; write it as 2024-01-01..2024-01-15"):
        from_mapping({"data": {"skip": text}})


def test_a_window_that_ends_before_it_begins() -> None:
    with pytest.raises(SettingsError, match="data.skip: 2024-02-01..2024-01-01 ends before it begins"):
        from_mapping({"data": {"skip": "2024-02-01..2024-01-01"}})
    with pytest.raises(SettingsError, match="data.skip"):
        from_mapping({"data": {"skip": [["2024-01-01", "2024-01-15"]]}})
