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
        "Generated from `{file}` by `atftctl runbook render`. Do not edit this page: edit `{file}`.",
        "このページは `atftctl runbook render` が `{file}` から生成したものです。"
        "このページではなく `{file}` を編集してください。",
    ),
    "first": Text("Start here", "最初に"),
    "status": Text("show the current state; changes nothing", "現在の状態を表示する（何も変更しない）"),
    "dry": Text(
        "with `--dry-run` each command shows what it would change",
        "どのコマンドも `--dry-run` を付けると、実行せずに変更内容を表示する",
    ),
    "symptoms": Text("Which symptom, which command", "問題別対応表"),
    "symptom": Text("symptom", "症状"),
    "cause": Text("cause", "原因"),
    "settings": Text("settings that are restored", "ロールバック対象"),
    "minutes": Text("recovery time", "復旧時間"),
    "minute": Text("min", "分"),
    "command": Text("command", "コマンド"),
    "or": Text("or", "または"),
    "ways": Text("Ways to roll back", "ロールバック手順"),
    "immediate": Text(
        "turn off all improvements within {minutes} minutes: {settings}",
        "{minutes}分以内に改善機能をすべて無効にする：{settings}",
    ),
    "staged": Text(
        "roll back in stages within {minutes} minutes ({stages}); watch the trainer for {steps} steps after each "
        "stage, and stop when it is healthy",
        "{minutes}分以内に段階的にロールバックする（{stages}）。各段階の後に{steps}ステップ監視し、正常に戻ったところで終了する",
    ),
    "bisect": Text(
        "find the improvements that cause the problem, by short training runs",
        "短い学習を繰り返し、原因となった改善機能を特定する",
    ),
    "to": Text(
        "restore all files of the newest verified-good snapshot",
        "検証に合格した最新のスナップショットから全ファイルを復元する",
    ),
    "git": Text(
        "revert commits whose subjects match `{pattern}`, after a test in a separate work tree (recommended for code)",
        "件名が `{pattern}` に一致するコミットを、別の作業ツリーで確認してからリバートする（コードにはこの方法を推奨）",
    ),
    "full": Text(
        "the guide's manual way: remove {files} files of the improvements (a snapshot keeps them), restore the earlier "
        "settings and code",
        "ガイドの手動ロールバック：改善機能の{files}ファイルを削除し（スナップショットに保存される）、設定とコードを元に戻す",
    ),
    "feature": Text(
        "turn off single improvements; with `--live` without a restart",
        "改善機能を個別に無効にする（`--live` を付けると再起動なし）",
    ),
    "undo": Text(
        "undo the last operation; an undo can be undone, too", "直前の操作を取り消す（取り消し自体も取り消せる）"
    ),
    "recover": Text(
        "after a crash: finish or put back the operation that was interrupted",
        "クラッシュ後に、中断した操作を完了するか元に戻す",
    ),
    "verify": Text("After a rollback", "ロールバック後の検証"),
    "checklist": Text(
        "check model, data, training, RankIC (margin {margin}, at least {dates} dates), errors, memory (at most × "
        "{memory}), service, training time (at most × {time})",
        "モデル、データ、学習、RankIC（許容差 {margin}、{dates}日以上）、エラー、メモリ（{memory}倍以内）、サービス、"
        "学習時間（{time}倍以内）を確認する",
    ),
    "phases": Text("Turning the improvements on again", "再有効化計画"),
    "before": Text("Prevention", "予防措置"),
    "backup": Text("take a snapshot of configs and models: {files}", "設定とモデルのスナップショットを取る：{files}"),
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
