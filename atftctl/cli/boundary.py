"""The one error boundary: every end of a command becomes words, or one JSON envelope, and an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

import typer

from atftctl.cli import show
from atftctl.domain.errors import AtftError, Interrupted, NeedsPerson, Refused
from atftctl.domain.result import Result
from atftctl.host.errors import HostError
from atftctl.protocol import Exit

T = TypeVar("T")
ENVELOPE_VERSION = 1
WITH_CONTACTS = (Exit.CHECK_FAILED, Exit.RESTORED, Exit.STOPPED)
_contacts: tuple[str, ...] = ()


def know_contacts(contacts: tuple[str, ...]) -> None:
    """The runbook's contacts, told as soon as it is read, so that an error can show them."""
    global _contacts  # noqa: PLW0603 - one command a process
    _contacts = contacts


def run(
    command: str, verb: Callable[[], Result], *, as_json: bool, render: Callable[[Result], None] = show.result
) -> NoReturn:
    """Run a verb to its end and leave with its exit code."""
    result = guarded(command, verb, as_json=as_json)
    with _printing():
        if as_json:
            _print_json(envelope(command, result.exit_code, show.data(result), error=None))
        else:
            render(result)
    raise typer.Exit(int(result.exit_code))


def guarded(command: str, act: Callable[[], T], *, as_json: bool) -> T:
    """What `act` returns; where it raises, the end of the command."""
    try:
        return act()
    except (typer.BadParameter, typer.Exit):
        raise
    except (AtftError, HostError, OSError, KeyboardInterrupt) as error:
        _fail(command, _expected(error), as_json)
    except Exception:  # noqa: BLE001 - a bug of ours: say so, keep the traceback
        _fail(command, _bug(), as_json)


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


def usage_as_json(app: typer.Typer) -> int:
    """Run the app; a usage error becomes the envelope. The exit code."""
    try:
        return int(app(standalone_mode=False) or 0)
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        words = " ".join(sys.argv[1:2])
        _print_json(
            envelope(
                words,
                Exit.USAGE,
                {},
                {"what": message(), "stands": "", "then": f"atftctl {words} --help", "contacts": []},
            )
        )
        return int(Exit.USAGE)


def _expected(error: BaseException) -> AtftError:
    """Every expected end in the domain's words."""
    if isinstance(error, AtftError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted", stands="nothing has changed by this command")
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return Refused(f"{error.strerror or error}{where}", then="atftctl status shows where things stand")
    return Refused(str(error))


def _bug() -> AtftError:
    import tempfile
    import traceback

    text = traceback.format_exc()
    handle, path = tempfile.mkstemp(prefix="atftctl-bug-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{sys.argv}\n{text}")
    return NeedsPerson(
        f"a fault of atftctl itself: {text.strip().splitlines()[-1]}",
        stands="an operation may be open: atftctl status",
        then=f"please report it with {path}",
    )


def _fail(command: str, error: AtftError, as_json: bool) -> NoReturn:
    contacts = _contacts if error.exit_code in WITH_CONTACTS else ()
    with _printing():
        _say_error(command, error, contacts, as_json)
    raise typer.Exit(int(error.exit_code))


def _say_error(command: str, error: AtftError, contacts: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        words = {"what": error.what, "stands": error.stands, "then": error.then, "contacts": list(contacts)}
        _print_json(envelope(command, error.exit_code, {}, words))
    else:
        show.error(error.what, error.stands, error.then, contacts)


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


@contextmanager
def _printing() -> Iterator[None]:
    """Where nobody can be told (a full disk, a closed pipe), the exit code still says what was done."""
    try:
        yield
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's last flush does not complain
