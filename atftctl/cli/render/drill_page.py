"""The page of a drill: Markdown or HTML, by the suffix of its name."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from atftctl.cli.render.drill import VERDICTS, data_of, lines_of, table_of
from atftctl.cli.render.translation import localize
from atftctl.domain.errors import UsageError
from atftctl.domain.result import Result
from atftctl.operations.drill.outcome import Rehearsed
from atftctl.operations.verification import reports
from atftctl.protocol.messages import Message, tr

SUFFIXES = (".md", ".html")
STYLE = "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid;padding:.3em}"


def check(path: Path) -> None:
    """Raises UsageError for a name of another kind, and for a place that can't be written: said before the drill."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            tr("--report writes Markdown or HTML, and {path} is the name of neither", path=path),
            hint=tr("choose a name that ends in .md or .html"),
        )
    reports.check_writable(path)


def write(path: Path, result: Result, service: str) -> None:
    """Write the page: whole, or not at all. Raises Refused."""
    page = _html(result, service) if path.suffix.lower() == ".html" else _markdown(result, service)
    reports.write_report(path, page.encode("utf-8", "replace"), tr("the drill is over; its page was not written"))


def _title(service: str) -> str:
    return localize(tr("Drill: {service}", service=service))


def _texts(drill: Rehearsed) -> list[str]:
    """What the page says of one drill, line by line."""
    lines: list[str | Message] = [*drill.timeline, *lines_of(drill)]
    checks = drill.seen.get("checks") or {}
    evidence = (drill.seen.get("act") or {}).get("evidence") or []
    lines += [tr("seen by the watcher: {text}", text=text) for text in evidence]
    lines += [tr("verify, {check}: {text}", check=name, text=text) for name, text in checks.items()]
    return [localize(line) for line in lines]


def _markdown(result: Result, service: str) -> str:
    data = data_of(result)
    head, rows = table_of(data)
    lines = [f"# {_title(service)}", "", localize(result.headline), "", _row(head), _row(["---"] * len(head))]
    lines += [_row(row) for row in rows]
    for drill in data.drills:
        lines += ["", f"## {drill.title}: {localize(VERDICTS[drill.verdict])}", ""]
        lines += [f"- {text.strip()}" for text in _texts(drill)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(localize(cell).replace("|", "\\|") for cell in cells) + " |"


def _html(result: Result, service: str) -> str:
    data = data_of(result)
    head, rows = table_of(data)
    title = escape(_title(service))
    cells = "".join(f"<tr>{''.join(f'<td>{escape(localize(cell))}</td>' for cell in row)}</tr>\n" for row in rows)
    names = "".join(f"<th>{escape(localize(name))}</th>" for name in head)
    parts = "".join(
        f"<h2>{escape(drill.title)}: {escape(localize(VERDICTS[drill.verdict]))}</h2>\n<ul>\n"
        + "".join(f"<li>{escape(text)}</li>\n" for text in _texts(drill))
        + "</ul>\n"
        for drill in data.drills
    )
    return (
        f'<!doctype html>\n<html><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n"
        f"<h1>{title}</h1>\n<p>{escape(localize(result.headline))}</p>\n"
        f"<table>\n<tr>{names}</tr>\n{cells}</table>\n{parts}</body></html>\n"
    )
