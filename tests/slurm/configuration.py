"""The configuration of a small cluster on one machine: no systemd, no cgroups, no network but the loopback.

What differs from a site: memory is polled each second, and a step over its limit is killed (the state OUT_OF_MEMORY does
not appear); `proctrack/linuxproc` loses the children of a batch shell that was killed. A tool that does not believe the
scheduler must stand both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """Nodes, and what each claims to have: more than the machine has, which Slurm is told to believe."""

    nodes: int = 3
    cpus: int = 4
    memory_mb: int = 2000


def slurm_conf(root: Path, host: str, ports: list[int], size: Size, user: str) -> str:
    """The text of slurm.conf. `ports`: one for slurmctld, and one for each node."""
    nodes = [
        f"NodeName=n{n} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n]} CPUs={size.cpus} "
        f"RealMemory={size.memory_mb} State=UNKNOWN"
        for n in range(1, size.nodes + 1)
    ]
    settings = SETTINGS.format(root=root, host=host, port=ports[0], user=user)
    return "\n".join([settings, *nodes, PARTITIONS.format(all=f"n[1-{size.nodes}]")])


SETTINGS = """\
ClusterName=small
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CryptoType=crypto/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd-%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd-%n.log
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,requeue_delay=1,preempt_send_user_signal
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
EnforcePartLimits=ALL
KillWait=2
UnkillableStepTimeout=20
SlurmctldTimeout=10
SlurmdTimeout=6
MinJobAge=300
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
DefMemPerCPU=200
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none"""

PARTITIONS = """\
PartitionName=main Nodes={all} Default=YES MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=REQUEUE GraceTime=3
PartitionName=urgent Nodes={all} MaxTime=INFINITE State=UP PriorityTier=100 PreemptMode=OFF
PartitionName=short Nodes={all} MaxTime=1 State=UP
PartitionName=others Nodes={all} AllowAccounts=others State=UP
PartitionName=closed Nodes={all} State=DOWN
"""
