"""One look of a watcher at a scratch project, and what it decides, without the loop of `watch`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from atftctl.decide.detectors import bank
from atftctl.decide.diagnosis import judge
from atftctl.decide.diagnosis.detected import detect
from atftctl.domain.acting import Decision, Mode
from atftctl.domain.log_lines import signatures
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.result import Silent
from atftctl.domain.watching import Look
from atftctl.operations.monitoring import acting, diagnose
from atftctl.operations.project import open_project
from atftctl.operations.report.log_query import LogQuery, scope_of
from tests.support.projects import Project

CALLED = 90  # exit code of a child whose decision was to call a person


def look_at(root: Path, **changes: Any) -> Look:
    """What a watcher sees now. `changes`: fields that are to be otherwise."""
    project = open_project(root)
    scope, rules = scope_of(project, LogQuery("")), bank.rules_of(project.runbook)
    seen = diagnose.observe(project, scope, rules, Silent())
    found = detect(rules, seen.rows)
    matcher = Matcher(signatures.wanted(project.runbook.logs))
    diagnosis = judge.judge(seen, found, matcher, project.runbook.trainer.memory_limit_mb)
    process = seen.process
    look = Look(
        now=time.time(), sees=True, blind="", process=process, diagnosis=diagnosis, active=found.active,
        findings=found.findings, generation=process.generation, step=found.state.step, evaluations=0,
        config=process.digest,
    )  # fmt: skip
    return replace(look, **changes)


def consider(root: Path, mode: Mode = "auto", **changes: Any) -> Decision:
    """Look at a project and decide, in this process."""
    return acting.consider(open_project(root), look_at(root, **changes), Silent(), mode)


def decided(
    project: Project, mode: Mode = "auto", before: Callable[[], None] | None = None, **changes: Any
) -> dict[str, Any]:
    """Look and decide in a forked child, as in a process of its own; the decision as JSON. `before`: is called in the
    child first. A child that was killed decides nothing: empty."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.close(readable)
            os.environ.clear()
            os.environ.update(project.env)
            os.chdir(project.root)
            if before:
                before()
            decision = consider(project.root, mode, **changes)
            os.write(writable, json.dumps({**vars(decision), "why": str(decision.why)}, default=str).encode())
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    made: dict[str, Any] = json.loads(data) if data else {}
    return made


def memory(project: Project) -> dict[str, Any]:
    """What the watcher remembers."""
    body: dict[str, Any] = json.loads(project.read(".atftctl/acts.json"))["body"]
    return body
