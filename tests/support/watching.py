"""A trainer to be watched: it is alive and paused, and its rows, events and heartbeat are written here."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from typing import Any

from atftctl import protocol
from atftctl.domain.result import Silent
from atftctl.operations.monitoring.watch_keeping import read_state
from atftctl.operations.monitoring.watch_state import Watched
from atftctl.operations.monitoring.watcher import Watcher
from atftctl.operations.project import open_project
from tests.support.projects import Project, wait_for

HEADER = "step,epoch,loss,loss_rel,grad_norm,rss_mb,generation\n"


class Trainer:
    """The stand-in of a project, started and paused. Its metrics begin anew."""

    def __init__(self, project: Project) -> None:
        self.project, self.root = project, project.root
        self.begin()

    def begin(self) -> None:
        """Start it, for the first time or again."""
        self.project.start_trainer()
        metrics = self.root / protocol.METRICS
        wait_for(lambda: f",{self.record['generation']}\n" in (metrics.read_text() if metrics.exists() else ""))
        os.kill(self.pid, signal.SIGSTOP)
        self.step = 0
        self._random = random.Random(3)
        if self.record["metrics_from"] == 0:
            self.project.write(protocol.METRICS, HEADER)
        else:
            with metrics.open("r+") as file:
                file.truncate(self.record["metrics_from"])

    @property
    def record(self) -> dict[str, Any]:
        return self.project.record()

    @property
    def pid(self) -> int:
        pid: int = self.record["pid"]
        return pid

    def rows(self, count: int, **values: object) -> None:
        """Rows of so many steps more; with these values in place of healthy ones."""
        lines = []
        for _ in range(count):
            self.step += 1
            loss = round(0.9 * (1 + self._random.gauss(0, 0.1)), 6)
            cells = {"step": self.step, "epoch": 0, "loss": loss, "loss_rel": loss, "grad_norm": 0.5, "rss_mb": 100}
            cells |= {"generation": self.record["generation"], **values}
            lines.append(",".join(str(cells[name]) for name in HEADER.strip().split(",")) + "\n")
        with (self.root / protocol.METRICS).open("a") as file:
            file.writelines(lines)

    def event(self, name: str, **fields: Any) -> None:
        """An event of this run, or, with `run_id`, of another one."""
        common = {"t": time.time(), "pid": self.pid, "run_id": self.record["run_id"], "step": self.step}
        common["generation"] = self.record["generation"]
        with (self.root / protocol.EVENTS).open("ab") as file:
            file.write(protocol.event_line(name, **{**common, **fields}))

    def beat(self, section: str, limit_s: float = 60.0, age_s: float = 0.0, **fields: Any) -> None:
        """A heartbeat."""
        beat = {"t": time.time() - age_s, "run_id": self.record["run_id"], "section": section, "step": self.step}
        self.project.write(protocol.HEARTBEAT, json.dumps({**beat, "limit_s": limit_s, **fields}))

    def kill(self) -> None:
        """SIGKILL, as the kernel does it."""
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{self.pid}/cwd"))

    def watcher(self, state: Watched | None = None, interval_s: float = 0.0) -> Watcher:
        """A watcher in this process."""
        return Watcher(open_project(self.root), Silent(), state, interval_s)

    def kept(self) -> Watched | None:
        """The state that a watcher has kept."""
        return read_state(open_project(self.root).layout)[0]
