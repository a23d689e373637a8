"""`guard --pattern`: run a program that speaks no protocol, and write its events and metrics from its output."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from atftctl import protocol
from atftctl.host.errors import reason
from atftctl.host.files.logs import real_path
from atftctl.host.process.passed_through import PassedThrough, children
from atftctl.observe.configs import digest, read_configs
from atftctl.operations.project import Project
from atftctl.operations.trainer_process.reported_end import Ending, fault_in
from atftctl.operations.trainer_process.reported_requests import requested
from atftctl.protocol import generations
from atftctl.protocol.messages import tr
from atftctl.protocol.output_lines import Found, LineSearch, columns_of
from atftctl.protocol.shared_files import SharedFiles

START_LIMIT_S, STEP_FLOOR_S, STEP_FACTOR = 1800.0, 300.0, 10.0  # of the heartbeat; times the longest gap so far
BEAT_S = 0.5
LOOK_S = 1.0  # between two looks at requests and at the newest generation
WARN_S = 60.0  # without a match; half of the time that the runbook gives the trainer, where that is shorter
LINGER_S = 10.0  # after the program ended, before it is said that others go on
FENCE_S = 10.0  # that a program which writes events has to leave for a newer trainer
TAIL = 64 << 10  # bytes of output that are kept for the cause of a crash
STEP_S = "step_s"

Say = Callable[[str], None]


def run(
    project: Project, argv: Sequence[str], patterns: Sequence[re.Pattern[bytes]], env: Mapping[str, str], say: Say
) -> int:
    """Run the program to its end, and return its status as of `waitpid`. `env`: with the generation, and the mark of
    the run where it has one. `say`: shows a message beside the output. Raises OSError where it can't be started."""
    run_id = env.get(protocol.RUN_ID) or f"{time.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(4)}"
    marked = {"PYTHONUNBUFFERED": "1", "SPT_NOENV": "1", **env, protocol.RUN_ID: run_id}
    reporting = _Reporting(project, tuple(patterns), marked, say)
    program = PassedThrough(argv, marked, reporting.output, reporting.tick, reporting.output_lost)
    reporting.program = program
    reporting.begin()
    try:
        status = program.run()
    except OSError:
        reporting.files.event(protocol.STOPPED, exit_code=int(protocol.TrainerExit.CRASHED), reason=tr("not started"))
        raise
    return reporting.end(status)


@dataclass
class _Reporting:
    """What is known of the program so far. `longest`: seconds between two matches. `bad`: quantities that are not
    finite now."""

    project: Project
    patterns: tuple[re.Pattern[bytes], ...]
    env: Mapping[str, str]
    say: Say
    program: PassedThrough | None = None
    files: SharedFiles = field(init=False)
    digest: str = ""
    count: int = 0
    longest: float = 0.0
    last: float = 0.0
    last_step: int = 0
    beat_at: float = 0.0
    looked: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    tail: bytes = b""
    bad: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)
    fenced: int = 0
    overtaken: float = 0.0
    searches: dict[int, LineSearch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        root = self.project.layout.root
        events, metrics, heartbeat = (
            real_path(root, name) for name in (protocol.EVENTS, protocol.METRICS, protocol.HEARTBEAT)
        )
        run_id, number = self.env[protocol.RUN_ID], generations.own(self.env, root)
        self.files = SharedFiles(events, metrics, heartbeat, run_id=run_id, generation=number)
        self.searches = {stream: LineSearch(self.patterns) for stream in (1, 2)}

    def begin(self) -> None:
        """Write that the program begins, with the settings that the files hold now: nobody knows what it reads."""
        root = self.project.layout.root
        self.digest = digest(read_configs(root, self.project.runbook.files))
        self.files.event(protocol.STARTED, digest=self.digest, reported_by="guard")
        self.files.expect_metrics(self.columns)
        if protocol.METRICS not in self.project.runbook.metrics.files:  # the program writes metrics in its own way
            self.files.others_metrics = True
        elif self.files.kept and columns_of(self.patterns):
            self.warn(
                tr(
                    "{path} has columns that guard did not write, and is left as it is: move it away, or name it under "
                    "metrics.files in the runbook",
                    path=protocol.METRICS,
                )
            )
        self.files.beat("start", START_LIMIT_S)

    @property
    def columns(self) -> tuple[str, ...]:
        names = columns_of(self.patterns)
        return ("step", *names, *(() if STEP_S in names else (STEP_S,)))

    def output(self, stream: int, block: bytes) -> None:
        """A block of output."""
        self.tail = (self.tail + block)[-TAIL:] if len(block) < TAIL else block[-TAIL:]
        search = self.searches[stream]
        found, begun = search.feed(block), time.monotonic()
        self.take(found)
        search.spent(time.monotonic() - begun)

    def take(self, found: Sequence[Found]) -> None:
        """What the patterns found in it, in order."""
        rows = [self._row(entry) for entry in found]
        if not rows:
            return
        self.files.rows(rows)
        for row in rows:
            self._report_bad(row)
        now = time.monotonic()
        if now - self.beat_at > BEAT_S:
            self.beat_at = now
            self.files.beat("step", max(STEP_FLOOR_S, STEP_FACTOR * self.longest))

    def _row(self, found: Found) -> dict[str, object]:
        """The row of one match. Only the first pattern tells of steps: the others may tell of an evaluation."""
        seconds = self._step(found) if found.pattern == 0 else None
        step = self.files.step if found.step is None else found.step
        row: dict[str, object] = {"step": step, STEP_S: seconds, **found.values}
        return row

    def _step(self, found: Found) -> float | None:
        """Count a step; return the seconds that it took, where that is known."""
        self.count += 1
        now, before = time.monotonic(), self.last_step
        self.files.step = self.last_step = self.count if found.step is None else found.step
        if self.count == 1:
            self.last = now
            known = {name: value for name, value in found.values.items() if not isinstance(value, str)}
            self.files.event(protocol.FIRST_STEP, digest=self.digest, **known)
            return None
        gap, self.last = now - self.last, now
        self.longest = max(self.longest, gap)
        steps = self.last_step - before
        return gap / steps if steps > 0 else None

    def _report_bad(self, row: Mapping[str, object]) -> None:
        """An event for a figure that is not finite, once until it is finite again."""
        for name, value in row.items():
            if not isinstance(value, float) or protocol.is_number(value):
                self.bad.discard(name)
            elif name not in self.bad:
                self.bad.add(name)
                text = tr("{name} is {value} in the output", name=name, value=value)
                self.files.event(protocol.ANOMALY, quantity=name, value=str(value), message=text)

    def tick(self) -> None:
        """Look at everything that is not output: at most once a second."""
        now = time.monotonic()
        if now - self.looked < LOOK_S:
            return
        self.looked = now
        self._warn_without_match(now)
        self._look_for_others(now)
        self._leave_if_fenced()
        self.files.write_late()
        program = self.program
        self.files.look()
        if program and program.ended is None and not self.files.speaks:
            requested(self.project.layout, self.files, program)

    def _warn_without_match(self, now: float) -> None:
        limit = min(WARN_S, self.project.runbook.trainer.ready_s / 2 or WARN_S)
        if not self.count and self.tail and now - self.begun > limit:
            self.warn(
                tr(
                    "no line of the output has matched the pattern in {limit_s:g} s: no first step is known",
                    limit_s=limit,
                )
            )
        self._warn_of_losses()

    def _warn_of_losses(self) -> None:
        if any(search.slow for search in self.searches.values()):
            self.warn(tr("a pattern takes too long on some lines of the output; these lines are skipped"))
        if self.files.lost:
            self.warn(tr("events or metrics could not be written, below {folder}", folder=self.files.events.parent))

    def _look_for_others(self, now: float) -> None:
        program = self.program
        if program and program.ended is not None and now - self.last > LINGER_S and (pids := children()):
            listed = ", ".join(map(str, pids))
            self.warn(
                tr("the program has ended, and left processes behind that are waited for: pid {pids}", pids=listed)
            )

    def _leave_if_fenced(self) -> None:
        """Kill the program where a newer trainer was started: it must not save any more. One that writes events has
        some time to see that itself."""
        newer = generations.newest(self.project.layout.root)
        if self.program and 0 < self.files.generation < newer and not self.fenced:
            self.overtaken = self.overtaken or time.monotonic()
            if self.files.speaks and time.monotonic() - self.overtaken < FENCE_S:
                return
            self.fenced = newer
            self.files.event(protocol.FENCED, message=tr("a newer trainer was started"), newer=newer)
            self.program.kill()

    def output_lost(self, error: OSError) -> None:
        """Our own output can't be written."""
        self.warn(tr("output of the program is lost: {reason}", reason=reason(error)))

    def warn(self, text: str) -> None:
        """Say it once, and write it as an event."""
        if text not in self.said:
            self.said.add(text)
            self.say(text)
            self.files.event(protocol.WARNING, message=text)

    def end(self, status: int) -> int:
        """Write how the program ended; return its status."""
        for search in self.searches.values():
            self.take(search.end())
        if not self.count:
            self.warn(tr("no line of the output has matched the pattern"))
        self._warn_of_losses()
        if skipped := sum(search.skipped for search in self.searches.values()):
            self.warn(tr("{count:,} lines of the output were not searched: they came too fast", count=skipped))
        ending = Ending(status, self.program.asked if self.program else 0, self.fenced)
        fault = fault_in(self.tail, self.project.runbook.logs) if ending.crashed else None
        if fault and not (self.bad and fault.event == protocol.ANOMALY):
            self.files.event(fault.event, message=fault.line, **fault.fields)
        self.files.event(protocol.STOPPED, exit_code=ending.exit_code, reason=ending.reason)
        return status if not self.fenced else int(protocol.TrainerExit.FENCED) << 8


def environment(marks: Mapping[str, str], run_id: str) -> dict[str, str]:
    """The environment of the program: ours, with its generation, and the mark of its run where it has one."""
    return {**os.environ, **marks, **({protocol.RUN_ID: run_id} if run_id else {})}
