"""Options that stand before the command."""

from __future__ import annotations

import ast

from atftctl.cli.arguments import GROUPS, in_order
from tests.support.projects import ROOT


def test_the_groups_are_those_whose_modules_hold_several_commands() -> None:
    groups = []
    for path in (ROOT / "atftctl/cli/commands").glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        names = [call.args[0].value for call in calls
                 if getattr(call.func, "id", "") == "command" and call.args and isinstance(call.args[0], ast.Constant)]  # fmt: skip
        groups += [path.stem] if any(" " in str(name) for name in names) else []
    assert sorted(groups) == sorted(GROUPS)


def test_leading_options_go_behind_the_command() -> None:
    assert in_order(["--lang", "ja", "checkpoint", "list"]) == ["checkpoint", "list", "--lang", "ja"]
    assert in_order(["--lang", "ja", "alert", "list"]) == ["alert", "list", "--lang", "ja"]
    assert in_order(["--json", "status"]) == ["status", "--json"]
