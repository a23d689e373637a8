"""`runbook render`: the runbook as pages for people, in English and Japanese, from the same data. All sentences of the
pages are here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.runbook import Runbook, Settings, Text
from atftctl.domain.steps import WriteFiles
from atftctl.domain.text import value_text
from atftctl.host.files.durable import write_durably
from atftctl.host.files.reading import read_bytes
from atftctl.operations.project import Project
from atftctl.operations.request import Request, review
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

LANGUAGES = ("en", "ja")
SAY = {
    "title": Text("Rollback runbook of {service}", "{service} ロールバックランブック"),
    "made": Text(
        "Made from `{file}` by `atftctl runbook render`; edit that, not this.",
        "`{file}` から `atftctl runbook render` で生成。編集は元ファイルで行う。",
    ),
    "first": Text("First of all", "最初に"),
    "status": Text("where things stand; changes nothing", "現状の確認（何も変更しない）"),
    "dry": Text("every change shows its plan with `--dry-run`", "どの変更も `--dry-run` で計画を表示できる"),
    "symptoms": Text("By symptom", "問題別対応表"),
    "symptom": Text("symptom", "問題症状"),
    "cause": Text("cause", "原因"),
    "settings": Text("what goes back", "ロールバック対象"),
    "minutes": Text("recovery time", "復旧時間"),
    "minute": Text("min", "分"),
    "command": Text("command", "コマンド"),
    "or": Text("or", "または"),
    "ways": Text("The ways back", "ロールバック手順"),
    "immediate": Text(
        "within {minutes} minutes: every improvement off, key by key: {settings}",
        "{minutes}分以内：改善機能をキー単位で全て無効化：{settings}",
    ),
    "staged": Text(
        "within {minutes} minutes: stage after stage ({stages}), each watched over {steps} steps; the first healthy "
        "one is the last",
        "{minutes}分以内：段階ごと（{stages}）に{steps}ステップ監視し、健全になった段階で停止",
    ),
    "bisect": Text("which improvements are guilty, by short probe runs", "短い試験実行で原因の改善を特定"),
    "to": Text("the last verified-good snapshot, as a unit", "最後に検証済みのスナップショットへ一括で戻す"),
    "git": Text(
        "commits whose subjects match `{pattern}` taken back in a work tree of their own (recommended for code)",
        "件名が `{pattern}` に一致するコミットを別の作業ツリーでリバート（コードは推奨）",
    ),
    "full": Text(
        "the manual way: {files} files out (into the snapshot), settings and code of before",
        "手動ロールバック：{files}ファイルを取り外し（スナップショットに保存）、設定とコードを元に戻す",
    ),
    "feature": Text("single improvements; `--live` without a restart", "機能別の無効化（`--live` で再起動なし）"),
    "undo": Text("takes the last operation back; can be undone", "直前の操作を取り消す（取り消しも取り消せる）"),
    "recover": Text(
        "after a crash: finishes or unwinds what was left open",
        "クラッシュ後：未完了の操作を完了または巻き戻す",
    ),
    "verify": Text("After a rollback", "ロールバック後の検証"),
    "checklist": Text(
        "the checklist: model, data, training, RankIC (margin {margin}, at least {dates} dates), errors, "
        "memory (× {memory}), service, training time (× {time})",
        "確認項目：モデル、データ、学習、RankIC（許容差 {margin}、{dates}日以上）、エラー、メモリ（{memory}倍以内）、"
        "サービス、学習時間（{time}倍以内）",
    ),
    "phases": Text("Bringing the improvements back", "再有効化計画"),
    "before": Text("While all is well", "予防措置"),
    "backup": Text("configs and models, as one unit: {files}", "設定とモデルを一括で保存：{files}"),
    "contacts": Text("Contacts", "連絡先"),
}  # fmt: skip


def render(project: Project, request: Request, *, check: bool) -> Result:
    """The pages beside the runbook; with `check` they are only compared (exit 1 where one is out of date)."""
    pages = dict(_pages(project))
    folder = project.layout.runbook.parent
    stale = [name for name, text in pages.items() if _stands(folder / name) != text.encode()]
    plan = Plan("runbook render", tr("write the runbook's pages"), (WriteFiles(tuple(stale)),) if stale else ())
    if stale and not check and (dry_run := review(plan, request, ask=False)):
        return dry_run
    if check or not stale:
        words = f"out of date: {', '.join(stale)}" if stale else f"up to date: {', '.join(pages)}"
        exit_code = Exit.CHECK_FAILED if stale and check else Exit.DONE
        return Result("runbook render", exit_code, words, data={"stale": stale})
    for name in stale:
        write_durably(folder / name, pages[name].encode())
    return Result("runbook render", Exit.DONE, f"written: {', '.join(stale)}", data={"written": stale})


def _stands(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError:
        return b""


def _pages(project: Project) -> Iterator[tuple[str, str]]:
    source = project.layout.runbook
    for language in LANGUAGES:
        text = "\n".join(_page(project.runbook, source.name, language))
        yield f"{source.stem}.{language}.md", f"{text}\n"


def _page(book: Runbook, file: str, language: str) -> Iterator[str]:
    def say(name: str, **values: object) -> str:
        return SAY[name].say(language).format(**values)

    def line(command: str, words: str) -> str:
        return f"- `atftctl {command}`: {words}"

    yield f"# {say('title', service=book.service)}"
    yield from ("", say("made", file=file), "", f"## {say('first')}", "")
    yield line("status", say("status"))
    yield f"- {say('dry')}"
    yield from ("", f"## {say('symptoms')}", "")
    yield from _symptoms(book, language)
    yield from ("", f"## {say('ways')}", "")
    stages = ", ".join(book.staged.stages)
    settings = _settings(book.immediate.settings)
    yield line("rollback --immediate", say("immediate", minutes=book.immediate.minutes, settings=settings))
    rules = book.staged
    yield line("rollback --staged", say("staged", minutes=rules.minutes, stages=stages, steps=rules.window_steps))
    yield line("rollback --bisect", say("bisect"))
    yield line("rollback --to last-good", say("to"))
    yield line("rollback --git", say("git", pattern=book.git.pattern))
    yield line("rollback --full", say("full", files=len(book.full.remove)))
    yield line("rollback --feature NAME", say("feature"))
    yield line("undo", say("undo"))
    yield line("recover", say("recover"))
    yield from ("", f"## {say('verify')}", "")
    checks = book.checks
    yield line(
        "verify",
        say(
            "checklist",
            margin=checks.rankic_margin,
            dates=checks.rankic_min_dates,
            memory=checks.memory_ratio,
            time=checks.step_time_ratio,
        ),
    )
    yield from ("", f"## {say('phases')}", "")
    for name, phases in book.plans.items():
        option = "" if name == book.reenable_plan else f" --plan {name}"
        for number, phase in enumerate(phases, 1):
            yield line(
                f"reenable --phase {number}{option}", f"{phase.title.say(language)}: {_settings(phase.settings)}"
            )
    yield from ("", f"## {say('before')}", "")
    yield line("backup", say("backup", files=", ".join(f"`{name}`" for name in book.files.of(""))))
    yield from ("", f"## {say('contacts')}", "")
    yield from (f"- {one.when.say(language)}: {one.how.say(language)}" for one in book.contacts)


def _symptoms(book: Runbook, language: str) -> Iterator[str]:
    """The guide's table."""
    head = [SAY[name].say(language) for name in ("symptom", "cause", "settings", "minutes", "command")]
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for name, one in book.symptoms.items():
        settings = f" {SAY['or'].say(language)} ".join(map(_settings, (one.settings, *one.alternatives)))
        minutes = f"{one.minutes} {SAY['minute'].say(language)}"
        cells = (one.title.say(language), one.cause.say(language), settings, minutes, f"`rollback --symptom {name}`")
        yield f"| {' | '.join(cells)} |"


def _settings(settings: Settings) -> str:
    return ", ".join(f"`{name}: {value_text(value)}`" for name, value in settings.items())
