"""Commands that have verbs of their own are imported and built when one is called, or all are listed: an emergency
command has no time to make those that it does not run."""

from importlib import import_module
from typing import Any

from typer.core import TyperGroup
from typer.main import get_group

GROUPS = {
    "plan": ("atftctl.cli.plan", "app"),
    "config": ("atftctl.cli.config", "app"),
    "backup": ("atftctl.cli.backup", "app"),
    "trainer": ("atftctl.cli.groups", "trainer_app"),
    "baseline": ("atftctl.cli.groups", "baseline_app"),
    "runbook": ("atftctl.cli.groups", "runbook_app"),
}


class LateGroups(TyperGroup):
    """The root of the commands."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in GROUPS:
            self._build(cmd_name)
        elif cmd_name not in self.commands:
            self.list_commands(ctx)  # a typo: what is near it is looked for among all
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        for name in GROUPS:
            self._build(name)
        return super().list_commands(ctx)

    def _build(self, name: str) -> None:
        if name not in self.commands:
            module, app = GROUPS[name]
            self.commands[name] = get_group(getattr(import_module(module), app))
