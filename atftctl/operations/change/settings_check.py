"""Can the trainer train with these settings? It is asked before anything is stopped, by `trainer.validate` of the
runbook: a program that reads the configs and prints a JSON object with `valid` and `problems`.

Its explicit "invalid" refuses a change that somebody chose; a rollback is only warned, and the ways back that restore
what once stood never ask. A check that crashes, hangs or is missing is a warning too.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.text import value_text
from atftctl.host.errors import HostError, reason
from atftctl.host.files.reading import read_bytes
from atftctl.host.process.command import run
from atftctl.host.yaml_text.read import MAX_BYTES
from atftctl.observe.trainer_run import probes
from atftctl.operations.change.preview import Content, Rendered
from atftctl.operations.project import Project
from atftctl.state import history

LIMIT_S = 2.0
KEY = re.compile(r"([\w.-]+):")
REFUSES = ("config set", "reenable")
WARNS = ("rollback",)


def ask(project: Project, plan: Plan, rendered: Rendered) -> tuple[str, ...]:
    """What is to be noted in a plan that changes configs. Raises Refused where the trainer says that the new settings
    are invalid and the change is one that somebody chose."""
    configs = project.runbook.files.configs
    if plan.command not in (*REFUSES, *WARNS) or not any(target.path in configs for target in plan.targets):
        return ()
    problem, warning = _answer(project, rendered.contents)
    if problem and plan.command in REFUSES:
        raise Refused(
            f"the trainer can't train with these settings: {problem}",
            hint="choose another value; atftctl config get shows the present ones",
        )
    if problem:
        return (f"the trainer says that these settings are invalid: {problem}",)
    return (warning,) if warning else ()


def require(project: Project) -> str:
    """For a start with the configs as they stand: a warning, or "". Raises Refused where the trainer says that they are
    invalid."""
    problem, warning = _answer(project, {})
    if problem:
        raise Refused(
            f"the trainer can't train with the settings as they stand: {problem}",
            hint=way_out(project, problem),
        )
    return warning


def way_out(project: Project, problem: str) -> str:
    """A command against what the trainer says of the present settings: the baseline's value, where the sentence begins
    with a key that the runbook knows; else the undo of what was done last."""

    key = KEY.match(problem)
    for feature in project.runbook.features.values():
        if key and feature.key == key[1]:
            return f"atftctl config set {feature.key}={value_text(feature.baseline)}"
    changed = [entry for entry in history.read(project.layout) if entry.get("files")]
    if changed:
        return f"atftctl undo {changed[-1]['operation']}"
    return f"atftctl config get {key[1]}" if key else "atftctl config get"


def problem_now(project: Project) -> str:
    """What the trainer says against the configs as they stand; "" where it says nothing."""
    return _answer(project, {})[0]


def _answer(project: Project, contents: Mapping[str, Content]) -> tuple[str, str]:
    """(what the trainer says against the settings, why it could not be asked); "" and "" where all is well."""
    words = project.runbook.trainer.validate
    if not words:
        return "", ""
    layout = project.layout
    try:
        with probes.scratch(layout) as folder:
            options = []
            for number, name in enumerate(project.runbook.files.configs):
                content = contents.get(name, layout.place(name))
                data = content if isinstance(content, bytes) else read_bytes(content, MAX_BYTES + 1)
                options += ["--config", folder.put(f"config-{number}{Path(name).suffix}", data)]
            argv = [*(word.replace("{python}", sys.executable) for word in words), *options]
            done = run(argv, cwd=layout.root, env=probes.environment(layout.root), limit_s=LIMIT_S)
    except (OSError, HostError) as error:
        return "", f"the settings were not checked: {reason(error)}"
    return _read(done.code, done.output, str(folder.folder) + os.sep)


def _read(code: int | None, output: str, folder: str) -> tuple[str, str]:
    for line in reversed(output.splitlines()):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and isinstance(found.get("valid"), bool):
            problems = found.get("problems")
            told = [str(one).replace(folder, "") for one in problems] if isinstance(problems, list) else []
            return ("" if found["valid"] else "; ".join(told) or "it does not say why"), ""
    last = ([line for line in output.splitlines() if line.strip()] or [f"exit {code}"])[-1]
    return "", f"the settings were not checked: trainer.validate gave no answer ({last[:200]})"
