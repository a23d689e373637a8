"""The docs tell the truth: exit codes, JSON, every command, generated pages, links, and what the build is told."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from atftctl.protocol import Exit, TrainerExit
from tests.support.projects import ROOT, RUNBOOK, Project

REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COLUMNS = 100
OUTSIDE = re.compile(r"\b(MODEL\.md|DESIGN(\.md)?|HOUSE(\.md)?|STYLE\.md)\b|\.\./shared")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def codes(text: str) -> dict[int, str]:
    return {int(code): name for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", text, re.MULTILINE)}


def test_the_exit_code_page_is_the_protocol() -> None:
    ours, trainers = (REFERENCE / "exit-codes.md").read_text().split("## Of the trainer")
    assert codes(ours) == {int(code): code.name.lower() for code in Exit}
    assert codes(trainers) == {int(code): code.name.lower() for code in TrainerExit}


def test_the_json_page_is_the_envelope(project: Project) -> None:
    page = (REFERENCE / "json.md").read_text()
    envelope = project.run("status", "--json").json
    example = re.search(r"^    (\{\"version\".*\})$", page, re.MULTILINE)
    assert example is not None
    assert set(envelope) <= set(example[1].split('"')[1::2])
    error = project.run("rollback", "--symptom", "x", "--json").json["error"]
    assert all(f'"{name}"' in page for name in error)
    names = {"operation", "snapshot", "changes", "first_step", "plan", "seconds"}
    change = project.run("rollback", "--immediate", "--yes", "--json").json
    assert names <= set(change["data"])
    assert all(f"`{name}`" in page for name in names)


def commands() -> list[str]:
    import typer

    from atftctl.cli.root import app

    root = typer.main.get_command(app)
    names = []
    for name in root.list_commands(None):  # type: ignore[attr-defined]
        command = root.get_command(None, name)  # type: ignore[attr-defined]
        names += [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]
    return names


def test_every_command_is_documented() -> None:
    page = (REFERENCE / "commands.md").read_text()
    assert [name for name in commands() if f"atftctl {name}" not in page] == []


def test_every_command_has_help_and_its_options(project: Project) -> None:
    import typer

    from atftctl.cli.root import app

    root = typer.main.get_command(app)
    for name in root.list_commands(None):  # type: ignore[attr-defined]
        group = root.get_command(None, name)  # type: ignore[attr-defined]
        for command in [group, *getattr(group, "commands", {}).values()]:
            assert command.help, name
            if not getattr(command, "commands", {}) or name == "backup":
                assert {"--json", "--project"} <= {text for option in command.params for text in option.opts}, (
                    command.name
                )


def test_the_page_of_runbook_keys_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import runbook_reference

    keys = {path for section in runbook_reference.sections() for path, _, _ in section.entries()}
    assert keys == runbook_reference.MEANINGS.keys(), "edit MEANINGS in tools/runbook_reference.py"
    assert runbook_reference.PAGE.read_text() == runbook_reference.page(), "run: make reference"


def test_the_page_of_json_is_up_to_date() -> None:
    from tools import json_reference

    assert json_reference.unexplained() == [], (
        "explain it in the docstring, or edit COMMANDS in tools/json_reference.py"
    )
    assert json_reference.PAGE.read_text(encoding="utf-8") == json_reference.page(), "run: make reference"


def test_the_example_of_the_runbook_guide_is_sound(project: Project) -> None:
    page = (ROOT / "docs/how-to/write-a-runbook.md").read_text()
    project.write("runbooks/atft-gat-fan.yaml", "\n".join(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)))
    project.write("config.yaml", "improvements: {use_ema: true}\noptimizer: {lr: 1.0e-3}\n")
    linted = project.run("runbook", "lint")
    assert linted.code == 0, linted
    dry = project.run("rollback", "--symptom", "oom", "--dry-run")
    assert dry.code == 0, dry


def test_the_runbook_of_the_repository_is_sound(project: Project) -> None:
    linted = project.run("runbook", "lint", "--project", str(ROOT))
    assert linted.code == 0, linted


@pytest.mark.parametrize("page", ["incident.md", "incident.ja.md"])
def test_the_guide_for_incidents_lists_every_symptom(page: str) -> None:
    symptoms = yaml.safe_load((ROOT / RUNBOOK).read_text(encoding="utf-8"))["symptoms"]
    text = (ROOT / "docs/how-to" / page).read_text(encoding="utf-8")
    assert [name for name in symptoms if f"| `{name}` |" not in text] == []


def test_the_readmes_have_the_same_transcript_and_a_size() -> None:
    texts = [(ROOT / name).read_text() for name in ("README.md", "README.ja.md")]
    blocks = [re.findall(r"<!-- transcript.*?<!-- end of transcript -->", text, re.DOTALL) for text in texts]
    assert blocks[0] == blocks[1]
    assert len(blocks[0]) == 1
    assert all(60 <= len(text.splitlines()) <= 90 for text in texts)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """As GitHub and the site make them of headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_short(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), 1)
    long = [number for number, line in lines if len(line) > COLUMNS and not line.startswith("|")]
    assert page.name == "commands.md" or not long, f"{name_of(page)}: over {COLUMNS} columns in lines {long}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_points_to_a_document_outside(page: Path) -> None:
    assert not OUTSIDE.search(page.read_text())


def test_every_page_is_on_the_site() -> None:
    listed = set(re.findall(r'= "([^"]+\.md)"', (ROOT / "zensical.toml").read_text()))
    assert listed == {name_of(page) for page in PAGES}


def test_decisions_have_ids_in_order() -> None:
    ids = re.findall(r"^### D-(\d{3}): ", (ROOT / "DECISIONS.md").read_text(), re.MULTILINE)
    assert ids
    assert len(ids) == len(set(ids))


def test_make_targets_of_the_docs_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    names = {name for page in PAGES for name in re.findall(r"`(?:\$ )?make ([a-z-]+)", page.read_text())}
    names |= set(re.findall(r"run: make ([a-z-]+)", (ROOT / ".github/workflows/ci.yml").read_text()))
    assert {"setup", "check", "test", "docs", "dist", "pyz"} <= names
    assert [name for name in sorted(names) if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_the_workflow_and_the_issue_form_are_yaml() -> None:
    for path in (*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml"):
        assert yaml.safe_load(path.read_text()), path
    assert "atftctl doctor --json" in (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text()


def test_the_dev_extra_is_the_dev_group() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert about["project"]["optional-dependencies"]["dev"] == about["dependency-groups"]["dev"]


def test_the_messages_are_collected(tmp_path: Path) -> None:
    """From calls over several lines too, and each with its plural."""
    pytest.importorskip("babel")
    package = tmp_path / "atftctl"
    package.mkdir()
    (package / "example.py").write_text(
        'tr("{path} is "\n   "missing", path=path)\ntrn("{count} file", "{count} files", number)\n'
    )
    code = (
        "import runpy, sys; from pathlib import Path\n"
        "tool = runpy.run_path(sys.argv[1]); collect = tool['collect']\n"
        "collect.__globals__['PACKAGE'] = Path(sys.argv[2])\n"
        "print(sorted(map(str, (message.id for message in collect() if message.id))))"
    )
    argv = [sys.executable, "-c", code, str(ROOT / "tools/messages.py"), str(package)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "('{count} file', '{count} files')" in done.stdout
    assert "{path} is missing" in done.stdout
