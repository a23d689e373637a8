"""The one error boundary: a command ends as text or as one JSON envelope, and with an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn, TypeVar

import typer

from atftctl.cli.render import result as render_result
from atftctl.cli.render.console import emit, emit_json
from atftctl.cli.render.translation import use_language
from atftctl.cli.session import Session
from atftctl.domain.errors import AtftError, Interrupted, InterventionNeeded, Refused, UsageError
from atftctl.domain.result import Result
from atftctl.host import footprint
from atftctl.host.errors import HostError, UntrustedError, reason, reason_and_place
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

T = TypeVar("T")
ENVELOPE_VERSION = 1
WITH_CONTACTS = (Exit.CHECK_FAILED, Exit.RESTORED, Exit.STOPPED)
_reported_as = ""  # the command that people called, where it runs another one


def report_as(command: str) -> None:
    """Report every end from now on as the end of this command."""
    global _reported_as  # noqa: PLW0603 - one command a process
    _reported_as = command


def run(session: Session, act: Callable[[], Result]) -> NoReturn:
    """Run a command to its end and leave with its exit code."""

    def act_and_close() -> Result:
        try:
            result = act()
            session.end()
        finally:
            session.close()
        return result

    result = guarded(session, act_and_close)
    guarded(session, lambda: _show(session, result))
    session.tell_people()
    raise typer.Exit(int(result.exit_code))


def _show(session: Session, result: Result) -> None:
    with _printing():
        if session.json:
            command = _reported_as or session.command
            emit_json(envelope(command, result.exit_code, render_result.data(result), error=None))
        else:
            (session.render or render_result.plain)(result)


def guarded(session: Session, act: Callable[[], T]) -> T:
    """What `act` returns; where it raises, the end of the command."""
    try:
        return act()
    except (typer.BadParameter, typer.Exit):
        raise
    except (AtftError, HostError, OSError, KeyboardInterrupt) as error:
        _fail(session, _expected(error))
    except Exception:  # noqa: BLE001 - a bug of ours: say so, keep the traceback
        _fail(session, _bug())


def envelope(
    command: str, exit_code: Exit, data: Mapping[str, object], error: Mapping[str, object] | None
) -> dict[str, object]:
    """The stable envelope; docs/json.md is its page."""
    return {
        "version": ENVELOPE_VERSION,
        "command": command,
        "exit_code": int(exit_code),
        "outcome": exit_code.name.lower(),
        "data": data,
        "error": error,
    }


def usage(error: Exception, arguments: Sequence[str]) -> int:
    """The end of a command line that could not be parsed; the exit code. Raises what is no such error."""
    if isinstance(error, typer.Abort):
        return _aborted(error, arguments)
    message, context = getattr(error, "format_message", None), getattr(error, "ctx", None)
    if message is None:
        raise error
    command = str(getattr(context, "command_path", "atftctl"))
    if type(error).__name__ == "NoArgsIsHelpError":  # no arguments: show the help page
        with _printing():
            for line in message().splitlines():
                emit(line)
        return int(Exit.USAGE if arguments else Exit.DONE)
    use_language(_language_of(arguments))
    with _printing():
        refusal = UsageError(message(), hint=tr("{command} --help", command=command))
        _show_error(" ".join(arguments[:1]), refusal, (), as_json="--json" in arguments)
    return int(Exit.USAGE)


def _aborted(error: typer.Abort, arguments: Sequence[str]) -> int:
    """The end of a command whose parser was interrupted, or met the end of a file that it did not expect."""
    if error.__cause__ is None or isinstance(error.__cause__, KeyboardInterrupt):
        failure = _expected(KeyboardInterrupt())
    else:
        try:
            raise error.__cause__
        except Exception:  # noqa: BLE001 - whatever it is
            failure = _bug()
    use_language(_language_of(arguments))
    with _printing():
        _show_error(" ".join(arguments[:1]), failure, (), as_json="--json" in arguments)
    return int(failure.exit_code)


def _language_of(arguments: Sequence[str]) -> str:
    """The language of a command line that could not be parsed."""
    from atftctl.cli.options import language

    with suppress(typer.BadParameter):
        return language(arguments[arguments.index("--lang") + 1] if "--lang" in arguments[:-1] else "")
    return "en"


def _expected(error: BaseException) -> AtftError:
    """Every expected error as one of the domain."""
    if isinstance(error, AtftError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(tr("interrupted"), hint="atftctl status" if footprint.so_far() else "")
    text = reason_and_place(error)
    if footprint.so_far():
        return InterventionNeeded(text, hint="atftctl status")
    if isinstance(error, UntrustedError):
        return Refused(text, hint=error.hint)
    return Refused(text, hint="atftctl status" if isinstance(error, OSError) else "")


def _bug() -> AtftError:
    import tempfile
    import traceback

    text = traceback.format_exc()
    lines: tuple[str, ...] = ()
    try:
        handle, path = tempfile.mkstemp(prefix="atftctl-bug-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{sys.argv}\n{text}")
        hint = tr("report this error, and attach {path}", path=path)
    except OSError:  # the disk is full or read-only: then the screen is the only place
        hint, lines = tr("report this error, with the lines above"), tuple(text.splitlines())
    return InterventionNeeded(
        tr("internal error in atftctl: {error}", error=text.strip().splitlines()[-1]),
        state=tr("an operation may be open; check with: atftctl status"),
        hint=hint,
        lines=lines,
    )


def _fail(session: Session, error: AtftError) -> NoReturn:
    contacts = session.contacts if error.exit_code in WITH_CONTACTS else ()
    with _printing():
        _show_error(_reported_as or session.command, error, contacts, as_json=session.json)
    session.tell_people(stopped=error.exit_code is Exit.STOPPED)
    raise typer.Exit(int(error.exit_code))


def _show_error(command: str, error: AtftError, contacts: tuple[str, ...], *, as_json: bool) -> None:
    state = error.state or footprint.state()
    if not as_json:
        render_result.error(error.message, state, error.hint, contacts, error.lines)
        return
    fields: dict[str, object] = {
        "message": error.message,
        "state": state,
        "hint": error.hint,
        "contacts": list(contacts),
    }
    if error.lines:
        fields["lines"] = list(error.lines)
    emit_json(envelope(command, error.exit_code, {}, fields))


@contextmanager
def _printing() -> Iterator[None]:
    """A full disk or a closed pipe must not change the exit code. Output that was lost on a full disk is reported; a
    pipe that its reader has closed is not."""
    try:
        yield
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's last flush does not complain
        if isinstance(error, OSError) and error.errno != errno.EPIPE:
            with suppress(OSError):
                emit(tr("warning: the output is not complete: {reason}", reason=reason(error)), stream=sys.stderr)
