"""`atftctl watch` with plain output: processor time while a trainer writes 10 rows a second, memory over 1,000,000
rows, and how soon it sees that the trainer was killed.

Ends with one line of JSON; exit 1 where a target is missed. The rows, the log, the events and the heartbeat are written
here, in the name of a stand-in trainer that is alive and paused.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from atftctl import protocol  # noqa: E402
from bench.metrics import COLUMNS, row  # noqa: E402
from bench.report import finish  # noqa: E402
from tests.support.projects import Project, make_project, processes_of, wait_for  # noqa: E402

SECONDS, RATE = int(os.environ.get("WATCH_SECONDS", "90")), 10
ROWS, FIRST = int(os.environ.get("WATCH_ROWS", "1000000")), 100_000
EVALUATE_EVERY, SAVE_EVERY = 100, 200  # rows
LINE = "{now:%Y-%m-%d %H:%M:%S} INFO step {step} epoch 0 loss 0.9931 grad norm 1.21 memory 251 MB, 0.10 s\n"
TICKS = os.sysconf("SC_CLK_TCK")


class Trainer:
    """Writes what a healthy trainer of the recorded run would write."""

    def __init__(self, project: Project) -> None:
        record = project.record()
        self.root, self.run_id, self.generation = project.root, record["run_id"], record["generation"]
        self.step, self._random = 0, random.Random(1)
        (self.root / protocol.METRICS).write_text(f"{COLUMNS},generation\n")

    def steps(self, count: int) -> None:
        """Do so many steps."""
        lines, log = [], []
        for _ in range(count):
            self.step += 1
            lines.append(row(self.step, self.generation))
            log.append(LINE.format(now=datetime.now().astimezone(), step=self.step))
        with (self.root / protocol.METRICS).open("a") as file:
            file.writelines(lines)
        with (self.root / protocol.LOG).open("a") as file:
            file.writelines(log[-50:])
        section = "evaluate" if self.step % EVALUATE_EVERY < 5 else "step"
        beat = {"t": time.time(), "run_id": self.run_id, "section": section, "step": self.step, "limit_s": 60.0}
        (self.root / protocol.HEARTBEAT).write_text(json.dumps(beat).ljust(256))
        if self.step % SAVE_EVERY == 0:
            self.event(protocol.CHECKPOINT, path=protocol.LAST, sha256="0" * 64)
        if self.step % EVALUATE_EVERY == 0:
            self.event(protocol.EVALUATED, rankic_h1=0.05, dates=60)

    def event(self, name: str, **fields: object) -> None:
        """Write an event."""
        line = protocol.event_line(
            name, t=time.time(), pid=1, run_id=self.run_id, step=self.step, generation=self.generation, **fields
        )
        with (self.root / protocol.EVENTS).open("ab") as file:
            file.write(line)


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


def beat(project: Project) -> int:
    """The step of the watcher's last heartbeat."""
    try:
        return int(json.loads(project.read(".atftctl/watch.heartbeat.json"))["step"])
    except (OSError, ValueError):
        return 0


def end_seen_s(watcher: subprocess.Popen[str], pid: int) -> float:
    """Seconds from the kill of the trainer to the watcher's line about its end."""
    os.kill(pid, signal.SIGKILL)
    begun = time.monotonic()
    assert watcher.stdout
    for line in watcher.stdout:
        print(line, end="", file=sys.stderr)
        if "trainer died" in line:
            return time.monotonic() - begun
    raise RuntimeError("the watcher ended without a line about the trainer's end")


def main() -> None:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name) / "project", Path(name) / "violations")
        project.start_trainer()
        wait_for(lambda: (project.root / protocol.METRICS).exists())
        pid = project.record()["pid"]
        os.kill(pid, signal.SIGSTOP)
        trainer = Trainer(project)
        trainer.steps(100)
        watcher = subprocess.Popen(
            project.argv("watch", "--plain"), cwd=project.root, env=project.env, stdout=subprocess.PIPE, text=True
        )
        wait_for(lambda: beat(project) >= 100)
        time.sleep(2)
        begun, before = time.monotonic(), cpu_s(watcher.pid)
        while (elapsed := time.monotonic() - begun) < SECONDS:
            trainer.steps(1)
            time.sleep(max(0.0, 1 / RATE - (time.monotonic() - begun - elapsed)))
        figures["percent_of_a_core"] = 100 * (cpu_s(watcher.pid) - before) / (time.monotonic() - begun)
        while trainer.step < ROWS:
            trainer.steps(10_000)
            wait_for(lambda: beat(project) >= trainer.step)
            if FIRST <= trainer.step < FIRST + 10_000:
                figures["mb_at_100k"] = memory_mb(watcher.pid)
        figures["mb_at_end"] = memory_mb(watcher.pid)
        figures["growth_mb"] = figures["mb_at_end"] - figures.get("mb_at_100k", 0.0)
        figures["end_seen_s"] = end_seen_s(watcher, pid)
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=60)
        wait_for(lambda: not processes_of(project.root))
    targets = {"percent_of_a_core": ("<=", 1.0), "growth_mb": ("<=", 5.0), "end_seen_s": ("<=", 2.0)}
    finish("watch", figures, targets)


if __name__ == "__main__":
    main()
