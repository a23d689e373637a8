"""The state that this process inherited, put in order before anything else: signals, descriptors, folder, umask, time
zone. Called once, first of all; imports the standard library and `protocol`.

What a shell, a cron job or a container left behind must not change what a rescue does: an ignored SIGCHLD hides the
failures of git, a blocked SIGTERM would be the trainer's too, and with stdout closed the next file that is opened
becomes standard output.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from atftctl.protocol import RUN_ID

DAY_S = 86_400
OWNER_S_OWN = 0o077  # of a umask: what others are denied may be denied, what the owner needs may not


def settle() -> None:
    """Put everything in order. Raises nothing."""
    _descriptors()
    _signals()
    os.umask(os.umask(0) & OWNER_S_OWN)
    _time_zone()
    _folder()
    _Inherited.mark = os.environ.pop(RUN_ID, "")  # the operator's shell may carry a run's mark; our children must not


def _descriptors() -> None:
    """Standard input, output and error are there, if only as /dev/null."""
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
    """Nothing is blocked; the ends of children are told. SIGINT and SIGHUP stay ignored where the caller wants that
    (a job in the background, nohup)."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGALRM, signal.SIGCONT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def clean_child() -> None:
    """In a child, between fork and exec: every signal does what it does by default, and none is blocked."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _time_zone() -> None:
    """Python knows no zone that is a day or more from UTC, and raises whenever it is asked for the time there."""
    if abs(time.localtime().tm_gmtoff or 0) >= DAY_S:
        os.environ["TZ"] = "UTC"
        time.tzset()


def _folder() -> None:
    """A working folder that is gone is replaced by one that is there; `lost_folder` says so."""
    try:
        os.getcwd()
    except OSError:
        _Inherited.lost = os.environ.get("PWD") or "the working folder"
        os.chdir("/")


class _Inherited:
    """What is still to be known of it later."""

    lost = ""
    mark = ""


def lost_folder() -> str:
    """The name of the working folder, where it was gone when we were started; else ""."""
    return _Inherited.lost


def inherited_mark() -> str:
    """The run whose mark our own environment carried, for a command that takes our place; else ""."""
    return _Inherited.mark
