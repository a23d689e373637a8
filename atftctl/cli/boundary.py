"""The one error boundary: every end of a command becomes words, or one JSON envelope, and an exit code."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from atftctl.cli import show
from atftctl.domain.errors import AtftError
from atftctl.domain.result import Result
from atftctl.host.errors import HostError
from atftctl.protocol import Exit

ENVELOPE_VERSION = 1
WITH_CONTACTS = (Exit.CHECK_FAILED, Exit.RESTORED, Exit.STOPPED)
_contacts: tuple[str, ...] = ()


def know_contacts(contacts: tuple[str, ...]) -> None:
    """The runbook's contacts, told as soon as it is read, so that an error can show them."""
    global _contacts  # noqa: PLW0603 - one command a process
    _contacts = contacts


def run(command: str, verb: Callable[[], Result], *, as_json: bool, render: Callable[[Result], None] = show.result) -> NoReturn:
    """Run a verb to its end and leave with its exit code."""
    try:
        result = verb()
    except AtftError as error:
        _fail(command, error.exit_code, error.what, error.stands, error.then, as_json)
    except KeyboardInterrupt:
        _fail(command, Exit.INTERRUPTED, "interrupted", "nothing has changed by this command", "", as_json)
    except HostError as error:
        _fail(command, Exit.REFUSED, str(error), "nothing has changed", "", as_json)
    except BrokenPipeError:
        os._exit(0)
    except OSError as error:
        words = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        _fail(command, Exit.REFUSED, words, "nothing has changed", "atftctl status shows where things stand", as_json)
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception:  # noqa: BLE001 - a bug of ours: say so, keep the traceback
        _bug(command, as_json)
    if as_json:
        _print_json(envelope(command, result.exit_code, show.data(result), error=None))
    else:
        render(result)
    _leave(result.exit_code)


def envelope(command: str, exit_code: Exit, data: dict[str, Any], error: dict[str, Any] | None) -> dict[str, Any]:
    """The stable envelope; docs/json.md is its page."""
    return {
        "version": ENVELOPE_VERSION,
        "command": command,
        "exit_code": int(exit_code),
        "outcome": exit_code.name.lower(),
        "data": data,
        "error": error,
    }


def _fail(command: str, exit_code: Exit, what: str, stands: str, then: str, as_json: bool) -> NoReturn:
    contacts = _contacts if exit_code in WITH_CONTACTS else ()
    if as_json:
        error = {"what": what, "stands": stands, "then": then, "contacts": list(contacts)}
        _print_json(envelope(command, exit_code, {}, error))
    else:
        show.error(what, stands, then, contacts)
    _leave(exit_code)


def _bug(command: str, as_json: bool) -> NoReturn:
    import traceback

    handle, path = tempfile.mkstemp(prefix="atftctl-bug-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{sys.argv}\n{traceback.format_exc()}")
    last = traceback.format_exc().strip().splitlines()[-1]
    _fail(
        command, Exit.STOPPED, f"a fault of atftctl itself: {last}",
        "an operation may be open: atftctl status", f"please report it with {path}", as_json,
    )  # fmt: skip


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def _leave(exit_code: Exit) -> NoReturn:
    sys.stdout.flush()
    raise typer.Exit(int(exit_code))
