"""Ask the trainer whether it can train with new settings, before it is stopped for them.

`trainer.validate` of the runbook is a program that reads the configs and prints a JSON object with `valid` and
`problems`. Where it answers "invalid", a change that the operator chose is refused (`config set`, and a rollback with
`--with`); any other rollback only gets a note, and
operations that restore earlier files never ask. A program that crashes, hangs or is missing gives a note too.
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
from atftctl.protocol.messages import tr
from atftctl.state import history

LIMIT_S = 2.0
KEY = re.compile(r"([\w.-]+):")
REFUSED_IF_INVALID = ("config set", "reenable")
NOTED_IF_INVALID = ("rollback",)


def notes_on(project: Project, plan: Plan, rendered: Rendered) -> tuple[str, ...]:
    """Return notes for a plan that changes configs. Raises Refused where the new settings are invalid and the operator
    chose them."""
    configs = project.runbook.files.configs
    asks = plan.command in (*REFUSED_IF_INVALID, *NOTED_IF_INVALID)
    if not asks or not any(target.path in configs for target in plan.targets):
        return ()
    problem, warning = _validate(project, rendered.contents)
    if problem and (plan.command in REFUSED_IF_INVALID or plan.facts.get("with")):
        raise Refused(
            tr("the trainer can't train with these settings: {problem}", problem=problem),
            hint=tr("choose another value; show the current values: atftctl config get"),
        )
    if problem:
        return (tr("according to the trainer, these settings are invalid: {problem}", problem=problem),)
    return (warning,) if warning else ()


def require_valid(project: Project) -> str:
    """Return a warning about the current configs, or "". Raises Refused where the trainer says that they are
    invalid."""
    problem, warning = _validate(project, {})
    if problem:
        raise Refused(
            tr("the trainer can't train with the current settings: {problem}", problem=problem),
            hint=way_out(project, problem),
        )
    return warning


def way_out(project: Project, problem: str) -> str:
    """Return a command that corrects the current settings. `problem`: what the trainer says is wrong with them.

    It is the baseline's value where the problem begins with a key that the runbook knows, else the undo of the last
    operation that changed files.
    """
    key = KEY.match(problem)
    for feature in project.runbook.features.values():
        if key and feature.key == key[1]:
            return f"atftctl config set {feature.key}={value_text(feature.baseline)}"
    changed = [entry for entry in history.read(project.layout) if entry.get("files")]
    if changed:
        return f"atftctl undo {changed[-1]['operation']}"
    return f"atftctl config get {key[1]}" if key else "atftctl config get"


def problem_now(project: Project) -> str:
    """Return what the trainer says is wrong with the current configs; "" where nothing is."""
    return _validate(project, {})[0]


def _validate(project: Project, contents: Mapping[str, Content]) -> tuple[str, str]:
    """Return (what the trainer says is wrong with the settings, why it could not be asked); "" where that is nothing.

    `contents`: new contents of configs, by path; the others are read.
    """
    arguments = project.runbook.trainer.validate
    if not arguments:
        return "", ""
    layout = project.layout
    try:
        with probes.scratch(layout) as scratch:
            options = []
            for number, name in enumerate(project.runbook.files.configs):
                content = contents.get(name, layout.place(name))
                data = content if isinstance(content, bytes) else read_bytes(content, MAX_BYTES + 1)
                options += ["--config", scratch.put(f"config-{number}{Path(name).suffix}", data)]
            argv = [*(argument.replace("{python}", sys.executable) for argument in arguments), *options]
            done = run(argv, cwd=layout.root, env=probes.environment(layout.root), limit_s=LIMIT_S)
    except (OSError, HostError) as error:
        return "", tr("the settings were not checked: {reason}", reason=reason(error))
    return _answer(done.code, done.output, str(scratch.folder) + os.sep)


def _answer(code: int | None, output: str, folder: str) -> tuple[str, str]:
    """Read the last JSON object of the output. `folder`: the scratch folder, whose path is left out of problems."""
    lines = [line for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict) and isinstance(answer.get("valid"), bool):
            return ("" if answer["valid"] else _problems(answer, folder)), ""
    last = lines[-1] if lines else tr("exit code {code}", code=code)
    return "", tr("the settings were not checked: trainer.validate gave no answer ({line})", line=last[:200])


def _problems(answer: Mapping[str, object], folder: str) -> str:
    problems = answer.get("problems")
    texts = [str(problem).replace(folder, "") for problem in problems] if isinstance(problems, list) else []
    return "; ".join(texts) or tr("the trainer gives no reason")
