"""Submit a trainer as a job. The record, with the mark that stands in the job's comment, is on the disk by then: a job
whose number got lost is found by it, and nothing is ever submitted twice."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from atftctl import protocol
from atftctl.domain.errors import InterventionNeeded
from atftctl.domain.launch import LaunchSpec
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.domain.slurm_rules import SlurmRules, megabytes
from atftctl.host import footprint
from atftctl.host.errors import HostError
from atftctl.host.files.logs import real_path
from atftctl.host.slurm import submit as submitting
from atftctl.host.slurm.batch_script import BatchSpec, OnSignal, script
from atftctl.host.slurm.command import STEERING
from atftctl.host.slurm.errors import SlurmError, SubmitUnknownError
from atftctl.host.slurm.facts import Job
from atftctl.protocol.messages import tr
from atftctl.state import exits
from atftctl.state.engines.slurm_view import look, mark_of, paused
from atftctl.state.layout import Layout

NAME = "atftctl"  # of the job; nothing is ever found by it
# What means something on this machine only; Slurm sets the cards of a job itself.
OF_MACHINE = re.compile(
    r"(CUDA_VISIBLE_DEVICES|ROCR_VISIBLE_DEVICES|HIP_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL|ZE_AFFINITY_MASK|TMPDIR"
    r"|HOSTNAME|PWD|OLDPWD|SHLVL|_|LC_ALL|DISPLAY|(SSH|XDG|DBUS|BASH_FUNC)_.*)$"
)
LOOK_S = 1.0  # between two looks for a job whose submission was not answered
LOOKS = 5


def submit(
    layout: Layout, launch: LaunchSpec, record: ProcessRecord, env: Mapping[str, str], output: Path
) -> TrainerIdentity:
    """Submit the job; return its identity. Raises HostError where Slurm refused it, InterventionNeeded where nobody
    knows whether there is a job."""
    inherited = {name: value for name, value in env.items() if not (OF_MACHINE.match(name) or STEERING.match(name))}
    ours = {name: value for name, value in env.items() if name in launch.env or os.environ.get(name) != value}
    text = script(_spec(layout, launch, record, ours, output))
    if why := paused():
        raise HostError(why)
    try:
        job = submitting.submit(layout.root, text, env=inherited)
    except SubmitUnknownError as error:
        job = _look_for(layout, record, error)
    footprint.leave(tr("submitted the trainer (job {number})", number=job.job_id))
    facts = look(layout, record, fresh=True).facts  # by the mark: the record has no number yet
    if facts is None or facts.job_id != job.job_id:
        return TrainerIdentity(job.job_id, 0, job.cluster, record.restarts, record.engine)
    return TrainerIdentity(job.job_id, int(facts.submit_time or 0), facts.cluster, record.restarts, record.engine)


def _spec(layout: Layout, launch: LaunchSpec, record: ProcessRecord, env: Mapping[str, str], output: Path) -> BatchSpec:
    rules = launch.placement or SlurmRules()
    several = rules.nodes > 1 or rules.tasks > 1
    return BatchSpec(
        command=(*_limited(launch.memory_limit_mb), *launch.argv),
        work_dir=str(layout.root),
        output=str(output),
        exits=str(exits.prepare(layout, record.run_id)),
        name=NAME,
        mark=mark_of(record),
        python=sys.executable,
        env=tuple(env.items()),
        partition=rules.partition,
        account=rules.account,
        nodes=rules.nodes,
        tasks_per_node=rules.tasks,
        memory_mb=megabytes(rules.memory) or 0,
        time_limit=rules.time,
        signal_before_s=rules.warn_s,
        on_signal=_on_signal(launch, several=several),
        stop_request=(str(real_path(layout.root, protocol.REQUEST)), _request(record)),
        extra=rules.options,
        srun=several,
        wanted={
            "record": str(layout.process),
            "run_id": record.run_id,
            "counter": str(layout.generation),
            "generation": record.generation,
            "staging": str(layout.staging / str(record.generation)),
        },
    )


def _on_signal(launch: LaunchSpec, *, several: bool) -> OnSignal:
    """What the signal before the time limit means: several processes save at the same step only where they read the
    request; a trainer that reads none gets the signal."""
    if launch.ready:
        return OnSignal.STEPS if several else OnSignal.FORWARD
    return OnSignal.REQUEST if several or launch.processes > 1 else OnSignal.FORWARD


def _request(record: ProcessRecord) -> str:
    body = {"v": 1, "id": f"limit-{record.run_id[-8:]}", "run_id": record.run_id, "want": protocol.WANT_STOP}
    return json.dumps(body)


def _limited(limit_mb: int) -> tuple[str, ...]:
    """The words before a command that limit its memory as a local start does (RLIMIT_DATA)."""
    return ("prlimit", f"--data={limit_mb << 20}", "--") if limit_mb else ()


def _look_for(layout: Layout, record: ProcessRecord, error: SlurmError) -> Job:
    """The job whose submission was not answered, by its comment. Raises InterventionNeeded where Slurm does not say
    whether there is one, HostError where there is none."""
    for attempt in range(LOOKS):
        if attempt:
            time.sleep(LOOK_S)
        view = look(layout, record, fresh=True)
        if view.facts is not None:
            return Job(view.facts.job_id)
        if not view.asked:
            mark = mark_of(record)
            raise InterventionNeeded(
                tr("whether the trainer's job was accepted is not known: {reason}", reason=error.message),
                state=tr("there may be a job with the comment {mark}; no second one was submitted", mark=mark),
                hint=tr("when Slurm answers again: atftctl trainer status"),
            )
    raise HostError(error.message)
