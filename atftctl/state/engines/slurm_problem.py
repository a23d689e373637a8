"""What keeps a trainer from being submitted here: no Slurm, none that answers, no such partition or account."""

from __future__ import annotations

from pathlib import Path

from atftctl.domain.slurm_rules import SlurmRules, megabytes
from atftctl.domain.text import nearest
from atftctl.host.slurm import cluster
from atftctl.host.slurm.command import Deadline, run
from atftctl.host.slurm.errors import SlurmError, quoted
from atftctl.protocol.messages import tr
from atftctl.state.engines.engine import Problem
from atftctl.state.engines.slurm_view import LIMIT_S, failed, paused


def problem(root: Path, rules: SlurmRules) -> Problem | None:
    """The first problem; None where there is none. Asks Slurm, and submits nothing."""
    deadline = Deadline(LIMIT_S)
    try:
        if not cluster.is_installed(root):
            text = tr("the commands of Slurm (sbatch, squeue, scancel, scontrol) are not installed here")
            return Problem(text, tr("run atftctl on a machine from which jobs are submitted"))
        if why := paused():
            return Problem(why, tr("try: scontrol ping"))
        if not cluster.ping(root, limit_s=deadline.left_s):
            return Problem(tr("Slurm's controller does not answer"), tr("try: scontrol ping"))
        return _partition(root, rules, deadline) or _trial(root, rules, deadline)
    except SlurmError as error:
        return Problem(failed(error), tr("try: scontrol ping"))


def _partition(root: Path, rules: SlurmRules, deadline: Deadline) -> Problem | None:
    known = cluster.partitions(root, limit_s=deadline.left_s)
    names = [partition.name for partition in known]
    if not rules.partition:
        return None
    if rules.partition not in names:
        text = tr("there is no partition {name!r} (there are: {names})", name=rules.partition, names=", ".join(names))
        return Problem(text, nearest(rules.partition, names), certain=True)
    if not next(partition for partition in known if partition.name == rules.partition).up:
        return Problem(tr("the partition {name!r} is not up: jobs wait there", name=rules.partition))
    return None


def _trial(root: Path, rules: SlurmRules, deadline: Deadline) -> Problem | None:
    """Let Slurm check what the trainer's job would ask for."""
    values = {
        "partition": rules.partition, "account": rules.account, "nodes": str(rules.nodes),
        "ntasks-per-node": str(rules.tasks), "time": rules.time,
        "mem": f"{size}M" if (size := megabytes(rules.memory)) else "",
    }  # fmt: skip
    options = [f"--{name}={value}" for name, value in values.items() if value]
    argv = ["sbatch", "--test-only", *rules.options, *options]
    done = run(root, argv, deadline, stdin=b"#!/bin/sh\nexit 0\n")
    if not done.code:
        return None
    return Problem(tr("Slurm would refuse the trainer's job: {output}", output=quoted(done.text)), certain=True)
