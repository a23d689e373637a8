"""The import rules hold, and each of them fails when it is broken."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.projects import ROOT

BROKEN = {
    "1. layers, exhaustive": (
        "atftctl/decide/plans/setting_changes.py",
        "from atftctl.apply import history as _  # noqa\n",
    ),
    "1. layers, exhaustive (new room)": ("atftctl/attic/__init__.py", "# a room without a layer\n"),
    "2a. nobody imports the trainer, nor the hooks": (
        "atftctl/operations/verification/checklist.py",
        "from atftctl.trainer import settings as _  # noqa\n",
    ),
    "2a. nobody imports the trainer, nor the hooks (hooks)": (
        "atftctl/protocol/generations.py",
        "from atftctl.hooks import reporter as _  # noqa\n",
    ),
    "2c. the hooks import nothing of ours": (
        "atftctl/hooks/reporter.py",
        "from atftctl.protocol import keys as _  # noqa\n",
    ),
    "2d. the trainer runs without a framework": (
        "atftctl/trainer/runtime/memory.py",
        "from atftctl.hooks import lightning as _  # noqa\n",
    ),
    "2b. the trainer imports nothing of ours but protocol and the reporter": (
        "atftctl/trainer/runtime/memory.py",
        "from atftctl.host import files as _  # noqa\n",
    ),
    "3. decide and domain never touch the machine": (
        "atftctl/decide/verdicts/paired.py",
        "import subprocess as _  # noqa\n",
    ),
    "5. only cli imports typer and rich": ("atftctl/operations/report/status.py", "import rich as _  # noqa\n"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed: pip install -e '.[dev]'")
    return subprocess.run(
        [str(tool), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
    )


def copy(folder: Path) -> Path:
    shutil.copytree(ROOT / "atftctl", folder / "atftctl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_contracts_hold(tmp_path: Path) -> None:
    done = lint(copy(tmp_path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("contract", BROKEN)
def test_a_contract_fails_when_broken(tmp_path: Path, contract: str) -> None:
    name, line = BROKEN[contract]
    path = copy(tmp_path) / name
    path.parent.mkdir(exist_ok=True)
    text = path.read_text() if path.exists() else ""
    head = "from __future__ import annotations\n"
    path.write_text(text.replace(head, head + line, 1) if head in text else text + line)
    done = lint(tmp_path)
    assert done.returncode != 0
    assert contract.partition(" (")[0] in done.stdout and ("BROKEN" in done.stdout or "attic" in done.stdout), (
        done.stdout
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("atftctl/operations/report/status.py", "print('x')\n"),
        ("atftctl/decide/plans/setting_changes.py", "import subprocess\nsubprocess.run\n"),
    ],
    ids=["rule 5: printing", "rule 3: banned api"],
)
def test_ruff_knows_the_rest(tmp_path: Path, name: str, line: str) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed: pip install -e '.[dev]'")
    folder = copy(tmp_path)
    command = [str(ruff), "check", "--no-cache", "--select", "T20,TID251", name]
    assert subprocess.run(command, cwd=folder, capture_output=True).returncode == 0
    with (folder / name).open("a") as file:
        file.write(line)
    assert subprocess.run(command, cwd=folder, capture_output=True).returncode == 1


def imports(package: Path) -> dict[str, set[str]]:
    """Each module, and the modules of ours that it imports: inside functions and under TYPE_CHECKING, too."""
    modules = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        graph[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package.name:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[module] |= {name if name in modules else node.module for name in names}
    return graph


def test_no_circle_of_imports() -> None:
    graph = imports(ROOT / "atftctl")
    assert set(TopologicalSorter(graph).static_order()) >= set(graph), "static_order raises CycleError for a circle"


def test_a_circle_inside_functions_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "atftctl"
    package.mkdir()
    (package / "first.py").write_text("from atftctl.second import y\n")
    (package / "second.py").write_text("def f():\n    from atftctl import first\n")
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(imports(package)).static_order())
