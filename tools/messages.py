"""Bring the catalogs of messages up to date: `make messages`. Needs Babel.

Collects the templates of `tr` and `trn` from the package into atftctl/locale/atftctl.pot, merges them into each
language's .po (translations are kept, new templates come in empty), and compiles each .po into a .mo beside it.
A new language: `python tools/messages.py ko`.
"""

from __future__ import annotations

import io
import runpy
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "atftctl"
LOCALE = PACKAGE / "locale"
TEMPLATE = LOCALE / "atftctl.pot"
KEYWORDS = {"tr": (1,), "trn": (1, 2)}  # which arguments are templates


def collect() -> Catalog:
    """Return every template of the package with the files that use it."""
    catalog = Catalog(project="atftctl", charset="utf-8")
    for name, _, message, comments, _ in extract_from_dir(PACKAGE, [("**.py", "python")], keywords=KEYWORDS):
        # without line numbers: a catalog changes when a message does, not when code above it does
        catalog.add(message, None, [(f"atftctl/{name}", None)], auto_comments=comments)
    return catalog


def update(language: str, template: Catalog) -> tuple[int, int]:
    """Merge the template into the .po of one language. Returns how many messages it has, and how many are empty."""
    path = LOCALE / language / "LC_MESSAGES" / "atftctl.po"
    catalog = Catalog(locale=language, domain="atftctl", project="atftctl")
    if path.exists():
        with path.open("rb") as file:
            catalog = read_po(file, locale=language, domain="atftctl")
    catalog.update(template, no_fuzzy_matching=True)
    write(path, catalog)
    messages = [message for message in catalog if message.id]
    return len(messages), sum(not is_translated(message.string) for message in messages)


def is_translated(text: str | tuple[str, ...] | list[str]) -> bool:
    """Tell whether every form of a message has a text."""
    return bool(text) if isinstance(text, str) else bool(text) and all(text)


def write(path: Path, catalog: Catalog) -> None:
    """Write a catalog without anything that changes from run to run."""
    catalog.fuzzy = False
    catalog.header_comment = "# Messages of atftctl. Written by `make messages`; translators fill in the msgstr lines."
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    text = io.BytesIO()
    write_po(text, catalog, width=100, sort_output=True, ignore_obsolete=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.getvalue())


def main(languages: list[str]) -> None:
    """Update the template, each language that has a folder, and those that are named."""
    template = collect()
    write(TEMPLATE, template)
    names = {path.name for path in LOCALE.iterdir() if (path / "LC_MESSAGES").is_dir()} | set(languages)
    for language in sorted(names):
        count, empty = update(language, template)
        print(f"{language}: {count} messages, {empty} without a translation")
    runpy.run_path(str(ROOT / "setup.py"))["compile_messages"]()


if __name__ == "__main__":
    main(sys.argv[1:])
