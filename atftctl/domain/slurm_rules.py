"""What the runbook says about the job of a trainer that runs under Slurm."""

from __future__ import annotations

from atftctl.domain.record import record


@record
class SlurmRules:
    """What a job asks its cluster for; what is left out is the cluster's default. `memory`: of each node, as `--mem`
    takes it ("16G"). `time`: its limit, as `--time` takes it ("1-12:00:00"). `options`: further options of sbatch, a
    text each. `warn_s`: seconds before the time limit at which the trainer is asked to save and leave."""

    partition: str = ""
    account: str = ""
    nodes: int = 1
    tasks: int = 1  # processes of the trainer's command, which srun starts where there is more than one
    memory: str = ""
    time: str = ""
    options: tuple[str, ...] = ()
    warn_s: int = 120


def megabytes(text: str) -> int | None:
    """The megabytes that a text such as "800M", "16G" or "4000" means; 0 for "", None where it means none."""
    if not text:
        return 0
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "M")
    if not (number.isascii() and number.isdigit()) or unit not in _MEGABYTES:
        return None
    return round(int(number) * _MEGABYTES[unit])


_MEGABYTES = {"M": 1, "G": 1 << 10, "T": 1 << 20}
