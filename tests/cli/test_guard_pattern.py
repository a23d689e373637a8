"""`guard --pattern`: a program that speaks no protocol, watched by its output."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.projects import RUNBOOK, STANDIN, Project, processes_of, wait_for

LOOP = """
import os, signal, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
signal.signal(signal.SIGINT, lambda *_: print("interrupted") or stop.append(1))
for step in range(int(sys.argv[1])):
    loss = float("nan") if "nan" in sys.argv and step == 3 else 4 / (1 + step)
    print(f"iter {step}: loss {loss:.4f}, time 20ms", end="\\r" if "bar" in sys.argv else "\\n")
    time.sleep(float(os.environ.get("PAUSE", "0.01")))
    if stop:
        open("models/last.pth", "w").write(f"step {step}")
        sys.exit(0)
"""
PATTERN = r"iter (?P<step>\d+): loss (?P<loss>\S+), time (?P<ms>\d+)ms"


def program(project: Project, text: str = LOOP) -> str:
    project.write("loop.py", text)
    return str(project.root / "loop.py")


def events(project: Project) -> list[dict]:
    path = project.root / "logs/events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def names(project: Project) -> list[str]:
    return [event["event"] for event in events(project)]


def rows(project: Project) -> list[dict[str, str]]:
    return list(csv.DictReader((project.root / "logs/metrics.csv").read_text().splitlines()))


def guard(project: Project, *argv: str, pattern: str = PATTERN, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        Project.argv("guard", "--pattern", pattern, "--", *argv), cwd=project.root, env=project.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def first_step(project: Project) -> None:
    wait_for(lambda: "first_step" in names(project))


def test_output_is_passed_through_and_becomes_events_and_metrics(project: Project) -> None:
    text = "import os,sys\n" + "".join(
        f"os.write(1, b'iter {step}: loss {value}, time 20ms{end}')\n"
        for step, value, end in ((1, "2.5", "\\n"), (2, "1.25", "\\r"), (3, "nan", "\\n\\xff\\x00\\n"))
    )
    done = project.run("guard", "--pattern", PATTERN, "--", sys.executable, program(project, text + "sys.exit(7)"))
    assert done.code == 7, done
    child = guard(project, sys.executable, str(project.root / "loop.py"))
    out, err = child.communicate(timeout=60)
    assert out == b"iter 1: loss 2.5, time 20ms\niter 2: loss 1.25, time 20ms\riter 3: loss nan, time 20ms\n\xff\x00\n"
    assert err == b"" and child.returncode == 7
    assert names(project) == ["started", "first_step", "anomaly", "stopped"] * 2
    started, first, bad, stopped = events(project)[4:]
    assert started["digest"] == first["digest"] and len(first["digest"]) == 64 and first["loss"] == 2.5
    assert (bad["quantity"], bad["value"], stopped["exit_code"]) == ("loss", "nan", 7)
    assert len({event["run_id"] for event in events(project)}) == 2 and started["generation"] == 2
    assert [(row["step"], row["loss"], row["ms"], row["generation"]) for row in rows(project)[3:]] == [
        ("1", "2.5", "20", "2"), ("2", "1.25", "20", "2"), ("3", "nan", "20", "2"),
    ]  # fmt: skip


def test_under_trainer_start_it_is_the_trainer(project: Project) -> None:
    """Start, proof, status, rollback with a new proof, stop, and a request to load settings that is refused."""
    project.replace(
        RUNBOOK,
        f'command: ["{{python}}", {STANDIN}, train, --resume, "{{resume}}"]',
        "command: " + json.dumps(["{python}", "-m", "atftctl", "guard", "--pattern", PATTERN, "--", "{python}",
                                  program(project), "100000"]),
    )  # fmt: skip
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 60")
    started = project.run("trainer", "start", "--json")
    assert started.code == 0, started
    assert started.json["data"]["first_step"]["loss"] == 4
    assert project.run("guard", "--", "true").code == 125, "another one may not start"
    status = project.run("trainer", "status", "--json").json["data"]
    assert status["state"] == "running"
    reload = project.run("trainer", "reload")
    assert reload.code != 0 and "can't load settings while it runs" in reload.err, reload
    rolled = project.run("rollback", "--symptom", "oom", "--yes")
    assert rolled.code == 0 and "proof: step" in rolled.out, rolled
    stop = project.run("trainer", "stop")
    assert stop.code == 0 and "had to be killed" not in stop.out, stop
    assert project.read("models/last.pth").startswith(b"step"), "it was asked by SIGTERM, and saved"
    last = events(project)[-1]
    assert (last["event"], last["exit_code"]) == ("stopped", 10)
    assert not processes_of(project.root)


def test_signals_reach_the_program_once(project: Project) -> None:
    for number, word in ((signal.SIGTERM, b""), (signal.SIGINT, b"interrupted")):
        (project.root / "logs/events.jsonl").unlink(missing_ok=True)
        child = guard(project, sys.executable, program(project), "100000")
        first_step(project)
        child.send_signal(number)
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0 and out.count(b"interrupted") == bool(word)
        assert (events(project)[-1]["exit_code"], events(project)[-1]["event"]) == (10, "stopped")


def test_a_program_that_dies_by_a_signal_ends_guard_in_the_same_way(project: Project) -> None:
    text = "import os\nprint('iter 1: loss 1, time 1ms', flush=True)\nos.kill(os.getpid(), 9)"
    child = guard(project, sys.executable, program(project, text))
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL and "SIGKILL" in events(project)[-1]["reason"]


def test_guard_killed_takes_the_program_with_it(project: Project) -> None:
    child = guard(project, sys.executable, program(project), "100000")
    first_step(project)
    child.kill()
    child.communicate(timeout=60)
    wait_for(lambda: not processes_of(project.root))


def test_a_daemon_is_waited_for_and_stopped(project: Project) -> None:
    daemon = "import os\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n" + LOOP
    child = guard(project, sys.executable, program(project, daemon), "100000")
    first_step(project)
    assert child.poll() is None
    child.terminate()
    child.communicate(timeout=60)
    assert child.returncode == 0 and not processes_of(project.root)
    assert project.read("models/last.pth").startswith(b"step")


def test_a_pattern_that_never_matches_is_said(project: Project) -> None:
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 1")
    child = guard(project, sys.executable, program(project), "200", pattern="epoch (?P<step>[0-9]+)")
    _, err = child.communicate(timeout=60)
    assert err.count(b"has matched the pattern") == 2, "after a while, and at the end"
    assert names(project) == ["started", "warning", "warning", "stopped"] and child.returncode == 0


@pytest.mark.parametrize(
    "pattern", ["(", "x*", "(?P<generation>a)", "(?P<step>\\d+)?"], ids=["broken", "empty", "reserved", "optional"]
)
def test_patterns_that_can_not_be_used(project: Project, pattern: str) -> None:
    refused = project.run("guard", "--pattern", pattern, "--", "true")
    assert refused.code == 125 and "pattern" in refused.err, refused
    assert not (project.root / "logs").exists()


def test_matches_are_counted_without_a_group_for_the_step(project: Project) -> None:
    text = "print('evaluated: 0.5')\nfor n in range(5): print('done', n / 2)\n"
    done = project.run("guard", "--pattern", r"done (?P<value>\S+)", "--pattern", r"evaluated: (?P<quality>\S+)", "--",
                       sys.executable, program(project, text))  # fmt: skip
    assert done.code == 0, done
    assert [(row["step"], row["value"], row["quality"]) for row in rows(project)] == [
        ("0", "", "0.5"), *((str(n + 1), f"{n / 2:g}", "") for n in range(5)),
    ]  # fmt: skip
    assert events(project)[1]["step"] == 1, "an evaluation is no training step"


def test_catastrophic_patterns_and_floods_hold_nothing_up(project: Project) -> None:
    """A pattern that takes years on a line, lines without end, and bytes that are no text."""
    text = (
        "import os,sys\nout = sys.stdout.buffer\n"
        "for n in range(20): out.write(b'a' * 60 + b'!\\n')\n"
        "out.write(b'x' * 30_000_000); out.write(os.urandom(1_000_000)); out.write(b'\\naaa\\n'); out.flush()\n"
    )
    child = guard(project, sys.executable, program(project, text), pattern="^(a+)+$")
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0 and len(out) == 20 * 62 + 31_000_000 + 5
    assert b"takes too long" in err
    assert "first_step" in names(project), "the line after them is found"


def test_out_of_memory_is_recognised_in_the_output(project: Project) -> None:
    text = "print('iter 1: loss 1, time 1ms')\nraise MemoryError('no memory left')"
    assert project.run("guard", "--pattern", PATTERN, "--", sys.executable, program(project, text)).code == 1
    assert names(project) == ["started", "first_step", "oom", "stopped"]
    assert "MemoryError" in events(project)[2]["message"]


def test_a_newer_trainer_ends_the_program_before_it_saves(project: Project) -> None:
    child = guard(project, sys.executable, program(project), "100000")
    first_step(project)
    before = project.read("models/last.pth")
    counter = project.root / ".atftctl/generation"
    counter.write_text(str(int(counter.read_text()) + 1))
    child.communicate(timeout=60)
    assert child.returncode == 17 and project.read("models/last.pth") == before
    assert names(project)[-2:] == ["fenced", "stopped"] and not processes_of(project.root)


def test_a_reader_that_leaves_and_a_full_disk(project: Project) -> None:
    """Where nobody reads the output the program is told so, as without guard; on a full disk it goes on."""
    argv = Project.argv("guard", "--pattern", PATTERN, "--", sys.executable, program(project), "100000")
    child = subprocess.Popen(argv, cwd=project.root, env=project.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout and child.stdout.readline().startswith(b"iter 0")
    child.stdout.close()
    assert child.wait(60) == 1, "BrokenPipeError of the program"
    with Path("/dev/full").open("wb") as full:
        argv[-1] = "5"
        lost = subprocess.run(argv, cwd=project.root, env=project.env, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert lost.returncode == 0 and b"output of the program is lost" in lost.stderr
    assert events(project)[-1]["step"] == 4


def test_links_and_pipes_in_the_place_of_the_files(project: Project) -> None:
    (project.root / "logs").mkdir()
    os.mkfifo(project.root / "logs/events.jsonl")
    os.mkfifo(project.root / "logs/heartbeat.json")
    (project.root / "logs/metrics.csv").mkdir()
    begun = time.monotonic()
    done = project.run("guard", "--pattern", PATTERN, "--", sys.executable, program(project), "20")
    assert done.code == 0 and time.monotonic() - begun < 60, done
    assert "events or metrics could not be written" in done.err
