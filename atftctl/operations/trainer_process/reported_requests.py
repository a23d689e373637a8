"""Requests in the run folder to a program that does not read them."""

from __future__ import annotations

import signal
from contextlib import suppress

from atftctl import protocol
from atftctl.host.errors import HostError
from atftctl.host.files.durable import remove
from atftctl.host.files.logs import real_path
from atftctl.host.process.passed_through import PassedThrough
from atftctl.protocol.messages import tr
from atftctl.protocol.run_files import RunFiles
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def requested(layout: Layout, files: RunFiles, program: PassedThrough) -> None:
    """Carry out a request to stop by SIGTERM; refuse one to load settings, which the program can't do."""
    path = real_path(layout.root, protocol.REQUEST)
    if not path.exists():
        return
    request = sealed_records.try_json(path)
    if request.get("run_id") != files.run_id:
        return
    with suppress(OSError, HostError):
        remove(path)
    if request.get("want") == protocol.WANT_STOP:
        program.ask(signal.SIGTERM)
    elif request.get("want") == protocol.WANT_RELOAD:
        text = tr("the program does not speak the protocol, and can't load settings while it runs")
        files.event(protocol.RELOAD_REFUSED, request=request.get("id"), message=text)
