"""Trainers that know nothing of atftctl: small programs in the shell, which write no events, metrics or heartbeat."""

from __future__ import annotations

from tests.support.projects import RUNBOOK, Project

TRAIN = "echo loading; step=0; while true; do sleep 0.1; step=$((step+1)); echo step $step loss 0.$step; done\n"
DIES = "echo loading; echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB'; exit 1\n"


def make_silent(project: Project, script: str, ready: str, *more: str, command: str = "[bash, train.sh]") -> Project:
    """Let this script be the trainer. `ready`: of the runbook, as YAML; "" for none. `more`: further lines of the
    section `trainer`."""
    project.write("train.sh", script)
    lines = [f"  command: {command}", *([f"  ready: {ready}"] if ready else []), *(f"  {line}" for line in more)]
    text = project.read(RUNBOOK).decode().splitlines()
    at = next(number for number, line in enumerate(text) if line.startswith("  command:"))
    text[at : at + 1] = lines
    project.write(RUNBOOK, "\n".join(text) + "\n")
    return project
