"""The trainer as a job of Slurm. What Slurm says is a claim: whether the trainer lives or has ended is told by the
files that the run writes itself (`slurm_signs.py`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from atftctl.domain.facts import UnmanagedTrainer
from atftctl.domain.launch import LaunchSpec
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.domain.slurm_rules import SlurmRules
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.state.engines.engine import Problem, Seen, StopOrder
from atftctl.state.engines.slurm_judge import judge
from atftctl.state.engines.slurm_signs import signs_of
from atftctl.state.engines.slurm_view import View, look
from atftctl.state.exits import End
from atftctl.state.layout import Layout
from atftctl.state.process_record import marker


class Slurm:
    """Runs the trainer as a job. The identity is the job's number, the time of its submission, the cluster, and how
    often it was started again under that number."""

    def submit(
        self, layout: Layout, launch: LaunchSpec, record: ProcessRecord, env: Mapping[str, str], output: Path
    ) -> TrainerIdentity | None:
        from atftctl.state.engines import slurm_start

        return slurm_start.submit(layout, launch, record, env, output)

    def find(self, layout: Layout, record: ProcessRecord) -> TrainerIdentity | None:
        """A job whose number was never recorded is found by its comment. Where Slurm does not answer, a run counts as
        alive that has not said itself that it is over: a second one must not be started."""
        view = look(layout, record)
        judged = judge(record, view, signs_of(layout, record))
        return identity(record, view) if judged.alive or judged.unproven or judged.unknown else None

    def members(self, layout: Layout, record: ProcessRecord) -> frozenset[int]:
        """Those that run on this machine; processes on other nodes can't be seen."""
        nobody = procs.Identity(0, 0, procs.boot_id())
        members = procs.members(nobody, marker(record), rights.uid_of(layout.root))
        return frozenset(member.pid for member in members)

    def state(self, layout: Layout, record: ProcessRecord) -> Seen:
        view, signs = look(layout, record), signs_of(layout, record)
        judged = judge(record, view, signs)
        main = identity(record, view) if judged.alive or judged.unproven or judged.unknown else None
        return Seen(
            main=main,
            pids=self.members(layout, record),
            waiting=judged.waiting,
            unknown=judged.unknown,
            unproven=judged.unproven,
            blocked=judged.blocked,
            remark=judged.remark,
        )

    def waiting(self, layout: Layout, record: ProcessRecord) -> str:
        return judge(record, look(layout, record), signs_of(layout, record)).waiting

    def is_running(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity) -> bool:
        if record is None or record.identity != who:
            return False
        return self.find(layout, record) is not None

    def may_stop(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity) -> bool:
        """It must be the recorded job; whether that is still the job of this run, its comment says."""
        del layout
        return record is not None and who.pid in (0, record.pid) and not self.holds_us(who)

    def holds_us(self, who: TrainerIdentity) -> bool:
        return bool(who.pid) and os.environ.get("SLURM_JOB_ID") == str(who.pid)

    def stop(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity, order: StopOrder) -> list[int]:
        from atftctl.state.engines import slurm_stop

        if self.holds_us(who):
            raise slurm_stop.refuse_inside(who.pid)
        return slurm_stop.stop(layout, record, who, order)

    def read_exit(self, layout: Layout, record: ProcessRecord) -> End | None:
        return signs_of(layout, record).end

    def by_hand(
        self, layout: Layout, record: ProcessRecord | None, processes: tuple[UnmanagedTrainer, ...]
    ) -> tuple[UnmanagedTrainer, ...]:
        from atftctl.state.engines import slurm_others

        jobs = slurm_others.jobs_of(layout, record)
        return (*slurm_others.outside(jobs, processes), *jobs)

    def problem(self, root: Path, placement: SlurmRules | None) -> Problem | None:
        from atftctl.state.engines import slurm_problem

        return slurm_problem.problem(root, placement or SlurmRules())


def identity(record: ProcessRecord, view: View) -> TrainerIdentity:
    """The identity of the job: as Slurm says, or as recorded."""
    facts = view.facts
    if facts is None or record.pid:
        return record.identity
    return TrainerIdentity(facts.job_id, int(facts.submit_time or 0), facts.cluster, facts.restarts or 0, record.engine)
