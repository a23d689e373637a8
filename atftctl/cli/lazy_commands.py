"""Commands are imported and built when one is called, or all are listed: an emergency command has no time to make those
that it does not run."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

# By name, in the order of `--help`: the module, and the function or the group of commands in it.
COMMANDS = {
    "status": ("status", "status"),
    "rollback": ("rollback", "rollback"),
    "undo": ("undo", "undo"),
    "verify": ("verify", "verify"),
    "reenable": ("reenable", "reenable"),
    "backup": ("backup", "app"),
    "restore": ("restore", "restore"),
    "resume": ("resume", "resume"),
    "recover": ("recover", "recover"),
    "history": ("history", "history"),
    "show": ("show", "show_"),
    "config": ("config", "app"),
    "plan": ("plan", "app"),
    "trainer": ("trainer", "trainer_app"),
    "guard": ("guard", "guard"),
    "doctor": ("doctor", "doctor"),
    "baseline": ("baseline", "baseline_app"),
    "runbook": ("runbook", "runbook_app"),
    "drill": ("drill", "drill"),
}
AS_THEY_ARE = ("guard",)  # what follows the first word is somebody else's


class LateCommands(TyperGroup):
    """The root of the commands."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS:
            self._build(cmd_name)
        else:
            self.list_commands(ctx)  # a typo: what is near it is looked for among all
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        for name in COMMANDS:
            self._build(name)
        return list(COMMANDS)

    def _build(self, name: str) -> None:
        if name in self.commands:
            return
        module, attribute = COMMANDS[name]
        found = getattr(import_module(f"atftctl.cli.commands.{module}"), attribute)
        if isinstance(found, typer.Typer):
            self.commands[name] = get_group(found)
            return
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        settings = {"allow_interspersed_args": False} if name in AS_THEY_ARE else {}
        alone.command(name, context_settings=settings)(found)
        self.commands[name] = get_command(alone)
