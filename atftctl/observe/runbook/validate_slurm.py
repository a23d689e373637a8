"""Check what a runbook says about the job of its trainer; whether the cluster can run it is checked by `doctor`."""

from __future__ import annotations

from atftctl.domain.engines import LOCAL
from atftctl.domain.runbook import Runbook
from atftctl.domain.slurm_rules import megabytes
from atftctl.host.slurm import batch_script
from atftctl.observe.runbook.binder import Binder
from atftctl.observe.runbook.validate_monitoring import check_range
from atftctl.protocol.messages import tr

KEY = ("trainer", "slurm")


def check(runbook: Runbook, binder: Binder) -> None:
    """Run these checks. The binder skips what it has reported already."""
    check_range(binder, ("trainer", "queue_s"), runbook.trainer.queue_s, 1, 30 * 86_400)
    rules = runbook.trainer.slurm
    if rules is None:
        return
    if runbook.trainer.engine == LOCAL:
        text = tr(
            "the trainer runs on this machine (trainer.engine: {engine}), so that this means nothing", engine=LOCAL
        )
        binder.problem(KEY, text, hint=tr("write: {example}", example="engine: slurm"))
    check_range(binder, (*KEY, "nodes"), rules.nodes, 1, 10_000)
    check_range(binder, (*KEY, "tasks"), rules.tasks, 1, 1024)
    check_range(binder, (*KEY, "warn_s"), rules.warn_s, 1, 65_535)
    if megabytes(rules.memory) is None:
        text = tr("{value!r} is not an amount of memory such as 800M or 16G", value=rules.memory)
        binder.problem((*KEY, "memory"), text)
    if rules.time and not batch_script.TIME.fullmatch(rules.time):
        text = tr("{value!r} is no time limit such as 90 (minutes), 12:00:00 or 1-00:00:00", value=rules.time)
        binder.problem((*KEY, "time"), text)
    for index, option in enumerate(rules.options):
        if why := batch_script.problem_of(option):
            binder.problem((*KEY, "options", index), why)
