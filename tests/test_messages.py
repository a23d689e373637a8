"""Every sentence that people read: listed in one file, translatable, and translated."""

from __future__ import annotations

import ast
import json
import math
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atftctl.cli.lazy_commands import COMMANDS as COMMANDS_OF_ATFTCTL
from atftctl.cli.render import translation
from atftctl.protocol.messages import from_record, joined, localized, record_of, tr, trn
from tests.support.projects import ROOT, Project

PACKAGE = ROOT / "atftctl"
CATALOGUE = PACKAGE / "locale" / "ja" / "LC_MESSAGES" / "atftctl.po"
ERRORS = {
    "Refused", "UsageError", "Restored", "DiskFull", "InterventionNeeded", "Inconclusive", "Interrupted",
}  # fmt: skip
COMMANDS = ("atftctl ", "git ", "sudo ", "rm ", "--")  # a hint that is only a command is the same in every language


def tool(name: str, *arguments: str) -> str:
    pytest.importorskip("babel")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'tools'); import {name}; print({arguments[0]}, end='')"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_list_of_all_texts_is_up_to_date() -> None:
    """A reader of tests/golden/messages.txt sees every help text and every message."""
    listed = (ROOT / "tests" / "golden" / "messages.txt").read_text(encoding="utf-8")
    assert tool("message_list", "message_list.text()") == listed, "run: make messages"


def untranslatable(path: Path) -> Iterator[str]:
    """Texts of errors that are put together where they are raised: no catalogue can hold them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = getattr(getattr(node, "func", None), "id", "")
        if not isinstance(node, ast.Call) or name not in ERRORS:
            continue
        texts = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg in ("state", "hint"))]
        for text in texts:
            plain = isinstance(text, ast.Constant) and isinstance(text.value, str)
            if isinstance(text, ast.JoinedStr) or (plain and text.value and not text.value.startswith(COMMANDS)):
                yield f"{path.relative_to(ROOT)}:{text.lineno}"


def test_every_error_can_be_translated() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(PACKAGE / "trainer")]
    assert [place for path in files for place in untranslatable(path)] == []


def test_templates_and_their_values_have_the_same_names() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "")
            if (
                not isinstance(node, ast.Call)
                or name not in ("tr", "trn")
                or any(not word.arg for word in node.keywords)
            ):
                continue
            templates = node.args[: 1 if name == "tr" else 2]
            given = {str(word.arg) for word in node.keywords} | ({"count"} if name == "trn" else set())
            for template in templates:
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                assert isinstance(template, ast.Constant), f"{place}: a template is a literal"
                assert placeholders(template.value) <= given, place


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def catalogue() -> list[tuple[str | tuple[str, ...], str | tuple[str, ...]]]:
    pofile = pytest.importorskip("babel.messages.pofile")
    with CATALOGUE.open("rb") as file:
        return [(message.id, message.string) for message in pofile.read_po(file, locale="ja") if message.id]


def test_no_message_is_without_a_japanese_translation() -> None:
    import ast as literals

    wanted = set(
        literals.literal_eval(tool("messages", "[message.id for message in messages.collect() if message.id]"))
    )
    there = dict(catalogue())
    missing = [key for key in wanted if not there.get(key) or not all(there[key])]
    assert missing == [], "run: make messages, and fill in the empty msgstr lines"


def test_translations_use_the_names_of_their_templates_and_keep_commands() -> None:
    for key, text in catalogue():
        templates, texts = (value if isinstance(value, tuple) else (value,) for value in (key, text))
        names = set().union(*map(placeholders, templates))
        for translated in texts:
            assert placeholders(translated) <= names, key
            assert commands_in(templates[-1]) == commands_in(translated), key


def commands_in(text: str) -> set[str]:
    return {name for name in re.findall(r"atftctl ([a-z-]+)", text) if name in COMMANDS_OF_ATFTCTL}


def test_an_error_in_japanese_and_its_json_in_english(project: Project) -> None:
    japanese = project.run("rollback", "--symptom", "nothing", "--lang", "ja")
    assert japanese.code == 2 and re.search("[ぁ-ん]", japanese.err), japanese
    in_json = project.run("rollback", "--symptom", "nothing", "--lang", "ja", "--json").json["error"]
    assert in_json["message"].isascii() and not re.search("[ぁ-ん]", in_json["hint"])
    by_locale = project.run("trainer", "stop", env={"LC_ALL": "ja_JP.UTF-8"})
    assert by_locale.code == 0 and re.search("[ぁ-ん]", by_locale.out)


def test_messages_stay_english_where_there_is_no_translation() -> None:
    def upper(template: str, plural: str, count: int) -> str:
        return (
            (plural if plural and count != 1 else template)
            .upper()
            .replace("{PATH}", "{path}")
            .replace("{COUNT}", "{count}")
        )

    message = tr("{path} is missing", path=trn("{count} file", "{count} files", 2))
    assert message == "2 files is missing" and localized(message, upper) == "2 FILES IS MISSING"
    assert localized(joined("; ", [message, "as is"]), upper) == "2 FILES IS MISSING; as is"
    assert localized("as is", upper) == "as is"
    assert localized(message, lambda *_: "{wrong}") == "2 files is missing", "a wrong translation hides no error"


@pytest.mark.parametrize("content", [b"", b"\xde\x12\x04\x95" + bytes(3), b"no catalogue at all", None])
def test_a_damaged_catalogue_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """What can't be translated is told in English; no operation ends because of it."""
    file = tmp_path / "ja" / "LC_MESSAGES" / "atftctl.mo"
    file.parent.mkdir(parents=True)
    if content is None:  # a folder
        file.mkdir()
    else:
        file.write_bytes(content)
    monkeypatch.setattr(translation, "LOCALE", tmp_path)
    translate = translation._translation.__wrapped__("ja")
    assert localized(tr("{path} is missing", path="a"), translate) == "a is missing"
    assert localized(trn("{count} file", "{count} files", 2), translate) == "2 files"


def test_a_message_comes_back_from_a_record_and_stays_translatable() -> None:
    kept = joined("; ", [tr("{path} is missing", path=tr("the file")), trn("{count} file", "{count} files", 1200), "x"])
    back = from_record(json.loads(json.dumps(record_of(kept))))
    assert back == kept and str(back) == "the file is missing; 1,200 files; x"
    translations = {"{path} is missing": "{path} fehlt", "the file": "die Datei", "{count} files": "{count} Dateien"}
    assert localized(back, lambda template, plural, amount: translations.get(plural or template, template)) == (
        "die Datei fehlt; 1,200 Dateien; x"
    )
    assert from_record(record_of("plain")) == "plain" and record_of("plain") == "plain"


STORED = {"text": "as it was", "template": "{x}", "plural": "", "amount": 0, "values": {"x": 1}}


@pytest.mark.parametrize("form", [*"bcdeEfFgGnosxX%", ",", "+.4f"])
@pytest.mark.parametrize("value", [10**20, 10**400, -1, math.inf, math.nan, True, None, [1], "x"])
def test_a_value_that_can_not_be_shown_raises_nothing(form: str, value: object) -> None:
    message = from_record({**STORED, "template": f"{{x:{form}}}", "values": {"x": value}})
    assert isinstance(localized(message, lambda template, *_: template), str)


@pytest.mark.parametrize("template", ["{x.__class__}", "{x[0]}", "{x:9999999999}", "{x!a}", "{}", "{x:{y}}", "{x"])
def test_a_record_holds_no_template_that_does_more_than_show_a_value(template: str) -> None:
    record = {"text": "as it was", "template": template, "plural": "", "amount": 0, "values": {"x": 1, "y": 2}}
    try:
        back = from_record(record)
    except ValueError:
        return
    assert back == "as it was" and localized(back, lambda template, *_: template) == "as it was"


@pytest.mark.parametrize(
    "record",
    [
        *(5, None, ["x"], {"text": 5}, {"text": "x"}, {"text": "x", "parts": 5, "separator": ""}),
        *({**STORED, "amount": amount} for amount in (math.inf, math.nan, 1.0, True, "1", None)),
        *({**STORED, "values": values} for values in ([], "x", None, 5)),
    ],
)
def test_a_record_that_holds_no_text_is_refused(record: object) -> None:
    with pytest.raises((TypeError, KeyError, ValueError)):
        from_record(record)
