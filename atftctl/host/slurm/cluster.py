"""Is there a Slurm, does it answer, and which partitions does it have?"""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

from atftctl.host.process import rights
from atftctl.host.slurm.command import LIMIT_S, Deadline, environment, run
from atftctl.host.slurm.errors import BadOutputError, failed
from atftctl.host.slurm.facts import Partition
from atftctl.protocol.messages import tr

NAME = re.compile(r"^ClusterName\s*=\s*(\S+)", re.MULTILINE)
UP = re.compile(r"^Slurmctld.* is UP$", re.MULTILINE)


def is_installed(cwd: Path) -> bool:
    """Are the commands of Slurm here?"""
    path = environment(rights.user_of(cwd)).get("PATH")
    return all(shutil.which(name, path=path) for name in ("sbatch", "squeue", "scancel", "scontrol"))


def ping(cwd: Path, *, limit_s: float = LIMIT_S) -> bool:
    """Does a controller answer? Raises SlurmMissingError and SlurmLateError."""
    done = run(cwd, ["scontrol", "ping"], Deadline(limit_s))
    if done.code == 127:
        raise failed("scontrol", done.code, done.text)
    return bool(UP.search(done.output))


def name_of(cwd: Path, *, limit_s: float = LIMIT_S) -> str:
    """The name of the cluster that this machine belongs to; "" where it is not printed. Raises SlurmError."""
    done = run(cwd, ["scontrol", "show", "config"], Deadline(limit_s))
    if done.code:
        raise failed("scontrol", done.code, done.text)
    match = NAME.search(done.output)
    return match[1] if match else ""


def partitions(cwd: Path, *, limit_s: float = LIMIT_S) -> tuple[Partition, ...]:
    """The partitions that we may see, by name. Raises SlurmError."""
    mark = secrets.token_hex(8)
    form = f" {mark} ".join(("%P", "%a", "%l", "%D"))
    done = run(cwd, ["sinfo", "--noheader", "--all", "--summarize", f"--format={form}"], Deadline(limit_s))
    if not done.code and re.search("error", done.error) and not done.output.strip():
        raise failed("sinfo", done.code, done.text)
    if done.code:
        raise failed("sinfo", done.code, done.text)
    return tuple(sorted((_partition(line.split(f" {mark} ")) for line in done.output.splitlines()), key=_name))


def _name(partition: Partition) -> str:
    return partition.name


def _partition(fields: list[str]) -> Partition:
    if len(fields) != 4 or not fields[3].strip().isdecimal():
        raise BadOutputError(tr("sinfo printed a line that can't be read"))
    name, up, max_time, nodes = fields
    return Partition(name.rstrip("*"), up == "up", name.endswith("*"), max_time, int(nodes))
