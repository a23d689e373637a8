"""The batch script of a trainer: what Slurm is asked for, its environment, and one command that replaces the shell.

The command never is a child of the shell: such a child was seen to live on after its job was cancelled. It runs under
`job_keeper.py`, and for several nodes under `srun`. What sbatch gets of our own
environment is chosen by `submit`; the job gets the variables that are exported here on top of it.
"""

from __future__ import annotations

import json
import pkgutil
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from atftctl.host.slurm.errors import SlurmError
from atftctl.protocol.messages import tr

KEEPER = "job_keeper.py"
SHELL = "#!/bin/sh"
OURS = (  # options that may not be set by an extra line: the proof of an end, or of who it is, depends on them
    "--array", "--chdir", "--comment", "--error", "--export", "--export-file", "--get-user-env", "--help", "--input",
    "--no-requeue", "--open-mode", "--output", "--parsable", "--requeue", "--signal", "--test-only", "--usage",
    "--version", "--wait", "--wrap",
)  # fmt: skip
PLAIN = re.compile(r"[\w./:=,@%+-]+", re.ASCII)
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
TIME = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}", re.ASCII)
TORCHRUN = (  # torchrun takes its options from PET_*; the first node of the job is where its processes meet
    'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
    'export PET_NNODES="$SLURM_JOB_NUM_NODES" PET_RDZV_BACKEND=c10d PET_RDZV_ID="$SLURM_JOB_ID"',
    'export PET_RDZV_ENDPOINT="$first:$((20000 + SLURM_JOB_ID % 10000))"',
)
CPUS = '[ -z "$SLURM_CPUS_PER_TASK" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"'  # not inherited since 22.05


class OnSignal(Enum):
    """What happens with the SIGTERM that Slurm sends before the time limit, and that `scancel --batch` sends.

    FORWARD: the command gets it. REQUEST: the keeper writes the file that asks the trainer to stop. STEPS: Slurm sends
    it to the processes that srun started, and the keeper ignores it: srun itself would kill them at once.
    """

    FORWARD = "forward"
    REQUEST = "request"
    STEPS = "ignore"


@dataclass(frozen=True)
class BatchSpec:
    """All that a batch script is made from. Paths are absolute.

    `mark`: a word of the comment by which the job is found. `env`: (name, value) pairs. `exits`: the file that the
    keeper writes; its folder must exist. `python`: the interpreter of the keeper on the node. `memory_mb`: of one node,
    0 for what the site gives. `time_limit`: as Slurm takes it ("90" minutes, "1-00:00:00"); "" for that of the
    partition. `signal_before_s`: how long before the time limit the trainer is asked to stop; Slurm may be up to a
    minute early. `stop_request`: path and text of the file for OnSignal.REQUEST. `extra`: more options of sbatch.
    `wanted`: by what the keeper sees that the run is still wanted (job_keeper.py); empty: it does not look.
    """

    command: tuple[str, ...]
    work_dir: str
    output: str
    exits: str
    name: str
    mark: str
    python: str
    env: tuple[tuple[str, str], ...] = ()
    partition: str = ""
    account: str = ""
    nodes: int = 1
    tasks_per_node: int = 1
    memory_mb: int = 0
    time_limit: str = ""
    signal_before_s: int = 120
    on_signal: OnSignal = OnSignal.FORWARD
    stop_request: tuple[str, str] = ("", "")
    extra: tuple[str, ...] = ()
    srun: bool = False
    wanted: Mapping[str, str | int] = field(default_factory=dict)


def script(spec: BatchSpec) -> bytes:
    """The text of the batch script. Raises SlurmError where a value can't be written into it."""
    lines = [SHELL, *(f"#SBATCH {line}" for line in _directives(spec)), *_environment(spec), *_command(spec)]
    text = "\n".join(lines) + "\n"
    if "\0" in text:
        raise SlurmError(tr("a batch script can't hold a NUL character"))
    return text.encode("utf-8", "surrogateescape")


def problem_of(option: str) -> str:
    """What is wrong with an extra option of sbatch; "" for nothing."""
    name = re.split("[= ]", option, maxsplit=1)[0]
    if not option.startswith("--") or len(name) < 3:
        return tr("{option} does not begin with --", option=repr(option))
    if not option.isprintable():
        return tr("{option} holds a character that can't be printed", option=repr(option))
    if re.search(r"\s-", option):
        return tr("{option} holds more than one option", option=repr(option))
    if any(ours.startswith(name) for ours in OURS):  # sbatch takes the beginning of a name for the name
        return tr("{option} is set by atftctl itself", option=name)
    return ""


def _directives(spec: BatchSpec) -> Iterator[str]:
    """The options of sbatch, one for each line; the last one of a name counts."""
    for option in spec.extra:
        if problem := problem_of(option):
            raise SlurmError(problem)
        yield option
    yield _option("job-name", spec.name)
    yield _option("comment", spec.mark)
    yield from (_option(key, value) for key, value in _place(spec) if value)
    yield _option("chdir", spec.work_dir)
    yield _option("output", _literal(spec.output))
    yield "--open-mode=append"
    yield "--no-requeue"
    yield "--export=ALL"
    yield f"--signal={'' if spec.on_signal is OnSignal.STEPS else 'B:'}TERM@{spec.signal_before_s}"


def _place(spec: BatchSpec) -> Iterator[tuple[str, str]]:
    if spec.time_limit and not TIME.fullmatch(spec.time_limit):
        raise SlurmError(tr("{value} is no time limit of Slurm", value=repr(spec.time_limit)))
    yield "partition", spec.partition
    yield "account", spec.account
    yield "nodes", str(spec.nodes)
    yield "ntasks-per-node", str(spec.tasks_per_node)
    yield "mem", f"{spec.memory_mb}M" if spec.memory_mb else ""
    yield "time", spec.time_limit


def _option(name: str, value: str) -> str:
    """One option as sbatch reads it: a quoted value may hold blanks and #."""
    if not value.isprintable():
        raise SlurmError(tr("{value} holds a character that can't be printed", value=repr(value)))
    if PLAIN.fullmatch(value):
        return f"--{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'--{name}="{escaped}"'


def _literal(path: str) -> str:
    """A path in which sbatch replaces nothing."""
    if "\\" in path:
        raise SlurmError(tr("sbatch can't write to {path}, which holds a backslash", path=path))
    return path.replace("%", "%%")


def _environment(spec: BatchSpec) -> Iterator[str]:
    """Set the variables of the job; those by which sbatch was let in, or which would change srun, are removed."""
    yield "unset SLURM_JWT SLURM_EXPORT_ENV LC_ALL"
    for name, value in spec.env:
        if not NAME.fullmatch(name):
            raise SlurmError(tr("{name} is no name of a variable", name=repr(name)))
        yield f"export {name}={shlex.quote(value)}"
    if spec.srun:
        yield CPUS
    if spec.srun and spec.nodes > 1:
        yield from TORCHRUN


def _command(spec: BatchSpec) -> Iterator[str]:
    command = shlex.join(spec.command)
    if spec.srun:
        options = f"--nodes={spec.nodes} --ntasks-per-node={spec.tasks_per_node} --kill-on-bad-exit=1 --export=ALL"
        command = f"srun {options} {command}"
    source = (pkgutil.get_data(__package__, KEEPER) or b"").decode()
    keeper = {
        "exits": spec.exits,
        "signals": spec.on_signal.value,
        "request": spec.stop_request,
        "wanted": dict(spec.wanted),
    }
    python = shlex.quote(spec.python)
    missing = shlex.quote(f"atftctl: this node has no {spec.python}, so that nothing is started:")
    yield f'command -v {python} >/dev/null || {{ echo {missing} "$SLURMD_NODENAME" >&2; exit 127; }}'
    yield f"exec {python} -I -S -c {shlex.quote(source)} {shlex.quote(json.dumps(keeper))} {command}"
