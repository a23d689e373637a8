"""One run of a trainer in a scratch copy: start it, look at it, and end it in one of several ways."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.apply import trainer_process
from atftctl.domain.conformance import Ended, RunSeen
from atftctl.domain.engines import LOCAL
from atftctl.domain.errors import Refused
from atftctl.domain.process_record import ProcessRecord
from atftctl.host.files.logs import tail
from atftctl.host.files.matching import is_pattern
from atftctl.host.process import rights
from atftctl.host.process import stop as control
from atftctl.host.process import table as procs
from atftctl.observe.checkpoints.patterns import matches
from atftctl.observe.configs import digest, read_configs
from atftctl.observe.metrics.source import rows_of_run
from atftctl.observe.trainer_run import event_log
from atftctl.operations.project import Project, now
from atftctl.protocol.messages import tr
from atftctl.state import process_record
from atftctl.state.engines.choice import engine_of

POLL_S = 0.02
KILLED = (os.CLD_KILLED, os.CLD_DUMPED)
Files = Mapping[str, tuple[int, int, int]]


class Trial:
    """One run. `whole_losses`: column of the loss, "" for none."""

    def __init__(self, project: Project, resume: str) -> None:
        """Start the trainer. Raises Refused where the runbook names no command; OSError, HostError."""
        self.project, self.root = project, project.layout.root
        launch = project.launch(resume)
        if launch is None:
            raise Refused(tr("the runbook names no command that starts the trainer"))
        launch = replace(
            launch, engine=LOCAL, placement=None
        )  # the trainer itself is tried, in a copy, on this machine
        settings = digest(read_configs(self.root, project.runbook.files))
        self.record: ProcessRecord = trainer_process.start(project.layout, launch, digest=settings, now=now())
        self.who = procs.Identity(self.record.pid, self.record.ticks, self.record.boot)
        self.status: int | None = None

    def alive(self) -> bool:
        """Is the trainer, or a process that it left behind, running? Notes the exit code of the trainer itself."""
        if self.status is None:
            with suppress(ChildProcessError):
                ended = os.waitid(os.P_PID, self.who.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:  # also where its first thread has ended, and others have not
                    return True
                self.status = -ended.si_status if ended.si_code in KILLED else ended.si_status
        return procs.alive(self.who) or bool(engine_of(self.record).members(self.project.layout, self.record))

    def events(self) -> list[dict[str, Any]]:
        record = self.record
        return list(
            event_log.events(self.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id)
        )

    def losses(self) -> tuple[tuple[str, ...], dict[int, float], int | None]:
        """(the columns of the metrics; the loss by step; the last step)"""
        column, record = self.project.runbook.metrics.loss, self.record
        wanted = (column,) if column else ()
        rows = rows_of_run(self.project.layout, wanted, record.metrics_since, generation=record.generation)
        losses = {row.step: row.values[column] for row in rows.rows if column in row.values}
        return rows.columns if rows.rows else (), losses, max((row.step for row in rows.rows), default=None)

    def beat(self) -> Mapping[str, Any]:
        return event_log.heartbeat(self.root, self.record.run_id)

    def step(self) -> int | None:
        """The last step that it told of; None where it tells of none."""
        steps = [event["step"] for event in self.events() if type(event.get("step")) is int]
        last = self.losses()[2]
        beat = self.beat().get("step")
        told = [step for step in (*steps, last, beat) if type(step) is int]
        return max(told, default=None)

    def wait(self, condition: Callable[[], object], limit_s: float, poll_s: float = POLL_S) -> bool:
        """Wait until the condition holds; False where the trainer ended before that, or the time is over."""
        deadline = time.monotonic() + limit_s
        while True:
            living = self.alive()
            if condition():
                return True
            if not living or time.monotonic() > deadline:
                return False
            time.sleep(poll_s)

    def seen(self, ended: Ended | None = None) -> RunSeen:
        """What is known of the run by now."""
        events, (columns, losses, last) = self.events(), self.losses()
        first = next((event for event in events if event["event"] == protocol.FIRST_STEP), {})
        output = [
            line for line in tail(self.root, self.record.output, 5, since=self.record.output_from) if line.strip()
        ]
        return RunSeen(
            began="event" if first else "metrics" if columns else "",
            alive=ended is None and self.alive(),
            events=frozenset(event["event"] for event in events),
            first_step=first,
            effective=any(isinstance(event.get("effective"), dict) for event in events),
            columns=columns,
            losses=losses,
            beat=self.beat(),
            last_step=last,
            output=output[-1][:200] if output else "",
            ended=ended,
        )

    def ask_to_stop(self, grace_s: float, before: Files | None = None) -> Ended:
        """Send SIGTERM; kill what is left after `grace_s` seconds. `before`: the checkpoints to compare with; None for
        those of now."""
        section = str(self.beat().get("section", ""))
        before = self.checkpoints() if before is None else before
        with suppress(ProcessLookupError):
            os.kill(self.who.pid, signal.SIGTERM)
        return self.await_end(before, grace_s, section)

    def await_end(self, before: Files, limit_s: float, section: str = "") -> Ended:
        """Wait for it to end, and kill it where it does not. `before`: the checkpoints when it was asked."""
        begun = time.monotonic()
        ended = self.wait(lambda: not self.alive(), limit_s)
        seconds = time.monotonic() - begun
        self.kill()
        files = self.checkpoints()
        saved = tuple(sorted(name for name, facts in files.items() if before.get(name) != facts))
        last = [event["step"] for event in self.events() if event["event"] == protocol.STOPPED]
        step = last[-1] if last and type(last[-1]) is int else None
        return Ended(self.status if ended else None, seconds, saved, section, step)

    def kill(self) -> None:
        """Kill every process of the run."""
        self.alive()
        control.stop(
            self.who, process_record.marker(self.record), grace_s=0, signalled=False, uid=rights.uid_of(self.root)
        )

    def kill_while_saving(self, limit_s: float) -> bool:
        """Ask it to stop, and kill it as soon as a file beside a checkpoint changes; was it still saving then?"""
        folders, before = self._folders(), self.checkpoints()
        listed = _listing(folders)
        with suppress(ProcessLookupError):
            os.kill(self.who.pid, signal.SIGTERM)
        self.wait(lambda: _listing(folders) != listed, limit_s, poll_s=0.0002)
        with suppress(ProcessLookupError):
            os.kill(self.who.pid, signal.SIGKILL)
        self.wait(lambda: not self.alive(), limit_s)
        self.kill()
        ended = any(event["event"] == protocol.STOPPED for event in self.events()) or self.status != -signal.SIGKILL
        return not ended and (_listing(folders) != listed or self.checkpoints() != before)

    def checkpoints(self) -> Files:
        """The checkpoints as they are: inode, size and time of change, by name."""
        book = self.project.runbook
        facts: dict[str, tuple[int, int, int]] = {}
        for path in (*(self.root / name for name in self._names()), *_files_in(self.root / book.checkpoints.history)):
            with suppress(OSError):
                for file in _files_in(path) if path.is_dir() else [path]:
                    stat = file.stat()
                    facts[str(file.relative_to(self.root))] = stat.st_ino, stat.st_size, stat.st_mtime_ns
        return facts

    def _names(self) -> set[str]:
        """The files and folders that the runbook names as checkpoints, and those that match its patterns."""
        book, layout = self.project.runbook, self.project.layout
        named = (*book.files.models, book.checkpoints.last, book.checkpoints.best, protocol.LAST, protocol.BEST)
        return {path for name in named for path in (matches(layout, name) if is_pattern(self.root, name) else (name,))}

    def _folders(self) -> list[Path]:
        """The folders in which files change while it saves."""
        book = self.project.runbook
        own = self.root / protocol.STAGING / str(self.record.generation)
        named = (*book.files.models, book.checkpoints.last, protocol.LAST)
        folders = {(self.root / name).parent for name in (*named, *self._names())}
        return [*folders, *(self.root / name for name in self._names() if (self.root / name).is_dir()), own]


def _files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []


def _listing(folders: list[Path]) -> list[tuple[str, int, int]]:
    """The files of these folders, with inode and size."""
    entries = []
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as listed:
            for entry in listed:
                with suppress(OSError):
                    stat = entry.stat(follow_symlinks=False)
                    entries.append((entry.path, stat.st_ino, stat.st_size))
    return sorted(entries)
