"""The docs tell the truth: exit codes, the envelope, every command, the README's targets."""

from __future__ import annotations

import re

from atftctl.protocol import Exit, TrainerExit
from tests.support.projects import ROOT, Project


def table(text: str) -> dict[int, str]:
    return {int(code): name for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", text, re.MULTILINE)}


def test_the_exit_code_page_is_the_protocol() -> None:
    ours, trainers = (ROOT / "docs/exit-codes.md").read_text().split("## The trainer's")
    assert table(ours) == {int(code): code.name.lower() for code in Exit}
    assert table(trainers) == {int(code): code.name.lower() for code in TrainerExit}


def test_the_json_page_is_the_envelope(project: Project) -> None:
    page = (ROOT / "docs/json.md").read_text()
    found = project.run("status", "--json").json
    assert set(re.search(r"^    (\{.*\})$", page, re.MULTILINE).group(1).replace("…", "").split('"')[1::2]) >= set(
        found
    )  # type: ignore[union-attr]
    error = project.run("rollback", "--symptom", "x", "--json").json["error"]
    assert all(f'"{name}"' in page for name in error)
    done = project.run("rollback", "--immediate", "--yes", "--json").json
    assert all(
        f"`{name}`" in page for name in ("operation", "snapshot", "changes", "first_step", "plan", "seconds")
    ) and ({"operation", "snapshot", "changes", "first_step", "plan", "seconds"} <= set(done["data"]))


def test_every_command_is_documented() -> None:
    import typer

    from atftctl.cli.main import app

    page = (ROOT / "docs/commands.md").read_text()
    root = typer.main.get_command(app)
    for name in root.list_commands(None):  # type: ignore[attr-defined]
        command = root.get_command(None, name)  # type: ignore[attr-defined]
        names = [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]
        for full in names:
            assert f"`atftctl {full}" in page, full


def test_every_command_has_help_and_its_options(project: Project) -> None:
    import typer

    from atftctl.cli.main import app

    root = typer.main.get_command(app)
    for name in root.list_commands(None):  # type: ignore[attr-defined]
        command = root.get_command(None, name)  # type: ignore[attr-defined]
        for one in [command, *getattr(command, "commands", {}).values()]:
            assert one.help, name
            if not getattr(one, "commands", {}) or name == "backup":
                assert {"--json", "--project"} <= {word for option in one.params for word in option.opts}, one.name


def test_the_readme_names_targets_that_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (demo|test|setup|check|bench)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_the_runbook_of_the_repository_is_sound(project: Project) -> None:
    done = project.run("runbook", "lint", "--project", str(ROOT))
    assert done.code == 0, done


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), (page.name, link)
