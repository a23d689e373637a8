"""Texts that are stored in one language, and shown in the reader's: of alerts, checklists and the runbook."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from atftctl.cli.render.translation import in_language
from atftctl.domain.alert import Conclusion
from atftctl.domain.texts import Text, translations
from atftctl.protocol.messages import Message, joined, tr, with_texts
from atftctl.state import verified
from atftctl.state.layout import Layout

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def layout_of(root: Path) -> Layout:
    layout = Layout(root, root / "runbook.yaml")
    layout.state.mkdir()
    return layout


def test_what_a_passing_check_measured_stays_translatable(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    verified.mark_verified(layout, {"a.yaml": "0" * 64}, {"errors": tr("there is no baseline to compare with")}, NOW)
    [(_, passed)] = verified.passes(layout)
    assert passed.checks["errors"] == "there is no baseline to compare with"
    assert in_language(passed.checks["errors"], "ja") == "比較するベースラインがありません"


def test_a_checklist_of_before_and_one_that_contradicts_itself_are_read(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    line = {"at": NOW.isoformat(), "digests": {"a.yaml": "0" * 64}, "checks": {"errors": "clear"}}
    texts: list[object] = [None, {"errors": "another text"}, {"errors": {"text": 5}}, [1], {"errors": None}]
    layout.verified.write_text("".join(json.dumps({**line, "texts": each}) + "\n" for each in texts))
    assert [dict(passed.checks) for _, passed in verified.passes(layout)] == [{"errors": "clear"}] * len(texts)


def test_the_conclusion_of_an_alert_stays_translatable_and_one_of_before_is_read() -> None:
    sign = joined(": ", ("metrics", tr("there is no baseline to compare with")))
    conclusion = Conclusion("fault", tr("there is no baseline to compare with"), "atftctl x", (sign,), NOW.isoformat())
    stored = json.loads(json.dumps(conclusion.to_json()))
    again = Conclusion.from_json(stored)
    assert vars(again) == vars(conclusion) and stored["headline"] == conclusion.headline
    assert in_language(again.evidence[0], "ja") == "metrics: 比較するベースラインがありません"
    del stored["texts"]
    assert vars(Conclusion.from_json(stored)) == vars(conclusion)


def test_texts_of_the_runbook_are_shown_in_the_readers_language() -> None:
    known = translations({"a": [Text("Training diverges", "学習発散")], "b": 5, "c": "Text"}, "ja")
    title = tr("{symptom}: {cause}", symptom="Training diverges", cause="a reason")
    nested = tr("alert {name}; diagnosis: {headline}", name="X", headline=joined(", ", [title, "Training diverges"]))
    for text in (title, nested, "Training diverges"):
        shown = with_texts(text, known)
        assert shown == text and isinstance(shown, Message), "the English text stays"
        assert "学習発散" in in_language(shown, "ja") and "Training" not in in_language(shown, "ja")
        assert in_language(shown, "en") == text
    assert with_texts("another text", known) == "another text"
