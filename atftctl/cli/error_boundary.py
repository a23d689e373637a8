"""The one error boundary: every end of a command becomes words, or one JSON envelope, and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

import typer

from atftctl.cli.render import result as render_result
from atftctl.cli.terminal import emit, emit_json
from atftctl.domain.errors import AtftError, Interrupted, InterventionNeeded, Refused, UsageError
from atftctl.domain.result import Result
from atftctl.host import footprint
from atftctl.host.errors import HostError, UntrustedError, reason_and_place
from atftctl.protocol import Exit

T = TypeVar("T")
ENVELOPE_VERSION = 1
WITH_CONTACTS = (Exit.CHECK_FAILED, Exit.RESTORED, Exit.STOPPED)
_contacts: tuple[str, ...] = ()
_reported_as = ""  # the command that people called, where it runs another one


def report_as(command: str) -> None:
    """Whatever ends from now on is told as the end of this command."""
    global _reported_as  # noqa: PLW0603 - one command a process
    _reported_as = command


def know_contacts(contacts: tuple[str, ...]) -> None:
    """The runbook's contacts, told as soon as it is read, so that an error can show them."""
    global _contacts  # noqa: PLW0603 - one command a process
    _contacts = contacts


def run(
    command: str, verb: Callable[[], Result], *, as_json: bool, render: Callable[[Result], None] = render_result.result
) -> NoReturn:
    """Run a verb to its end and leave with its exit code."""
    result = guarded(command, verb, as_json=as_json)
    command = _reported_as or command

    def tell() -> None:
        with _printing():
            if as_json:
                emit_json(envelope(command, result.exit_code, render_result.data(result), error=None))
            else:
                render(result)

    guarded(command, tell, as_json=as_json)
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


def usage(error: Exception, words: Sequence[str]) -> int:
    """The end of a command line that could not be parsed; the exit code. Raises what is no such error."""
    if isinstance(error, typer.Abort):
        return int(Exit.INTERRUPTED)
    message, context = getattr(error, "format_message", None), getattr(error, "ctx", None)
    if message is None:
        raise error
    command = str(getattr(context, "command_path", "atftctl"))
    if type(error).__name__ == "NoArgsIsHelpError":  # asked for nothing: told what there is
        with _printing():
            for line in message().splitlines():
                emit(line)
        return int(Exit.USAGE if words else Exit.DONE)
    told = UsageError(message(), hint=f"{command} --help")
    with _printing():
        _say_error(" ".join(words[:1]), told, (), "--json" in words)
    return int(Exit.USAGE)


def _expected(error: BaseException) -> AtftError:
    """Every expected end in the domain's words."""
    if isinstance(error, AtftError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted", hint="atftctl status shows where things stand" if footprint.so_far() else "")
    words = reason_and_place(error)
    if footprint.so_far():
        return InterventionNeeded(words, hint="atftctl status shows where things stand")
    if isinstance(error, UntrustedError):
        return Refused(words, hint=error.hint)
    return Refused(words, hint="atftctl status shows where things stand" if isinstance(error, OSError) else "")


def _bug() -> AtftError:
    import tempfile
    import traceback

    text = traceback.format_exc()
    handle, path = tempfile.mkstemp(prefix="atftctl-bug-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{sys.argv}\n{text}")
    return InterventionNeeded(
        f"a fault of atftctl itself: {text.strip().splitlines()[-1]}",
        state="an operation may be open: atftctl status",
        hint=f"please report it with {path}",
    )


def _fail(command: str, error: AtftError, as_json: bool) -> NoReturn:
    command = _reported_as or command
    contacts = _contacts if error.exit_code in WITH_CONTACTS else ()
    with _printing():
        _say_error(command, error, contacts, as_json)
    raise typer.Exit(int(error.exit_code))


def _say_error(command: str, error: AtftError, contacts: tuple[str, ...], as_json: bool) -> None:
    state = error.state or footprint.state()
    if as_json:
        words: dict[str, Any] = {
            "message": error.message,
            "state": state,
            "hint": error.hint,
            "contacts": list(contacts),
        }
        if error.lines:
            words["lines"] = list(error.lines)
        emit_json(envelope(command, error.exit_code, {}, words))
    else:
        render_result.error(error.message, state, error.hint, contacts, error.lines)


@contextmanager
def _printing() -> Iterator[None]:
    """Where nobody can be told (a full disk, a closed pipe), the exit code still says what was done."""
    try:
        yield
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's last flush does not complain
