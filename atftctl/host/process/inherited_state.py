"""Reset the state that this process inherited: signals, descriptors, working folder, umask, time zone. This is called
first of all; it imports the standard library and `protocol` only.

What a shell, a cron job or a container has set must not change what a rescue does: an ignored SIGCHLD hides failures of
git, a blocked SIGTERM would be blocked in the trainer too, and where stdout is closed the next file that is opened
becomes standard output.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from atftctl.protocol import GENERATION, RUN_ID

DAY_S = 86_400
OTHERS_BITS = 0o077  # the bits of an inherited umask that stay: it may deny rights to others, not to the owner


def settle() -> None:
    """Reset everything. Raises nothing."""
    _descriptors()
    _signals()
    os.umask(os.umask(0) & OTHERS_BITS)
    _time_zone()
    _folder()
    _Inherited.mark = os.environ.pop(RUN_ID, "")  # a shell may have a run's marker in it; our children must not
    _Inherited.generation = os.environ.pop(GENERATION, "")


def _descriptors() -> None:
    """Open standard input, output and error as /dev/null where they are closed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            handle = os.open(os.devnull, os.O_RDWR)  # the lowest free number
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))


def _signals() -> None:
    """Unblock all signals, and reset those that must not be ignored. SIGINT and SIGHUP stay ignored where the caller
    wants that (a background job, nohup)."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGALRM, signal.SIGCONT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def clean_child() -> None:
    """Reset every signal to its default and unblock it; for a child between fork and exec."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _time_zone() -> None:
    """Replace a time zone that is a day or more from UTC by UTC: Python raises an error for the time in it."""
    if abs(time.localtime().tm_gmtoff or 0) >= DAY_S:
        os.environ["TZ"] = "UTC"
        time.tzset()


def _folder() -> None:
    """Change to "/" where the working folder no longer exists; `lost_folder` then returns its name."""
    try:
        os.getcwd()
    except OSError:
        _Inherited.lost = os.environ.get("PWD") or "?"
        os.chdir("/")


class _Inherited:
    """The parts of the inherited state that are needed later."""

    lost = ""
    mark = ""
    generation = ""


def lost_folder() -> str:
    """The path of the working folder where it did not exist any more at the start ("?" where its name is not known);
    else ""."""
    return _Inherited.lost


def inherited_mark() -> str:
    """The run whose marker was in our own environment, for a command that replaces this process; else ""."""
    return _Inherited.mark


def inherited_generation() -> str:
    """The text of the generation that was in our own environment, for the same purpose; else ""."""
    return _Inherited.generation
