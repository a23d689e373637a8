"""What Slurm says of jobs and partitions."""

from __future__ import annotations

from dataclasses import dataclass

from atftctl.host.slurm.states import Claim, claim_of


@dataclass(frozen=True)
class Job:
    """A job by its number. `cluster`: as sbatch printed it; "" for the cluster of this machine."""

    job_id: int
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.job_id};{self.cluster}" if self.cluster else str(self.job_id)


@dataclass(frozen=True)
class JobFacts:
    """One job as Slurm describes it; an element of an array is a job of its own.

    `states`: Slurm's words, the main one first. `array_id`: the job number of the array, 0 for none. `array_tasks`: the
    elements that this job stands for, such as "3" or "4-9%2". Times in Unix seconds, None where there is none; a time
    that Slurm only expects is left out. `restarts`: how often the job was started again under the same number.
    `exit_code`, `signal`: those of the batch script as Slurm has them, which are no evidence. None: not known.
    """

    cluster: str
    job_id: int
    states: tuple[str, ...]
    array_id: int = 0
    array_tasks: str = ""
    name: str = ""
    user: str = ""
    account: str = ""
    partition: str = ""
    comment: str = ""
    restarts: int | None = None
    submit_time: float | None = None
    start_time: float | None = None
    end_time: float | None = None
    nodes: str = ""
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    work_dir: str = ""
    command: str = ""
    requeue: bool | None = None
    batch: bool | None = None

    @property
    def state(self) -> str:
        """The main word of its state."""
        return self.states[0] if self.states else ""

    @property
    def claim(self) -> Claim:
        """What the state claims."""
        return claim_of(self.states)

    @property
    def job(self) -> Job:
        """Its number, for a command on the cluster of this machine."""
        return Job(self.job_id)

    @property
    def is_array(self) -> bool:
        """Is it an array, or an element of one?"""
        return bool(self.array_id)

    def has_mark(self, mark: str) -> bool:
        """Is this one of the words of its comment?"""
        return bool(mark) and mark in self.comment.split()


@dataclass(frozen=True)
class Partition:
    """A partition. `max_time`: as Slurm writes it, such as "1-00:00:00" or "infinite". `nodes`: how many."""

    name: str
    up: bool
    default: bool
    max_time: str
    nodes: int


@dataclass(frozen=True)
class AccountingFacts:
    """One start of a job in Slurm's database. Times in Unix seconds; None where there is none."""

    job_id: int
    states: tuple[str, ...]
    exit_code: int | None
    signal: int | None
    submit_time: float | None
    start_time: float | None
    end_time: float | None
    nodes: str
