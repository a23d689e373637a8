"""The page of a drill: Markdown or HTML, by the suffix of its name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from atftctl.cli.render import incident_markdown as markdown
from atftctl.cli.render.drill import VERDICTS, data_of, table_of
from atftctl.cli.render.drill_texts import checks_of, story_of
from atftctl.cli.render.translation import localize
from atftctl.domain.errors import UsageError
from atftctl.domain.result import Result
from atftctl.operations.verification import reports
from atftctl.protocol.messages import tr

SUFFIXES = (".md", ".html")


def check(path: Path) -> None:
    """Raises UsageError for a name of another kind, and for a place that can't be written: said before the drill."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            tr("--report writes Markdown or HTML, and {path} is the name of neither", path=path),
            hint=tr("choose a name that ends in .md or .html"),
        )
    reports.check_writable(path)


def write(path: Path, result: Result, service: str, language: str) -> None:
    """Write the page: whole, or not at all. Raises Refused."""
    if path.suffix.lower() == ".html":
        from atftctl.cli.render import drill_html

        page = drill_html.page(result, service, language, datetime.now(UTC).isoformat(timespec="seconds"))
    else:
        page = _markdown(result, service)
    reports.write_report(path, page.encode("utf-8", "replace"), tr("the drill is over; its page was not written"))


def _markdown(result: Result, service: str) -> str:
    data = data_of(result)
    head, rows = table_of(data)
    title = markdown.text(tr("Drill: {service}", service=service))
    lines = [f"# {title}", "", markdown.text(result.headline), "", _row(head), _row(["---"] * len(head))]
    lines += [_row([markdown.text(cell) for cell in row]) for row in rows]
    for drill in data.drills:
        lines += ["", f"## {markdown.text(drill.title)}: {localize(VERDICTS[drill.verdict])}", ""]
        checks = [tr("verify, {check}: {text}", check=name, text=text) for name, text in checks_of(drill)]
        lines += [f"- {markdown.text(text)}" for text in (*story_of(drill), *checks)]
        lines += markdown.part_lines(drill.incident) if drill.incident else ()
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(localize(cell) for cell in cells) + " |"
