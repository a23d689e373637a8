"""`runbook render`: write the runbook as pages for people, in English and Japanese. `SAY` holds their sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.runbook import Phase, Runbook, Settings
from atftctl.domain.steps import WriteFiles
from atftctl.domain.text import value_text
from atftctl.domain.texts import Text
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
        "check model, data, training, {quality} (margin {margin}, at least {pairs}), errors, memory (at most × "
        "{memory}), service, training time (at most × {time})",
        "モデル、データ、学習、{quality}（許容差 {margin}、{pairs}以上）、エラー、メモリ（{memory}倍以内）、"
        "サービス、学習時間（{time}倍以内）を確認する",
    ),
    "pairs-date": Text("{count} dates", "{count}日"),
    "pairs-example": Text("{count} examples", "{count}例"),
    "pairs-none": Text("{count} values", "{count}個の値"),
    "phases": Text("Turning the improvements on again", "再有効化計画"),
    "gate": Text(
        "gate: {steps} healthy steps within {seconds:g} s{checks}{quality}",
        "ゲート：{seconds:g}秒以内に正常な{steps}ステップ{checks}{quality}",
    ),
    "checks": Text("; checks {names}", "；確認 {names}"),
    "no-worse": Text("; quality no worse than the baseline", "；性能がベースラインより悪くない"),
    "improved": Text("; quality better than the baseline", "；性能がベースラインより良い"),
    "source": Text("source: {source}", "出典：{source}"),
    "before": Text("Prevention", "予防措置"),
    "backup": Text("take a snapshot of configs and models: {files}", "設定とモデルのスナップショットを取る：{files}"),
    "contacts": Text("Contacts", "連絡先"),
}


@record
class RenderData(Data):
    """Data of `runbook render`.

    stale: with `--check`, the pages that are out of date. written: the pages that were written.
    """

    stale: tuple[str, ...] = ()
    written: tuple[str, ...] = ()


def render(project: Project, request: Request, *, check: bool) -> Result:
    """Write the pages beside the runbook. `check`: only compare them; exit code 1 where one is out of date."""
    pages = dict(_pages(project))
    folder = project.layout.runbook.parent
    stale = [name for name, text in pages.items() if _current(folder / name) != text.encode()]
    plan = Plan("runbook render", tr("write the runbook's pages"), (WriteFiles(tuple(stale)),) if stale else ())
    if stale and not check and (dry_run := review(plan, request, ask=False)):
        return dry_run
    if check or not stale:
        headline = tr("up to date: {pages}", pages=", ".join(pages))
        if stale:
            headline = tr("out of date: {pages}; next: atftctl runbook render", pages=", ".join(stale))
        exit_code = Exit.CHECK_FAILED if stale and check else Exit.DONE
        return Result("runbook render", exit_code, headline, data=RenderData(stale=tuple(stale)))
    for name in stale:
        write_durably(folder / name, pages[name].encode())
    headline = tr("written: {pages}", pages=", ".join(stale))
    return Result("runbook render", Exit.DONE, headline, data=RenderData(written=tuple(stale)))


def _current(path: Path) -> bytes:
    """Return the content of a page; empty where there is none."""
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
    """Yield the lines of one page."""

    def say(name: str, **values: object) -> str:
        return SAY[name].say(language).format(**values)

    def section(title: str, lines: Iterable[str]) -> Iterator[str]:
        yield from ("", f"## {say(title)}", "", *lines)

    yield f"# {say('title', service=book.service)}"
    yield from ("", say("made", file=file))
    yield from section("first", (_line("status", say("status")), f"- {say('dry')}"))
    if book.symptoms:
        yield from section("symptoms", _symptoms(book, language))
    yield from section("ways", _ways(book, say))
    checks = book.checks
    checklist = say(
        "checklist",
        quality=book.metrics.title(book.metrics.quality) or "-",
        margin=checks.quality_margin,
        pairs=SAY[f"pairs-{checks.quality_pair_by or 'none'}"].say(language).format(count=checks.min_pairs),
        memory=checks.memory_ratio,
        time=checks.step_time_ratio,
    )
    yield from section("verify", (_line("verify", checklist),))
    if book.plans:
        yield from section("phases", _phases(book, language))
    files = ", ".join(f"`{name}`" for name in book.files.of(""))
    yield from section("before", (_line("backup", say("backup", files=files)),))
    if book.contacts:
        contacts = (f"- {contact.when.say(language)}: {contact.how.say(language)}" for contact in book.contacts)
        yield from section("contacts", contacts)


def _line(command: str, text: str) -> str:
    return f"- `atftctl {command}`: {text}"


def _ways(book: Runbook, say: Callable[..., str]) -> Iterator[str]:
    """Yield a line for each way to roll back that the runbook has the parts for."""
    settings, staged = _settings(book.immediate.settings), book.staged
    if settings:
        yield _line("rollback --immediate", say("immediate", minutes=book.immediate.minutes, settings=settings))
    if book.symptoms:
        stages = say("staged", minutes=staged.minutes, stages=", ".join(staged.stages), steps=staged.window_steps)
        yield _line("rollback --staged", stages)
        yield _line("rollback --bisect", say("bisect"))
    yield _line("rollback --to last-good", say("to"))
    yield _line("rollback --git", say("git", pattern=book.git.pattern))
    if book.full.remove or book.full.files or book.full.packages:
        yield _line("rollback --full", say("full", files=len(book.full.remove)))
    if book.features:
        yield _line("rollback --feature NAME", say("feature"))
    yield _line("undo", say("undo"))
    yield _line("recover", say("recover"))


def _phases(book: Runbook, language: str) -> Iterator[str]:
    """Yield a line for each phase of each plan."""
    for name, phases in book.plans.items():
        option = "" if name == book.reenable_plan else f" --plan {name}"
        for number, phase in enumerate(phases, 1):
            text = f"{phase.title.say(language)}: {_settings(phase.settings)}"
            yield _line(f"reenable --phase {number}{option}", text)
            yield f"  - {_gate(phase, language)}"


def _gate(phase: Phase, language: str) -> str:
    """What the phase must show before the next one, and where that rule comes from."""
    gate = phase.gate

    def say(name: str, **values: object) -> str:
        return SAY[name].say(language).format(**values)

    checks = say("checks", names=", ".join(f"`{name}`" for name in gate.checks)) if gate.checks else ""
    quality = say(gate.quality) if gate.quality else ""
    text = say("gate", steps=gate.steps, seconds=gate.window_s, checks=checks, quality=quality)
    return f"{text} ({say('source', source=gate.source.say(language))})" if gate.source else text


def _symptoms(book: Runbook, language: str) -> Iterator[str]:
    """Yield the rows of the guide's table of symptoms."""
    head = [SAY[name].say(language) for name in ("symptom", "cause", "settings", "minutes", "command")]
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for name, symptom in book.symptoms.items():
        settings = f" {SAY['or'].say(language)} ".join(map(_settings, (symptom.settings, *symptom.alternatives)))
        minutes = f"{symptom.minutes} {SAY['minute'].say(language)}"
        title, cause = symptom.title.say(language), symptom.cause.say(language)
        cells = (title, cause, settings, minutes, f"`rollback --symptom {name}`")
        yield f"| {' | '.join(cells)} |"


def _settings(settings: Settings) -> str:
    return ", ".join(f"`{name}: {value_text(value)}`" for name, value in settings.items())
